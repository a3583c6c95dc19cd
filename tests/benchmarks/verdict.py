"""The bars that issue D set, and whether a run met them."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks import first_byte, sustained
from tests.benchmarks.measure import results
from tests.benchmarks.peers import LITELLM, PORTKEY
from tests.benchmarks.scenarios import BURST_CLAUDE, BURST_CONVERSE, PACED_CLAUDE, PACED_CONVERSE
from tests.benchmarks.subjects import DIRECT, GATEWAY, NAIVE, NGINX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.footprint import Footprint
    from tests.benchmarks.measure import Result
    from tests.benchmarks.record import Record

_AXES = ("a request", "a delta")


class Row(NamedTuple):
    """One bar: what is asked, what was found, what is needed. `met` is None where it was not measured."""

    bar: str
    found: str
    needed: str
    met: bool | None


class _Ratio(NamedTuple):
    """A share of CPU time: of `above` to `below` in a scenario, for a request (0) or a delta (1)."""

    scenario: str
    axis: int
    above: str
    below: str
    least: float = 0.0
    most: float = 0.0


_RATIOS = (
    _Ratio(BURST_CLAUDE, 0, NAIVE, GATEWAY, least=3.5),
    _Ratio(BURST_CONVERSE, 0, NAIVE, GATEWAY, least=3.5),
    _Ratio(BURST_CLAUDE, 1, NAIVE, GATEWAY, least=7),
    _Ratio(BURST_CONVERSE, 1, NAIVE, GATEWAY, least=7),
    _Ratio(PACED_CLAUDE, 1, GATEWAY, NGINX, most=2.6),
    _Ratio(PACED_CONVERSE, 1, GATEWAY, NGINX, most=2.6),
    _Ratio(BURST_CONVERSE, 0, LITELLM, GATEWAY, least=80),
    _Ratio(BURST_CONVERSE, 1, LITELLM, GATEWAY, least=80),
    _Ratio(BURST_CONVERSE, 0, PORTKEY, GATEWAY, least=6),
    _Ratio(BURST_CONVERSE, 1, PORTKEY, GATEWAY, least=4),
)
MIN_SUSTAINED = 400
MAX_STREAMS_MB = 35.0
MAX_READY_MS = 1000.0
MAX_IDLE_MB = 70.0
MAX_FIRST_REQUEST_MS = 50.0


def judge(record: Record) -> list[Row]:
    """Return a row for each bar."""
    return [
        *_ratios(results(record.samples)),
        _sustained(record),
        *_footprint([one for one in record.footprints if one.subject == GATEWAY]),
        *_first_byte(record.first_bytes),
    ]


def _ratios(found: Sequence[Result]) -> Iterator[Row]:
    lines = {(result.scenario, result.subject): result for result in found}
    for ratio in _RATIOS:
        above, below = (lines.get((ratio.scenario, name)) for name in (ratio.above, ratio.below))
        bar = f"CPU {_AXES[ratio.axis]}, {ratio.above} : {ratio.below}, {ratio.scenario}"
        needed = f"≥ {ratio.least:g}" if ratio.least else f"≤ {ratio.most:g}"
        if above is None or below is None:
            yield Row(bar, "not measured", needed, None)
            continue
        share = above.line[ratio.axis] / below.line[ratio.axis]
        pairs = zip(above.repetitions, below.repetitions, strict=False)
        each = sorted(one[ratio.axis] / two[ratio.axis] for one, two in pairs)
        met = share >= ratio.least if ratio.least else share <= ratio.most
        yield Row(bar, f"{share:.1f} ({each[0]:.1f}–{each[-1]:.1f})", needed, met)


def _sustained(record: Record) -> Row:
    bar = "streams sustained on one core (64 deltas each 20 ms, no wait above 200 ms)"
    needed = f"≥ {MIN_SUSTAINED}"
    tried = [one for one in record.tries if one.subject == GATEWAY]
    if not tried:
        return Row(bar, "not measured", needed, None)
    most = sustained.largest(record.tries, GATEWAY)
    limit = sustained.largest(record.tries, DIRECT)
    found = f"{most} (the limit of the far end and the callers)" if most == limit else str(most)
    return Row(bar, found, needed, most >= MIN_SUSTAINED)


def _footprint(processes: Sequence[Footprint]) -> Iterator[Row]:
    loaded = [one for one in processes if one.streams]
    yield _most(
        "memory of 1,000 open streams over idle, MB", [p.streams_rss_mb for p in loaded], MAX_STREAMS_MB
    )
    yield _most("cold start to ready, wall ms", [p.ready_ms for p in processes], MAX_READY_MS)
    yield _most("idle RSS, MB", [p.idle_rss_mb for p in processes], MAX_IDLE_MB)
    yield _most(
        "the first request, CPU ms (bounds what it can block)",
        [p.first_request_cpu_ms for p in processes],
        MAX_FIRST_REQUEST_MS,
    )


def _most(bar: str, figures: Sequence[float], bound: float) -> Row:
    needed = f"≤ {bound:g}"
    if not figures:
        return Row(bar, "not measured", needed, None)
    middle = median(figures)
    return Row(bar, f"{middle:.0f} ({min(figures):.0f}–{max(figures):.0f})", needed, middle <= bound)


def _first_byte(seen: Sequence[first_byte.FirstByte]) -> Iterator[Row]:
    there = {one.subject for one in seen} >= {GATEWAY, NAIVE, DIRECT}
    for number, name in enumerate(("p50", "p99")):
        bar = f"added time to the first text at 32 streams, {name}, gateway : naive"
        if not there:
            yield Row(bar, "not measured", "≤ 0.5", None)
            continue
        mine, naive = (first_byte.added(seen, subject, 32)[number] for subject in (GATEWAY, NAIVE))
        yield Row(bar, f"{mine / naive:.2f} ({mine:.2f} : {naive:.2f} ms)", "≤ 0.5", mine <= naive / 2)
