"""What a process takes to be there: its start, its memory when idle, its first request, a thousand streams.

Each repetition has a process of its own, because memory that was touched once stays.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from tests.benchmarks import load
from tests.benchmarks.process_tree import Memory, cpu_seconds, memory
from tests.benchmarks.scenarios import LLAMA
from tests.benchmarks.subjects import emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.benchmarks.subjects import Cores, Starter, Subject

STREAMS: Final = 1000
OPENING_S: Final = 4.0
"""Over which they open: at once, it would be the queue for connections that is measured."""
OPENED_S: Final = 30.0
"""When they must all be open; a stream lasts twice as long."""
SETTLE_S: Final = 1.0
OPEN: Final = "[[emulator deltas=60 frames_per_write=1 pace_ms=1000]] Hello"
FIRST: Final = "[[emulator deltas=4 frames_per_write=0]] Hello"
_MS: Final = 1000.0
_MB: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """One process. Milliseconds, and megabytes of 10⁶ bytes; 0 streams were not tried.

    `first_request_cpu_ms` bounds how long the first request can have blocked the event loop.
    """

    subject: str
    repetition: int
    ready_ms: float
    ready_cpu_ms: float
    first_request_cpu_ms: float
    idle_rss_mb: float
    idle_pss_mb: float
    streams: int
    streams_rss_mb: float
    streams_pss_mb: float


async def measure(
    starters: Mapping[str, Starter],
    cores: Cores,
    repetitions: Mapping[str, int],
    streams: Mapping[str, int],
    progress: Callable[[str], object],
    *,
    opening_s: float = OPENING_S,
) -> list[Footprint]:
    """Return the footprints of so many processes of each subject, with so many streams open at the end.

    Raises:
        StreamFailedError: a stream could not be opened, or did not stay.
    """
    found: list[Footprint] = []
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-bench-")))
        upstream = await stack.enter_async_context(emulator(cores, scratch))
        for repetition in range(max(repetitions.values(), default=0)):
            for name in [name for name, times in repetitions.items() if repetition < times]:
                progress(f"start-up and memory, {repetition + 1}: {name}")
                begun = time.monotonic()
                async with starters[name](upstream.port, cores, scratch) as subject:
                    ready = (time.monotonic() - begun, cpu_seconds(subject.pid))
                    found.append(
                        await _footprint(subject, repetition, ready, streams.get(name, 0), opening_s)
                    )
    return found


async def _footprint(
    subject: Subject, repetition: int, ready: tuple[float, float], streams: int, opening_s: float
) -> Footprint:
    await asyncio.sleep(SETTLE_S)
    idle = memory(subject.pid)
    cpu = cpu_seconds(subject.pid)
    _ask_once(subject)
    cpu = cpu_seconds(subject.pid) - cpu
    held = _hold(subject, streams, opening_s) if streams else idle
    return Footprint(
        subject=subject.name,
        repetition=repetition,
        ready_ms=ready[0] * _MS,
        ready_cpu_ms=ready[1] * _MS,
        first_request_cpu_ms=cpu * _MS,
        idle_rss_mb=idle.rss / _MB,
        idle_pss_mb=idle.pss / _MB,
        streams=streams,
        streams_rss_mb=(held.rss - idle.rss) / _MB,
        streams_pss_mb=(held.pss - idle.pss) / _MB,
    )


def _ask_once(subject: Subject) -> None:
    with load.crowd() as crowd:
        caller = crowd.join(subject.port, subject.api.request(LLAMA, FIRST), subject.api.text, iter(range(1)))
        crowd.run()
    subject.api.check(caller.answers[0].body, 4)


def _hold(subject: Subject, streams: int, opening_s: float) -> Memory:
    """Return what a subject holds when so many streams are open, and each has brought something."""
    request = subject.api.request(LLAMA, OPEN)
    with load.crowd() as crowd:
        callers = [
            crowd.join(
                subject.port, request, subject.api.text, repeat(0, 1), delay=opening_s * number / streams
            )
            for number in range(streams)
        ]
        crowd.run(_Settled(callers, opening_s))
        open_ones = sum(caller.talking for caller in callers)
        if open_ones != streams:
            raise load.StreamFailedError(f"{subject.name}: {open_ones} of {streams} streams are open")
        return memory(subject.pid)


class _Settled:
    """Says when all callers have heard something and gone on hearing for a while, or had time enough."""

    def __init__(self, callers: Sequence[load.Caller], opening_s: float) -> None:
        self._callers = callers
        self._look_at = time.monotonic() + opening_s
        self._patience = time.monotonic() + OPENED_S
        self._settled = False

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._look_at:
            return False
        if self._settled:
            return True
        self._settled = all(caller.talking for caller in self._callers) or now > self._patience
        self._look_at = now + (SETTLE_S if self._settled else 0.2)
        return False
