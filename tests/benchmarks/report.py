"""A run as tables, in Markdown that reads well in a terminal too."""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING

from tests.benchmarks import first_byte, sustained
from tests.benchmarks.measure import results
from tests.benchmarks.subjects import DIRECT, NAIVE
from tests.benchmarks.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.benchmarks.cpu import Line
    from tests.benchmarks.footprint import Footprint
    from tests.benchmarks.measure import Result, Sample
    from tests.benchmarks.record import Record

_MARKS = {True: "yes", False: "**no**", None: "–"}


def markdown(record: Record) -> str:
    """Return everything that was found, and the verdict."""
    parts = [
        _verdict(record),
        *_costs(record.samples),
        _first_bytes(record.first_bytes),
        _sustained(record),
        _footprints(record.footprints),
    ]
    return "\n".join(part for part in parts if part)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, the first column to the left; empty without rows."""
    if not rows:
        return ""
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join([first, *rest])} |"

    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    return "\n".join([f"### {title}", "", line(head), f"|{rule}|", *map(line, rows), ""])


def _verdict(record: Record) -> str:
    rows = [(row.bar, row.found, row.needed, _MARKS[row.met]) for row in judge(record)]
    return _table("The bars", ("bar", "found (range of the repetitions)", "needed", "met"), rows)


def _costs(samples: Sequence[Sample]) -> Iterator[str]:
    found = results(samples)
    head = (
        "",
        "µs a request",
        "quartiles",
        "of naive",
        "µs a delta",
        "quartiles",
        "of naive",
        "reads a delta",
    )
    for scenario in dict.fromkeys(result.scenario for result in found):
        own = [result for result in found if result.scenario == scenario]
        naive = next((result.line for result in own if result.subject == NAIVE), None)
        rows = [_cost(result, naive, _reads(samples, result)) for result in own]
        yield _table(f"CPU time: {scenario}", head, rows)


def _cost(result: Result, naive: Line | None, reads: float) -> list[str]:
    cells = [result.subject]
    for axis, digits in ((0, 0), (1, 1)):
        figures = [line[axis] for line in result.repetitions]
        low, _, high = quantiles(figures, method="inclusive") if len(figures) > 1 else figures * 3
        share = f"{result.line[axis] / naive[axis]:.2f}" if naive else "–"
        cells += [f"{result.line[axis]:.{digits}f}", f"{low:.{digits}f}–{high:.{digits}f}", share]
    return [*cells, f"{reads:.2f}"]


def _reads(samples: Sequence[Sample], result: Result) -> float:
    """Return how often a caller read for each delta of the longest answers."""
    own = [s for s in samples if (s.scenario, s.subject) == (result.scenario, result.subject)]
    longest = max(sample.deltas for sample in own)
    return median(s.reads / s.requests / s.deltas for s in own if s.deltas == longest)


def _first_bytes(seen: Sequence[first_byte.FirstByte]) -> str:
    rows = []
    for streams in dict.fromkeys(one.streams for one in seen):
        for subject in dict.fromkeys(one.subject for one in seen):
            own = [one for one in seen if (one.streams, one.subject) == (streams, subject)]
            figures: list[Callable[[first_byte.FirstByte], float]] = [lambda o: o.p50_ms, lambda o: o.p99_ms]
            cells = [f"{median(map(figure, own)):.2f}" for figure in figures]
            more = first_byte.added(seen, subject, streams)
            added = ["", ""] if subject == DIRECT else [f"{more.p50_ms:.2f}", f"{more.p99_ms:.2f}"]
            rows.append([f"{subject}, {streams} stream{'s' * (streams > 1)}", *cells, *added])
    return _table("Time to the first text, ms (wall)", ("", "p50", "p99", "added, p50", "added, p99"), rows)


def _sustained(record: Record) -> str:
    rows = []
    for subject in dict.fromkeys(one.subject for one in record.tries):
        own = [one for one in record.tries if one.subject == subject]
        best = max((one for one in own if one.passed), key=lambda one: one.streams, default=None)
        failed = [one for one in own if not one.passed]
        shown = (
            ("–", "–", "–", "–")
            if best is None
            else (
                f"{best.gap_ms:.0f}",
                f"{best.cpu_share:.0%}",
                f"{best.others_share:.0%}",
                f"{best.reads_per_delta:.2f}",
            )
        )
        limit = f"{failed[-1].streams}: {failed[-1].problem[:60]}" if failed else "no limit found"
        rows.append((subject, str(sustained.largest(own, subject)), *shown, limit))
    return _table(
        "Sustained streams on one core, 64 deltas each 20 ms",
        (
            "",
            "streams",
            "longest wait, ms",
            "its core",
            "the other core",
            "reads a delta",
            "the last step that failed",
        ),
        rows,
    )


def _footprints(found: Sequence[Footprint]) -> str:
    rows = []
    for subject in dict.fromkeys(one.subject for one in found):
        own = [one for one in found if one.subject == subject]
        loaded = [one for one in own if one.streams]
        rows.append(
            (
                subject,
                _middle([one.ready_ms for one in own]),
                _middle([one.ready_cpu_ms for one in own]),
                _middle([one.first_request_cpu_ms for one in own]),
                _middle([one.idle_rss_mb for one in own], 1),
                _middle([one.idle_pss_mb for one in own], 1),
                _middle([one.streams_rss_mb for one in loaded], 1),
                _middle([one.streams_pss_mb for one in loaded], 1),
            )
        )
    return _table(
        "Start-up and memory (MB of 10⁶ bytes)",
        (
            "",
            "ready, wall ms",
            "ready, CPU ms",
            "first request, CPU ms",
            "idle RSS",
            "idle PSS",
            "1,000 streams, + RSS",
            "+ PSS",
        ),
        rows,
    )


def _middle(figures: Sequence[float], digits: int = 0) -> str:
    return f"{median(figures):.{digits}f}" if figures else "–"
