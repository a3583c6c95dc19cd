"""What a hop adds to the time until the first text, alone and while other streams run.

One caller asks for a short answer that Bedrock gives at once, again and again after pauses of chance, the
same chance for everybody. The streams that run beside it are paced, and follow one another without end.
Time is wall time here, so this is the part that a busy machine spoils first: what counts is the difference
from asking the far end directly, in the same repetition.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import count
from statistics import median, quantiles
from typing import TYPE_CHECKING, NamedTuple

from tests.benchmarks import load
from tests.benchmarks.scenarios import LLAMA
from tests.benchmarks.subjects import DIRECT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.subjects import Subject

STREAMS = (1, 32)
PACE_MS = 20.0
PROBE = "[[emulator deltas=16 frames_per_write=0]] Hello"
DELTAS = 64
"""Of each stream beside."""
_MEAN_PAUSE_S = 0.008
_SEED = 5
_MS = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstByte:
    """What one repetition saw of one subject: milliseconds, half of the answers and 99 % of them."""

    subject: str
    streams: int
    repetition: int
    requests: int
    p50_ms: float
    p99_ms: float


class Added(NamedTuple):
    """Milliseconds more than directly: the median of the repetitions."""

    p50_ms: float
    p99_ms: float


def measure(
    direct: Subject,
    subjects: Sequence[Subject],
    repetitions: int,
    requests: int,
    progress: Callable[[str], object],
    *,
    deltas: int = DELTAS,
) -> list[FirstByte]:
    """Return what was seen, for each repetition, number of streams and subject, the far end among them.

    Raises:
        StreamFailedError: a stream of a subject was not whole.
    """
    everybody = [direct, *subjects]
    for subject in everybody:
        _run(subject, 1, 0, requests // 4, deltas)
    seen: list[FirstByte] = []
    for repetition in range(repetitions):
        for streams in STREAMS:
            progress(f"repetition {repetition + 1} of {repetitions}: first byte at {streams} streams")
            turn = repetition % len(everybody)
            for subject in [*everybody[turn:], *everybody[:turn]]:
                asked = max(requests // subject.slowness, 2)
                seen.append(_run(subject, streams, repetition, asked, deltas))
    return seen


def _run(subject: Subject, streams: int, repetition: int, requests: int, deltas: int) -> FirstByte:
    chance = random.Random(_SEED)  # noqa: S311 - pauses, not secrets
    pauses = iter(lambda: chance.expovariate(1 / _MEAN_PAUSE_S), None)
    text = subject.api.text
    with load.crowd() as crowd:
        others = subject.api.request(
            LLAMA, f"[[emulator deltas={deltas} frames_per_write=1 pace_ms={PACE_MS:g}]] Hello"
        )
        lasting = deltas * PACE_MS / _MS
        for number in range(streams - 1):
            crowd.join(subject.port, others, text, count(), delay=lasting * number / streams)
        probe = crowd.join(
            subject.port,
            subject.api.request(LLAMA, PROBE),
            text,
            iter(range(requests)),
            delay=lasting if streams > 1 else 0.0,
            pauses=pauses,
        )
        crowd.run(lambda: len(probe.answers) == requests)
    for answer in probe.answers:
        subject.api.check(answer.body, 16)
    waits = [answer.first * _MS for answer in probe.answers]
    return FirstByte(
        subject=subject.name,
        streams=streams,
        repetition=repetition,
        requests=requests,
        p50_ms=median(waits),
        p99_ms=quantiles(waits, n=100, method="inclusive")[98],
    )


def added(seen: Sequence[FirstByte], subject: str, streams: int) -> Added:
    """Return what a subject adds to the time of the far end."""
    pairs = [
        (mine, direct)
        for mine in seen
        for direct in seen
        if (mine.subject, mine.streams, direct.subject) == (subject, streams, DIRECT)
        and (mine.streams, mine.repetition) == (direct.streams, direct.repetition)
    ]
    return Added(
        median(mine.p50_ms - direct.p50_ms for mine, direct in pairs),
        median(mine.p99_ms - direct.p99_ms for mine, direct in pairs),
    )
