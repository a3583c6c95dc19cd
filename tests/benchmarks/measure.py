"""The runs themselves: interleaved, so that whatever else the machine does hits all subjects alike."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

from tests.benchmarks import load
from tests.benchmarks.cpu import Line, fit
from tests.benchmarks.process_tree import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.scenarios import Point, Scenario
    from tests.benchmarks.subjects import Subject

_SETTLE_S = 0.02
"""Before each reading of the clock: the subject accepts connections and ends its last request by itself."""
_US = 1e6
PEER_REPETITIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run. `cpu_us` and `wall_s` are of all its requests together; wall time is there to be looked at.

    `others_us` is the CPU time of the far end and the callers, who share the other core. `reads` counts how
    often the callers got something.
    """

    scenario: str
    subject: str
    repetition: int
    deltas: int
    requests: int
    cpu_us: float
    others_us: float
    wall_s: float
    reads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One subject in one scenario: the line through the medians, and that of each repetition by itself."""

    scenario: str
    subject: str
    line: Line
    repetitions: tuple[Line, ...]


async def measure(
    upstream: Subject,
    subjects: Sequence[Subject],
    scenarios: Sequence[Scenario],
    repetitions: int,
    progress: Callable[[str], object],
) -> list[Sample]:
    """Return a sample for each repetition, scenario, number of deltas and subject.

    Raises:
        StreamFailedError: a stream of a subject was not whole; the message names both.
    """
    for scenario in scenarios:
        for subject in _asked(subjects, scenario, 0):
            enough = max(subject.warm_up, scenario.concurrency) * subject.slowness
            await _run(upstream, subject, scenario, scenario.points[0]._replace(requests=enough), -1)
    samples: list[Sample] = []
    for repetition in range(repetitions):
        for scenario in scenarios:
            progress(f"repetition {repetition + 1} of {repetitions}: {scenario.name}")
            samples += [
                await _run(upstream, subject, scenario, point, repetition)
                for point in scenario.points
                for subject in _from(_asked(subjects, scenario, repetition), repetition)
            ]
    return samples


def _asked(subjects: Sequence[Subject], scenario: Scenario, repetition: int) -> list[Subject]:
    """Return who is asked. Peers are slow, and far from the others: for them three repetitions will do."""
    peers = scenario.peers and repetition < PEER_REPETITIONS
    return [subject for subject in subjects if peers or not subject.peer]


def _from(subjects: Sequence[Subject], turn: int) -> list[Subject]:
    """Return the subjects, another one first each turn: whoever runs behind another finds its caches."""
    first = turn % len(subjects)
    return [*subjects[first:], *subjects[:first]]


async def _run(
    upstream: Subject, subject: Subject, scenario: Scenario, point: Point, repetition: int
) -> Sample:
    """Ask as often as the point says, of a slow subject its share, and return what that took."""
    request = subject.api.request(scenario.model, scenario.prompt(point.deltas))
    requests = max(point.requests // subject.slowness, scenario.concurrency)
    turns = iter(range(requests))
    apart = scenario.pace_ms / 1000 / scenario.concurrency
    try:
        with load.crowd() as crowd:
            callers = [
                crowd.join(subject.port, request, subject.api.text, turns, delay=number * apart)
                for number in range(scenario.concurrency)
            ]
            await asyncio.sleep(_SETTLE_S)
            clocks = _clocks(upstream, subject)
            crowd.run()
            wall_s = time.monotonic() - clocks[2]
            await asyncio.sleep(_SETTLE_S)
            cpu, others, _ = (
                now - then for now, then in zip(_clocks(upstream, subject), clocks, strict=True)
            )
        answers = [answer for caller in callers for answer in caller.answers]
        for answer in answers:
            subject.api.check(answer.body, point.deltas)
    except (load.StreamFailedError, OSError) as error:
        raise load.StreamFailedError(f"{subject.name}, {scenario.name}: {error}") from error
    return Sample(
        scenario=scenario.name,
        subject=subject.name,
        repetition=repetition,
        deltas=point.deltas,
        requests=requests,
        cpu_us=cpu * _US,
        others_us=others * _US,
        wall_s=wall_s,
        reads=sum(answer.reads for answer in answers),
    )


def _clocks(upstream: Subject, subject: Subject) -> tuple[float, float, float]:
    """Return the CPU seconds of the subject, those of all else, and the time."""
    return cpu_seconds(subject.pid), cpu_seconds(upstream.pid) + time.process_time(), time.monotonic()


def results(samples: Sequence[Sample]) -> list[Result]:
    """Return the fitted lines, in the order in which scenarios and subjects first come in `samples`."""
    runs: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        runs.setdefault((sample.scenario, sample.subject), []).append(sample)
    return [
        Result(
            scenario=scenario,
            subject=subject,
            line=_line(own),
            repetitions=tuple(_line(some) for some in _by(own, "repetition").values()),
        )
        for (scenario, subject), own in runs.items()
    ]


def _line(samples: Sequence[Sample]) -> Line:
    """Return the line through the median cost of a request at each number of deltas."""
    sizes = _by(samples, "deltas")
    return fit([(deltas, median(s.cpu_us / s.requests for s in some)) for deltas, some in sizes.items()])


def _by(samples: Sequence[Sample], name: Literal["repetition", "deltas"]) -> dict[int, list[Sample]]:
    groups: dict[int, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(getattr(sample, name), []).append(sample)
    return groups
