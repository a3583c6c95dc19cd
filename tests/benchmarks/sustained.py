"""How many paced streams a subject sustains on one core: every frame arrives, and nobody waits too long.

Each number of streams is tried for a few answers' time; the number grows until a try fails twice, and then
one half way back is tried. The far end is asked directly first: where it or the callers are the limit, it
says so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.benchmarks import load
from tests.benchmarks.process_tree import cpu_seconds
from tests.benchmarks.scenarios import LLAMA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.subjects import Subject

DELTAS: Final = 64
PACE_MS: Final = 20.0
MAX_GAP_MS: Final = 200.0
STEPS: Final = (100, 200, 300, 400, 500, 600, 800, 1000)
TRIES: Final = 2
"""The machine may do something else for the length of one try."""
_MS: Final = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """So many streams at once. `cpu_share` is the subject's share of its core, `others_share` of the other.

    `gap_ms` is the longest time that any caller waited for anything. `problem` is empty where all went well.
    """

    subject: str
    streams: int
    problem: str
    gap_ms: float
    reads_per_delta: float
    cpu_share: float
    others_share: float

    @property
    def passed(self) -> bool:
        """Whether it is sustained."""
        return not self.problem


def measure(
    upstream: Subject,
    subjects: Sequence[Subject],
    steps: Sequence[int],
    answers: int,
    progress: Callable[[str], object],
    *,
    deltas: int = DELTAS,
) -> list[Try]:
    """Return all tries; each stream is one of `answers` in a row on its connection."""
    tries: list[Try] = []
    for subject in [upstream, *subjects]:

        def attempt(streams: int, subject: Subject = subject) -> Try:
            progress(f"sustained: {streams} streams at {subject.name}")
            return _try(upstream, subject, streams, answers, deltas)

        tries += search(steps, attempt)
    return tries


def search(steps: Sequence[int], attempt: Callable[[int], Try]) -> list[Try]:
    """Return what was tried: step by step to the first that fails, then half way back from there."""
    tries: list[Try] = []
    passed = 0
    for streams in steps:
        tries += _tried(streams, attempt)
        if not tries[-1].passed:
            break
        passed = streams
    if passed and not tries[-1].passed:
        tries += _tried((passed + tries[-1].streams) // 2, attempt)
    return tries


def _tried(streams: int, attempt: Callable[[int], Try]) -> list[Try]:
    tries = [attempt(streams)]
    while not tries[-1].passed and len(tries) < TRIES:
        tries.append(attempt(streams))
    return tries


def largest(tries: Sequence[Try], subject: str) -> int:
    """Return the largest number of streams that a subject sustained, 0 for none."""
    return max((one.streams for one in tries if one.subject == subject and one.passed), default=0)


def _try(upstream: Subject, subject: Subject, streams: int, answers: int, deltas: int) -> Try:
    prompt = f"[[emulator deltas={deltas} frames_per_write=1 pace_ms={PACE_MS:g}]] Hello"
    request = subject.api.request(LLAMA, prompt)
    problem, apart = "", deltas * PACE_MS / _MS / streams
    with load.crowd() as crowd:
        callers = [
            crowd.join(subject.port, request, subject.api.text, iter(range(answers)), delay=number * apart)
            for number in range(streams)
        ]
        cpu, others, wall = _clocks(upstream, subject)
        try:
            crowd.run()
        except (load.StreamFailedError, OSError) as error:
            problem = str(error)[:200]
        cpu_now, others_now, now = _clocks(upstream, subject)
    heard = [answer for caller in callers for answer in caller.answers]
    gap_ms = max((answer.gap for answer in heard), default=0.0) * _MS
    if not problem and gap_ms > MAX_GAP_MS:
        problem = f"a gap of {gap_ms:.0f} ms"
    for answer in heard:
        try:
            subject.api.check(answer.body, deltas)
        except load.StreamFailedError as error:
            problem = str(error)[:200]
    return Try(
        subject=subject.name,
        streams=streams,
        problem=problem,
        gap_ms=gap_ms,
        reads_per_delta=sum(answer.reads for answer in heard) / max(len(heard) * deltas, 1),
        cpu_share=(cpu_now - cpu) / (now - wall),
        others_share=(others_now - others) / (now - wall),
    )


def _clocks(upstream: Subject, subject: Subject) -> tuple[float, float, float]:
    return cpu_seconds(subject.pid), cpu_seconds(upstream.pid) + time.process_time(), time.monotonic()
