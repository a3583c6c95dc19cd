"""What a process counts of its requests: one observation at each one's end, by its log line and its trail.

Nothing here is done per delta, and nothing that a caller chooses becomes a label (reliability.md R60):
routes, outcomes, phases and codes are the gateway's own words, targets are the operator's, and a model is
named only where the catalogue or the operator names it.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from gateway.observability.cells import Distribution

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

    from gateway.observability.request_log import RequestLog
    from gateway.retries.trail import Trail
    from gateway.timing import Timing

OTHER: Final = "other"
"""The label of all that is not on an allow-list."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
ENDS: Final = {"ok": "done", "error": "error", "disconnected": "client_gone", "cut": "cut"}
"""How a stream ended, by the outcome of its request."""
KINDS: Final = ("input", "output", "cache_read", "cache_write")
_MAX_KNOWN_IDS: Final = 1_000
"""Model ids whose label is remembered: callers choose them, so their number is bounded."""

DURATIONS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 900)
"""Seconds. An answer of 4,000 tokens takes a minute and one that thinks takes many; 900 is the longest."""
FIRST_BYTES: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 20, 40, 80, 120)
"""Seconds. Models begin after a third of a second to some seconds; 120 is the first-byte clock's."""
WAITS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds. Most requests do not wait at all, and the queue's patience is some seconds."""
PER_TOKEN: Final = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1)
"""Seconds: 20 to 200 tokens a second is what models do, and 10 ms is where most are."""


class ModelCells:
    """What is counted of one model."""

    __slots__ = ("cost_usd", "ends", "first_byte", "per_token", "queue_wait", "tokens")

    def __init__(self) -> None:
        self.queue_wait = Distribution(WAITS)
        self.first_byte = Distribution(FIRST_BYTES)
        self.per_token = Distribution(PER_TOKEN)
        self.ends: defaultdict[str, int] = defaultdict(int)
        self.tokens: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(KINDS))
        """By accuracy, in the order of `KINDS`."""
        self.cost_usd = 0.0

    def observe(self, log: RequestLog, timing: Timing | None) -> None:
        """Count a request for this model."""
        fields = log.fields
        if (queue_ms := fields.get("queue_ms")) is not None:
            self.queue_wait.observe(queue_ms / 1000)
        if (first_byte_ms := fields.get("first_byte_ms")) is not None:
            self.first_byte.observe(first_byte_ms / 1000)
        if "format" in fields and log.status == 200:  # noqa: PLR2004 - a stream that has begun
            self.ends[log.outcome] += 1
        if "input_tokens" in fields or "output_tokens" in fields:
            self._account(fields)
            if log.outcome == "ok" and timing is not None:
                self._pace(fields.get("output_tokens", 0), timing)

    def _account(self, fields: dict[str, Any]) -> None:
        get = fields.get
        tokens = self.tokens[get("usage_accuracy", "final")]
        tokens[0] += get("input_tokens", 0)
        tokens[1] += get("output_tokens", 0)
        tokens[2] += get("cache_read_tokens", 0)
        tokens[3] += get("cache_write_tokens", 0)
        self.cost_usd += get("cost_usd", 0.0)

    def _pace(self, tokens: int, timing: Timing) -> None:
        if tokens > 1 and timing.ended is not None and timing.first_byte is not None:
            self.per_token.observe((timing.ended - timing.first_byte) / tokens)


class CallerCells:
    """What is counted of one caller."""

    __slots__ = ("cost_usd", "results", "tokens")

    def __init__(self) -> None:
        self.results: defaultdict[str, int] = defaultdict(int)
        """By `ok`, `disconnected`, `cut`, or the code of the error."""
        self.tokens = [0] * len(KINDS)
        self.cost_usd = 0.0

    def observe(self, log: RequestLog) -> None:
        """Count a request of this caller."""
        get = log.fields.get
        outcome = log.outcome
        self.results[get("code", OTHER) if outcome == "error" else outcome] += 1
        for number, kind in enumerate(KINDS):
            self.tokens[number] += get(f"{kind}_tokens", 0)
        self.cost_usd += get("cost_usd", 0.0)


class RequestMetrics:
    """Counts the requests of a process.

    `label` gives the label of a model's id, and may be replaced; `faults` are AWS's and our names of what
    fails an attempt.
    """

    def __init__(self, label: Callable[[str], str], faults: AbstractSet[str]) -> None:
        self.requests: dict[tuple[str, str, int | None, str], Distribution] = {}
        """Durations by route, method, status and outcome."""
        self.models: dict[str, ModelCells] = {}
        """By label."""
        self.callers: defaultdict[str, CallerCells] = defaultdict(CallerCells)
        """By name: those of the settings."""
        self.errors: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By code and phase."""
        self.disconnects: defaultdict[str, int] = defaultdict(int)
        """By phase."""
        self.attempts: defaultdict[tuple[str, str], int] = defaultdict(int)
        """By target and result."""
        self.retries: defaultdict[str, int] = defaultdict(int)
        """By what was another in the attempt after: `call` (nothing), `target`, `model`."""
        self._faults = faults
        self._label = label
        self._by_id: dict[str, ModelCells] = {}

    def relabel(self, label: Callable[[str], str]) -> None:
        """Name models by other rules from now on; what has been counted stays."""
        self._label = label
        self._by_id = {}

    def ended(self, log: RequestLog, timing: Timing | None) -> None:
        """Count a request that is over; `timing` is None where it never had a handler."""
        fields = log.fields
        method = log.method if log.method in METHODS else OTHER
        key = (log.route, method, log.status, log.outcome)
        durations = self.requests.get(key)
        if durations is None:
            durations = self.requests[key] = Distribution(DURATIONS)
        durations.observe(fields.get("total_ms", 0.0) / 1000)
        if (model := fields.get("model")) is not None:
            (self._by_id.get(model) or self._cells(model)).observe(log, timing)
            if log.trail is not None:
                for trail in log.trail.parts or (log.trail,):
                    self._tried(trail)
        if (caller := fields.get("caller")) is not None:
            self.callers[caller].observe(log)
        if log.outcome != "ok":
            self._failed(log)

    def _cells(self, model_id: str) -> ModelCells:
        if len(self._by_id) >= _MAX_KNOWN_IDS:
            self._by_id.clear()
        cells = self._by_id[model_id] = self.models.setdefault(self._label(model_id), ModelCells())
        return cells

    def _failed(self, log: RequestLog) -> None:
        phase = log.fields.get("phase", "connection")
        if log.outcome == "error":
            self.errors[log.fields.get("code", OTHER), phase] += 1
        elif log.outcome == "disconnected":
            self.disconnects[phase] += 1

    def _tried(self, trail: Trail) -> None:
        """Count the calls for one answer; what failed before the first event is told by name."""
        if len(trail.lanes) == 1 and not trail.faults:
            result = "answered" if trail.answered else "abandoned"
            self.attempts[trail.lanes[0].partition("/")[0], result] += 1
            return
        lanes = [lane.partition("/") for lane in trail.lanes]
        results = [fault if fault in self._faults else OTHER for fault in trail.failed_with()]
        if len(results) < len(lanes):  # the last, which no fault has ended
            results.append("answered" if trail.answered else "abandoned")
        for (target, _, _), result in zip(lanes, results, strict=True):
            self.attempts[target, result] += 1
        for (target, _, model), (next_target, _, next_model) in pairwise(lanes):
            what = "target" if target != next_target else "model" if model != next_model else "call"
            self.retries[what] += 1
