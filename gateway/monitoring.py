"""What is measured of a process, and the private port where it is read.

Requests and events are counted where they happen; the rest is read off the process at each scrape, on its
loop, and written out by another thread: a scrape with many models takes some milliseconds, which no stream
should wait for (reliability.md R60).
"""

from __future__ import annotations

import asyncio
import platform
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from gateway import __version__
from gateway.bedrock.credentials.refresher import Refresher
from gateway.bedrock.faults import CODES
from gateway.errors import GatewayError
from gateway.ledger.measures import of_ledger
from gateway.observability.families import Family, of_events, of_requests
from gateway.observability.loop_lag import LoopLag
from gateway.observability.metrics import OTHER, RequestMetrics
from gateway.server import private

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from gateway.admission.queue import ConcurrencyLimiter
    from gateway.bedrock.targets import Target
    from gateway.ledger.charges import Ledger
    from gateway.observability.exposition import Exposition
    from gateway.retries.attempts import Retries
    from gateway.server.dispatch import Dispatcher
    from gateway.server.drain import Drain, Serving

STATES: Final = ("closed", "probing", "open")
LANE_LIMIT: Final = (
    "Calls at once that Bedrock takes there since it throttled; absent where nothing is limited. Of several "
    "ids of one model, the least."
)


class Monitoring:
    """The measurements of one process; `requests` counts the requests.

    `attach` tells it what serves, `put` which generation of settings is in force.
    """

    def __init__(self, dispatcher: Dispatcher, drain: Drain, ledger: Ledger) -> None:
        self.requests = RequestMetrics(lambda _: OTHER, _faults())
        self.lag = LoopLag()
        self._dispatcher = dispatcher
        self._drain = drain
        self._ledger = ledger
        self._serving: Serving | None = None
        self._label: Callable[[str], str] = lambda _: OTHER
        self._targets: Mapping[str, Target] = {}
        self._retired: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._writing = asyncio.Lock()
        self._exposition: Exposition | None = None

    def attach(self, serving: Serving) -> None:
        """Read the connections off this from now on."""
        self._serving = serving

    def put(self, targets: Mapping[str, Target], label: Callable[[str], str]) -> None:
        """These targets and these names of models are in force; what has been counted stays."""
        for name, old in self._targets.items():
            if name not in targets or targets[name].client is not old.client:
                renewals, failures = _attempts_of(old)
                self._retired[name][0] += renewals
                self._retired[name][1] += failures
        self._targets = targets
        self._label = label
        self.requests.relabel(label)

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics of this moment; see `gateway.server.private.Scraped`."""
        async with self._writing:  # one thread at a time, however many scrape
            if self._exposition is None:
                self._exposition = await asyncio.to_thread(_exposition)
            ready = not await self._dispatcher.services.readiness.problems()
            return await asyncio.to_thread(self._exposition.render, [*self._families(ready=ready)], accept)

    def _families(self, *, ready: bool) -> Iterator[Family]:
        services = self._dispatcher.services
        yield from of_requests(self.requests)
        yield from of_events(services.events)
        yield from _of_process(ready=ready, draining=self._drain.begun, generation=services.generation)
        yield _gauge(
            "gateway_requests_in_progress", "Requests being answered.", len(self._dispatcher.exchanges)
        )
        yield from _of_slots(services.limiter)
        yield _gauge("gateway_abandoned_answers", "Answers read on after their caller left.",
                     services.abandoned.running)  # fmt: skip
        yield from _of_lanes(services.limiter, self._label)
        yield from _of_retries(services.retries, self._label)
        yield from of_ledger(self._ledger)
        yield _gauge("gateway_body_bytes", "Bytes of request bodies held.", services.bodies.held)
        yield _gauge("gateway_body_bytes_limit", "Their limit, max_bodies_bytes.", services.bodies.limit)
        yield from self._of_connections()
        yield from self._of_targets()
        lag = Family("gateway_loop_lag_seconds", "histogram", "How late the event loop called a timer.")
        lag.add(value=self.lag.lags)
        yield lag

    def _of_connections(self) -> Iterator[Family]:
        if self._serving is None:
            return
        counted = self._serving.server.counted
        yield _gauge("gateway_connections", "Open connections of callers, within the limit.", counted.open)
        yield _gauge("gateway_connections_limit", "Their limit, max_connections.", counted.limit)
        yield _gauge(
            "gateway_connections_surplus", "Connections beyond it, which get a 503.", counted.surplus
        )

    def _of_targets(self) -> Iterator[Family]:
        left = Family(
            "gateway_credentials_seconds_left", "gauge", "For how long the target's AWS credentials may be "
            "used: 0 for not at all, +Inf for keys that do not expire.", ("target",),
        )  # fmt: skip
        renewals = Family(
            "gateway_credentials_renewals", "counter", "Times that a target's credentials were issued.",
            ("target",),
        )  # fmt: skip
        failures = Family(
            "gateway_credentials_failures", "counter", "Times that they could not be.", ("target",)
        )
        skew = Family(
            "gateway_clock_skew_seconds", "gauge", "How far this host's clock is ahead of AWS's; AWS refuses "
            "signatures that are 300 s off.", ("target",),
        )  # fmt: skip
        pool = Family(
            "gateway_upstream_connections", "gauge", "Connections to a target's endpoint, which targets that "
            "differ in nothing share.", ("target", "state"),
        )  # fmt: skip
        for name, target in self._targets.items():
            for state, count in zip(("in_use", "idle"), target.client.pool.connections(), strict=True):
                pool.add(name, state, value=count)
            source = target.client.credentials
            left.add(name, value=source.seconds_left if isinstance(source, Refresher) else float("inf"))
            skew.add(name, value=target.client.clock_skew_s)
        for name in {**self._targets, **self._retired}:
            counts = _attempts_of(self._targets[name]) if name in self._targets else (0, 0)
            renewals.add(name, value=self._retired[name][0] + counts[0])
            failures.add(name, value=self._retired[name][1] + counts[1])
        yield from (left, renewals, failures, skew, pool)


@asynccontextmanager
async def served(monitoring: Monitoring, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """Measure, and answer scrapes on these sockets, for as long as the block runs."""
    with monitoring.lag.measured():
        async with private.serving(sockets, monitoring):
            yield


def _exposition() -> Exposition:
    """Make the writer at the first scrape: its library takes 17 ms, which no start should wait for."""
    from gateway.observability.exposition import Exposition  # noqa: PLC0415 - said above

    return Exposition()


def _faults() -> frozenset[str]:
    """Return the names of what fails an attempt: AWS's that we know, and ours."""
    waiting, ours = [GatewayError], set()
    while waiting:
        children = waiting.pop().__subclasses__()
        ours |= {child.code for child in children if "code" in vars(child)}
        waiting += children
    return frozenset(ours | CODES.keys())


def _attempts_of(target: Target) -> tuple[int, int]:
    source = target.client.credentials
    return (source.renewals, source.failures) if isinstance(source, Refresher) else (0, 0)


def _gauge(name: str, words: str, value: float) -> Family:
    family = Family(name, "gauge", words)
    family.add(value=value)
    return family


def _of_process(*, ready: bool, draining: bool, generation: int) -> Iterator[Family]:
    build = Family("gateway_build_info", "gauge", "Always 1: which gateway this is.", ("version", "python"))
    build.add(__version__, platform.python_version(), value=1)
    yield build
    yield _gauge("gateway_config_generation", "Times that settings were put in force.", generation)
    yield _gauge("gateway_ready", "Whether new requests are welcome: what GET /readyz says.", ready)
    yield _gauge("gateway_draining", "Whether the process is about to stop.", draining)
    yield _gauge("gateway_tasks", "Tasks of the event loop.", len(asyncio.all_tasks()))


def _of_slots(limiter: ConcurrencyLimiter) -> Iterator[Family]:
    yield _gauge("gateway_slots_in_use", "Calls to Bedrock under way.", limiter.running)
    yield _gauge("gateway_slots", "How many there may be, max_concurrency.", limiter.max_running)
    yield _gauge("gateway_queue_depth", "Requests that wait for a slot.", limiter.waiting)
    yield _gauge("gateway_queue_limit", "How many may, max_queue.", limiter.max_waiting)


def _of_lanes(limiter: ConcurrencyLimiter, label: Callable[[str], str]) -> Iterator[Family]:
    labels = ("target", "model")
    running: defaultdict[tuple[str, str], int] = defaultdict(int)
    waiting: defaultdict[tuple[str, str], int] = defaultdict(int)
    limits: dict[tuple[str, str], float] = {}
    for lane in limiter.lanes:
        place = _place(lane.name, label)
        running[place] += lane.running
        waiting[place] += lane.waiting
        if lane.limit is not None:
            limits[place] = min(lane.limit, limits.get(place, lane.limit))
    told: tuple[tuple[str, str, Mapping[tuple[str, str], float]], ...] = (
        ("gateway_lane_running", "Calls to a model at a target that are under way.", running),
        ("gateway_lane_waiting", "Requests that wait to call it; some wait for other targets too.", waiting),
        ("gateway_lane_limit", LANE_LIMIT, limits),
    )  # fmt: skip
    for name, words, values in told:
        family = Family(name, "gauge", words, labels)
        for place, value in values.items():
            family.add(*place, value=value)
        yield family


def _of_retries(retries: Retries, label: Callable[[str], str]) -> Iterator[Family]:
    used, limit = retries.budget.state()
    yield _gauge("gateway_retry_budget_used", "Retries in flight or lately ended.", used)
    yield _gauge("gateway_retry_budget_limit", "How many there may be, by retries.budget_*.", limit)
    states: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(STATES, 0))
    for lane, state in retries.breakers.states().items():
        states[_place(lane, label)][state] += 1
    family = Family(
        "gateway_breaker_state", "gauge", "Circuit breakers of a model at a target that are in this state.",
        ("target", "model", "state"),
    )  # fmt: skip
    for place, counts in states.items():
        for name, count in counts.items():
            family.add(*place, name, value=count)
    yield family


def _place(lane: str, label: Callable[[str], str]) -> tuple[str, str]:
    target, _, model = lane.partition("/")
    return target, label(model)
