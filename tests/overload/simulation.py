"""The real limiter between callers with little patience and a far end with a capacity, in virtual time."""

from __future__ import annotations

import asyncio
import random
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.admission.aimd import Adaptive
from gateway.admission.queue import ConcurrencyLimiter
from gateway.errors import Overloaded
from tests import virtual_clock

if TYPE_CHECKING:
    from gateway.admission.slots import Slot
    from gateway.admission.waiting import Order

LANE = "here/model"


@dataclass
class FarEnd:
    """Takes `capacity` calls at once and throttles one more; times in seconds."""

    chance: random.Random
    mean_first_byte: float = 0.3
    mean_rest: float = 0.7
    capacity: int = 1_000_000
    active: int = 0
    calls: int = 0
    throttled: int = 0

    @property
    def mean_service(self) -> float:
        """How long a call takes."""
        return self.mean_first_byte + self.mean_rest

    async def call(self, slot: Slot) -> bool:
        """Answer one call, telling the slot as the pipeline does; False where it is throttled."""
        self.calls += 1
        if self.active >= self.capacity:
            self.throttled += 1
            await asyncio.sleep(0.02)
            slot.throttled()
            return False
        self.active += 1
        try:
            first_byte = self.mean_first_byte * self.chance.uniform(0.5, 1.5)
            await asyncio.sleep(first_byte)
            slot.succeeded(first_byte)
            await asyncio.sleep(self.chance.expovariate(1 / self.mean_rest))
        finally:
            self.active -= 1
        return True


# ── more callers than capacity ────────────────────────────────────────────────────────────────────────


@dataclass
class Overload:
    """What came of an overload; times in seconds. `wasted`: calls whose caller was gone before the end."""

    capacity: float
    good: int = 0
    wasted: int = 0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    retry_after: set[int | None] = field(default_factory=set)

    @property
    def goodput(self) -> float:
        """The answers that came in time, as a share of what the slots can do."""
        return self.good / self.capacity

    @property
    def waste(self) -> float:
        """The share of calls that were of no use to anybody."""
        return self.wasted / (self.good + self.wasted)

    @property
    def median(self) -> float:
        """The time to the end of an answer that came in time."""
        return statistics.median(self.latencies)


def overload(
    *,
    seed: int,
    load: float,
    order: Order = "fifo",
    slots: int = 50,
    queue: int = 50,
    seconds: float = 60.0,
    patience: float = 5.0,
    tell_deadline: bool = True,
) -> Overload:
    """Let `load` times what the slots can do arrive at random, each caller leaving when out of patience."""
    chance = random.Random(seed)  # noqa: S311 - a seed, no secret
    far_end = FarEnd(chance)
    result = Overload(capacity=slots / far_end.mean_service * seconds)

    async def caller(limiter: ConcurrencyLimiter) -> None:
        came = limiter.now()
        deadline = came + patience if tell_deadline else None
        try:
            async with asyncio.timeout_at(came + patience):
                with await limiter.acquire((LANE,), deadline=deadline) as slot:
                    try:
                        await far_end.call(slot)
                    except asyncio.CancelledError:
                        result.wasted += 1
                        raise
        except Overloaded as error:
            result.refused += 1
            result.refusals.append(limiter.now() - came)
            result.retry_after.add(error.retry_after)
        except TimeoutError:
            pass
        else:
            result.good += 1
            result.latencies.append(limiter.now() - came)

    async def scene() -> None:
        limiter = ConcurrencyLimiter(
            max_running=slots, max_waiting=queue, queue_timeout=60.0, order=order, adaptive=Adaptive()
        )
        callers = []
        while limiter.now() < seconds:
            await asyncio.sleep(chance.expovariate(load * slots / far_end.mean_service))
            callers.append(asyncio.ensure_future(caller(limiter)))
        await asyncio.gather(*callers)
        assert (limiter.running, limiter.waiting, far_end.active) == (0, 0, 0)

    virtual_clock.run(scene())
    return result


# ── a capacity that moves ─────────────────────────────────────────────────────────────────────────────


@dataclass
class Tracking:
    """How a lane's limit followed a capacity: `limits` by the seconds since the capacity moved."""

    capacities: tuple[int, ...]
    limits: list[list[tuple[float, float]]]
    throttled: float
    """The share of all calls."""
    used: list[float]
    """The mean share of each capacity that was in use, in the second half of its time."""

    def outside(self, within: float, since: float) -> list[tuple[int, float, float]]:
        """Return capacity, time and limit wherever the limit was further off than the share `within`."""
        return [
            (capacity, moment, limit)
            for capacity, limits in zip(self.capacities, self.limits, strict=True)
            for moment, limit in limits
            if moment >= since and abs(limit - capacity) > within * capacity
        ]


def follow(
    *,
    seed: int,
    capacities: tuple[int, ...] = (20, 60, 10),
    seconds: float = 60.0,
    callers: int = 150,
    mean_rest: float = 0.7,
    adaptive: Adaptive | None = None,
) -> Tracking:
    """Let callers ask without end, who come again soon after a throttle, and move the capacity."""
    chance = random.Random(seed)  # noqa: S311 - a seed, no secret
    far_end = FarEnd(chance, mean_rest=mean_rest, capacity=capacities[0])
    limits: list[list[tuple[float, float]]] = []
    used = []

    async def caller(limiter: ConcurrencyLimiter) -> None:
        while True:
            with await limiter.acquire((LANE,)) as slot:
                served = await far_end.call(slot)
            if not served:
                await asyncio.sleep(chance.uniform(0, 0.2))

    async def scene() -> None:
        limiter = ConcurrencyLimiter(
            max_running=100, max_waiting=callers, queue_timeout=1_000.0, adaptive=adaptive or Adaptive()
        )
        tasks = [asyncio.ensure_future(caller(limiter)) for _ in range(callers)]
        for capacity in capacities:
            far_end.capacity = capacity
            samples, active = [], []
            for tenth in range(1, round(seconds * 10) + 1):
                await asyncio.sleep(0.1)
                [lane] = limiter.lanes
                samples.append((tenth / 10, 100.0 if lane.limit is None else lane.limit))
                active.append(far_end.active)
            limits.append(samples)
            used.append(statistics.mean(active[len(active) // 2 :]) / capacity)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (limiter.running, limiter.waiting, far_end.active) == (0, 0, 0)

    virtual_clock.run(scene())
    return Tracking(capacities, limits, far_end.throttled / far_end.calls, used)
