"""Callers who leave at random moments: waiting, just handed a slot, or running (R35)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from gateway.admission.aimd import Adaptive
from gateway.admission.queue import ConcurrencyLimiter
from gateway.errors import Overloaded
from tests import virtual_clock


async def _live(limiter: ConcurrencyLimiter, pauses: int) -> None:
    with await limiter.acquire(("x", "y")) as slot:
        for _ in range(pauses):
            await asyncio.sleep(0)
        if pauses == 3:
            slot.throttled()
        elif pauses:
            slot.succeeded(0.1)
            slot.move("z")
        await asyncio.sleep(0.01 * pauses)


async def _cancel(ends: Counter[str], chance: random.Random, count: int) -> None:
    limiter = ConcurrencyLimiter(max_running=30, max_waiting=60, queue_timeout=0.5, adaptive=Adaptive())
    tasks: set[asyncio.Task[None]] = set()

    def ended(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        if task.cancelled():
            ends["cancelled"] += 1
        else:
            ends["refused" if isinstance(task.exception(), Overloaded) else "served"] += 1

    while ends["cancelled"] < count:
        for _ in range(20):
            task = asyncio.ensure_future(_live(limiter, chance.randrange(4)))
            tasks.add(task)
            task.add_done_callback(ended)
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        for task in chance.sample(list(tasks), min(18, len(tasks))):
            task.cancel()
        assert limiter.running <= limiter.max_running
        if chance.random() < 0.02:
            await asyncio.sleep(0.6)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (limiter.running, limiter.waiting) == (0, 0)
    assert all((lane.running, lane.waiting) == (0, 0) for lane in limiter.lanes)


def cancel_at_random(*, seed: int, count: int) -> Counter[str]:
    """Cancel `count` callers, see that they leave nothing behind, and return how all of them ended."""
    ends: Counter[str] = Counter()
    virtual_clock.run(_cancel(ends, random.Random(seed), count))  # noqa: S311 - a seed, no secret
    return ends
