"""What is exported of the requests that have ended: the names, labels and words of each metric.

Prometheus' conventions: a counter's name ends in `total`, units are base units and stand in the name. A
family is a copy of the moment, so that another thread may write it out while the process counts on.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from gateway.observability.cells import Distribution
from gateway.observability.metrics import ENDS, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.observability.events import Events
    from gateway.observability.metrics import ModelCells, RequestMetrics

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


class Histogram(NamedTuple):
    """One histogram at one moment."""

    bounds: tuple[float, ...]
    cumulative: list[int]
    total: float


@dataclass(slots=True)
class Family:
    """One metric with all its label values; a counter's `name` is without `_total`, which is added."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    samples: list[tuple[tuple[str, ...], float | Histogram]] = field(default_factory=list)

    def add(self, *labels: str, value: float | Distribution) -> None:
        """Add the value for these labels."""
        if isinstance(value, Distribution):
            self.samples.append((labels, Histogram(value.bounds, value.cumulative(), value.total)))
        else:
            self.samples.append((labels, value))


def of_requests(metrics: RequestMetrics) -> Iterator[Family]:
    """Yield what was counted at the ends of requests."""
    yield _requests(metrics)
    yield _durations(metrics)
    errors = Family(
        "gateway_errors", "counter", "Requests that ended in an error, by its code and where it happened: "
        "connection, request, queue, connect, head, first_byte, stream, end.", ("code", "phase"),
    )  # fmt: skip
    for (code, phase), count in metrics.errors.items():
        errors.add(code, phase, value=count)
    yield errors
    disconnects = Family(
        "gateway_client_disconnects", "counter", "Callers that left before their answer was whole, by where "
        "the request was.", ("phase",),
    )  # fmt: skip
    for phase, count in metrics.disconnects.items():
        disconnects.add(phase, value=count)
    yield disconnects
    yield from _of_attempts(metrics)
    yield from _of_models(metrics)
    yield from _of_callers(metrics)


def _requests(metrics: RequestMetrics) -> Family:
    family = Family(
        "gateway_requests", "counter", "Requests that have ended. outcome: ok, error, disconnected (the "
        "caller left), cut (the process stopped). status: the class of what was sent, or none.",
        ("route", "method", "status", "outcome"),
    )  # fmt: skip
    counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for (route, method, status, outcome), durations in metrics.requests.items():
        counts[route, method, _status_class(status), outcome] += sum(durations.counts)
    for labels, count in counts.items():
        family.add(*labels, value=count)
    return family


def _status_class(status: int | None) -> str:
    return "none" if status is None else f"{status // 100}xx"


def _durations(metrics: RequestMetrics) -> Family:
    family = Family(
        "gateway_request_duration_seconds", "histogram", "From a request's head to the end of its answer "
        "(GenAI: gen_ai.server.request.duration).", ("route", "outcome"),
    )  # fmt: skip
    parts: defaultdict[tuple[str, ...], list[Distribution]] = defaultdict(list)
    for (route, _, _, outcome), durations in metrics.requests.items():
        parts[route, outcome].append(durations)
    for labels, distributions in parts.items():
        family.add(*labels, value=Distribution.joined(distributions))
    return family


def _of_attempts(metrics: RequestMetrics) -> Iterator[Family]:
    attempts = Family(
        "gateway_upstream_attempts", "counter", "Calls to Bedrock. result: answered, abandoned (the caller "
        "or its time was gone first, or a call beside it had failed), or what failed before the first event: "
        "AWS's code, else the gateway's.",
        ("target", "result"),
    )  # fmt: skip
    for (target, result), count in metrics.attempts.items():
        attempts.add(target, result, value=count)
    yield attempts
    retries = Family(
        "gateway_upstream_retries", "counter", "Attempts after the first. to: the same call again, another "
        "target of the model, another model.", ("to",),
    )  # fmt: skip
    for what in ("call", "target", "model"):
        retries.add(what, value=metrics.retries.get(what, 0))
    yield retries


def _of_models(metrics: RequestMetrics) -> Iterator[Family]:
    models = sorted(metrics.models.items())
    ends = Family(
        "gateway_streams", "counter", "Streams that had begun, by how they ended: done, error, client_gone, "
        "cut (the process stopped before the last record was taken).", ("model", "end"),
    )  # fmt: skip
    tokens = Family(
        "gateway_tokens", "counter", "Tokens. accuracy: final, partial (Bedrock's word before the end), "
        "estimated (from the text that came). (GenAI: gen_ai.client.token.usage)",
        ("model", "kind", "accuracy"),
    )  # fmt: skip
    cost = Family(
        "gateway_cost_usd", "counter", "Dollars, by the catalogue's prices; nothing is added for models "
        "without one.", ("model",),
    )  # fmt: skip
    for model, cells in models:
        for outcome, end in ENDS.items():
            ends.add(model, end, value=cells.ends.get(outcome, 0))
        for accuracy, counts in cells.tokens.items():
            for kind, count in zip(KINDS, counts, strict=True):
                tokens.add(model, kind, accuracy, value=count)
        cost.add(model, value=cells.cost_usd)
    yield from (ends, tokens, cost)
    yield from _distributions(models)


def _of_callers(metrics: RequestMetrics) -> Iterator[Family]:
    requests = Family(
        "gateway_caller_requests", "counter", "Requests that have ended. result: ok, disconnected, "
        "cut, or the code of the error.", ("caller", "result"),
    )  # fmt: skip
    tokens = Family("gateway_caller_tokens", "counter", "Tokens of a caller.", ("caller", "kind"))
    cost = Family("gateway_caller_cost_usd", "counter", "Dollars, as gateway_cost_usd.", ("caller",))
    for caller, cells in sorted(metrics.callers.items()):
        for result, count in cells.results.items():
            requests.add(caller, result, value=count)
        for kind, amount in zip(KINDS, cells.tokens, strict=True):
            tokens.add(caller, kind, value=amount)
        cost.add(caller, value=cells.cost_usd)
    yield from (requests, tokens, cost)


def _distributions(models: Iterable[tuple[str, ModelCells]]) -> Iterator[Family]:
    queue_wait = Family(
        "gateway_queue_wait_seconds", "histogram", "The wait for a slot, of those too who got none.",
        ("model",),
    )  # fmt: skip
    first_byte = Family(
        "gateway_time_to_first_byte_seconds", "histogram", "From a request's head to the first bytes of "
        "Bedrock's answer, its queue and retries included (GenAI: gen_ai.server.time_to_first_token).",
        ("model",),
    )  # fmt: skip
    per_token = Family(
        "gateway_time_per_output_token_seconds", "histogram", "Mean of one whole answer: from its first "
        "bytes to its end, by its output tokens (GenAI: gen_ai.server.time_per_output_token).", ("model",),
    )  # fmt: skip
    for model, cells in models:
        queue_wait.add(model, value=cells.queue_wait)
        first_byte.add(model, value=cells.first_byte)
        per_token.add(model, value=cells.per_token)
    yield from (queue_wait, first_byte, per_token)


def of_events(events: Events) -> Iterator[Family]:
    """Yield what was counted beside the ends of requests."""
    heartbeats = Family("gateway_heartbeats", "counter", "Heartbeats sent into silent streams.")
    heartbeats.add(value=events.heartbeats)
    slow = Family(
        "gateway_slow_reader_aborts", "counter", "Callers given up because they took nothing for "
        "write_timeout_ms.",
    )  # fmt: skip
    slow.add(value=events.slow_readers)
    dropped = Family(
        "gateway_connections_dropped", "counter", "Connections reset for what came or did not come on them.",
        ("reason",),
    )  # fmt: skip
    for reason, count in events.dropped.items():
        dropped.add(reason, value=count)
    yield from (heartbeats, slow, dropped)
