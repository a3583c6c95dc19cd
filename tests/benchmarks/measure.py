"""The runs themselves: interleaved, so that whatever else the machine does hits all subjects alike."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Literal

from tests.benchmarks import load
from tests.benchmarks.cpu import Line, cpu_seconds, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.scenarios import Point, Scenario
    from tests.benchmarks.subjects import Subject

_SETTLE_S = 0.02
"""Before each reading of the clock: the subject accepts connections and ends its last request by itself."""
_US = 1e6
_WARM_UP_REQUESTS = 5
"""By connection. Python specialises code that has run a few times, and both sides fill their pools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run. `cpu_us` and `wall_s` are of all its requests together; wall time is there to be looked at."""

    scenario: str
    subject: str
    repetition: int
    deltas: int
    requests: int
    cpu_us: float
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One subject in one scenario: the line through the medians, and that of each repetition by itself."""

    scenario: str
    subject: str
    line: Line
    repetitions: tuple[Line, ...]


async def measure(
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
        for subject in subjects:
            await _run(subject, scenario, scenario.points[0], _WARM_UP_REQUESTS * scenario.concurrency)
    samples: list[Sample] = []
    for repetition in range(repetitions):
        for scenario in scenarios:
            progress(f"repetition {repetition + 1} of {repetitions}: {scenario.name}")
            for point in scenario.points:
                for subject in _from(subjects, repetition):
                    cpu, wall = await _run(subject, scenario, point, point.requests)
                    samples.append(
                        Sample(
                            scenario=scenario.name,
                            subject=subject.name,
                            repetition=repetition,
                            deltas=point.deltas,
                            requests=point.requests,
                            cpu_us=cpu * _US,
                            wall_s=wall,
                        )
                    )
    return samples


def _from(subjects: Sequence[Subject], turn: int) -> list[Subject]:
    """Return the subjects, another one first each turn: whoever runs behind another finds its caches."""
    first = turn % len(subjects)
    return [*subjects[first:], *subjects[:first]]


async def _run(subject: Subject, scenario: Scenario, point: Point, requests: int) -> tuple[float, float]:
    """Return the seconds of CPU and of wall time that these requests took."""
    request = subject.api.request(scenario, point)
    check = partial(subject.api.check, deltas=point.deltas)
    spread = scenario.pace_ms / 1000
    try:
        async with load.connected(subject.port, scenario.concurrency) as connections:
            await asyncio.sleep(_SETTLE_S)
            cpu, wall = cpu_seconds(subject.pid), time.monotonic()
            await load.run(connections, request, requests, check, spread=spread)
            wall = time.monotonic() - wall
            await asyncio.sleep(_SETTLE_S)
            return cpu_seconds(subject.pid) - cpu, wall
    except (load.StreamFailedError, OSError) as error:
        raise load.StreamFailedError(f"{subject.name}, {scenario.name}: {error}") from error


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
