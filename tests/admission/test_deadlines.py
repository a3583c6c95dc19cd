"""Who cannot be served in time is told so at once, and honestly (R34)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from gateway.admission.aimd import Adaptive
from gateway.admission.queue import ConcurrencyLimiter
from gateway.errors import DeadlineExceeded, Overloaded
from tests import virtual_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Scene: TypeAlias = "Callable[[ConcurrencyLimiter], Coroutine[Any, Any, None]]"
A = "here/a"


async def used(limiter: ConcurrencyLimiter, *, first_byte: float, held: float) -> None:
    """Let one call go by, from which the limiter learns."""
    with await limiter.acquire((A,)) as slot:
        await asyncio.sleep(first_byte)
        slot.succeeded(first_byte)
        await asyncio.sleep(held - first_byte)


async def a_passed_deadline(limiter: ConcurrencyLimiter) -> None:
    """Even with slots free, nothing is begun after the deadline."""
    with pytest.raises(DeadlineExceeded, match="has passed"):
        await limiter.acquire(deadline=0.0)


async def nothing_is_known_yet(limiter: ConcurrencyLimiter) -> None:
    """Without experience nobody is refused, and who waits is sent away at the deadline."""
    await limiter.acquire(deadline=0.001)
    with pytest.raises(Overloaded) as caught:
        await limiter.acquire(deadline=2.0)
    assert caught.value.message == "No slot came free in the time that the caller gives."
    assert (limiter.now(), limiter.running, limiter.waiting) == (2.0, 1, 0)


async def the_first_byte_would_be_late(limiter: ConcurrencyLimiter) -> None:
    """A slot is free, but the model needs longer than the caller waits: coming again would not help."""
    await used(limiter, first_byte=0.4, held=1.0)
    with pytest.raises(
        DeadlineExceeded, match=r"300\.0 ms are too short for any answer.* took 400 ms or more"
    ):
        await limiter.acquire((A,), deadline=limiter.now() + 0.3)
    await limiter.acquire((A,), deadline=limiter.now() + 0.5)


async def the_slot_would_be_late(limiter: ConcurrencyLimiter) -> None:
    """Two wait at 1 s for each slot: the third would wait 3 s for its own, and is told when to come."""
    await used(limiter, first_byte=0.4, held=1.0)
    await limiter.acquire((A,))
    waiters = [asyncio.ensure_future(limiter.acquire((A,))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(
        Overloaded, match=r"a slot takes about 3000 ms, the first byte 400 ms or more"
    ) as caught:
        await limiter.acquire((A,), deadline=limiter.now() + 3.3)
    assert (caught.value.retry_after, limiter.waiting) == (3, 2)
    later = asyncio.ensure_future(limiter.acquire((A,), deadline=limiter.now() + 3.5))
    await asyncio.sleep(0)
    assert limiter.waiting == 3
    for task in (*waiters, later):
        task.cancel()


async def who_waits_leaves_in_time(limiter: ConcurrencyLimiter) -> None:
    """When the rest is too short for a first byte, waiting on would only waste a call."""
    await used(limiter, first_byte=0.5, held=1.0)
    await limiter.acquire((A,))
    start = limiter.now()
    with pytest.raises(Overloaded, match="in the time that the caller gives"):
        await limiter.acquire((A,), deadline=start + 2.0)
    assert limiter.now() - start == pytest.approx(1.5)


async def a_lane_has_a_pace_of_its_own(limiter: ConcurrencyLimiter) -> None:
    """The wait for a limited lane goes by how long its own calls take."""
    limiter.resize(max_running=10, max_waiting=10, queue_timeout=60)
    await used(limiter, first_byte=1.0, held=6.0)
    for _ in range(9):
        with await limiter.acquire(("here/quick",)):
            await asyncio.sleep(0.1)
    slots = [await limiter.acquire((A,)) for _ in range(3)]
    slots[0].throttled()
    slots[0].throttled()
    slots[0].throttled()
    [limit] = [lane.limit for lane in limiter.lanes if lane.name == A]
    assert limit is not None
    with pytest.raises(Overloaded) as caught:
        await limiter.acquire((A,), deadline=limiter.now() + 3.0)
    assert caught.value.retry_after == -(-6.0 // limit)
    assert (await limiter.acquire((A, "here/quick"), deadline=limiter.now() + 3.0)).lane == "here/quick"


async def nothing_is_known_of_the_lane(limiter: ConcurrencyLimiter) -> None:
    """Where no slot has come back yet, the longest wait there is says when to come again."""
    limiter.resize(max_running=10, max_waiting=0, queue_timeout=20)
    slots = [await limiter.acquire((A,)) for _ in range(2)]
    slots[0].throttled()
    with pytest.raises(Overloaded, match="Bedrock takes no more calls") as caught:
        await limiter.acquire((A,))
    assert caught.value.retry_after == 20


async def one_may_try(limiter: ConcurrencyLimiter) -> None:
    """If all are refused for what is expected, one a while goes by, or nothing new would ever be learnt."""
    limiter.resize(max_running=2, max_waiting=0, queue_timeout=20)
    await used(limiter, first_byte=10.0, held=10.0)
    await asyncio.sleep(15)
    with pytest.raises(DeadlineExceeded):
        await limiter.acquire((A,), deadline=limiter.now() + 5.0)
    await asyncio.sleep(6)
    slot = await limiter.acquire((A,), deadline=limiter.now() + 5.0)
    with pytest.raises(DeadlineExceeded):
        await limiter.acquire((A,), deadline=limiter.now() + 5.0)
    slot.succeeded(0.1)
    slot.release()
    (await limiter.acquire((A,), deadline=limiter.now() + 5.0)).release()


async def prompts_of_all_lengths(limiter: ConcurrencyLimiter) -> None:
    """Who asks what is answered at once is not refused because others ask what takes long."""
    limiter.resize(max_running=100, max_waiting=0, queue_timeout=20)
    refused = 0

    async def long_prompt() -> None:
        with await limiter.acquire((A,), deadline=limiter.now() + 120.0) as slot:
            await asyncio.sleep(20.0)
            slot.succeeded(20.0)

    tasks = [asyncio.ensure_future(long_prompt())]
    await asyncio.sleep(30)
    for _ in range(120):
        tasks.append(asyncio.ensure_future(long_prompt()))
        try:
            with await limiter.acquire((A,), deadline=limiter.now() + 5.0) as slot:
                await asyncio.sleep(0.5)
                slot.succeeded(0.5)
        except DeadlineExceeded:
            refused += 1
        await asyncio.sleep(1)
    await asyncio.gather(*tasks)
    assert refused < 40, "only until the first of them may try"


SCENES: list[Scene] = [
    prompts_of_all_lengths,
    a_passed_deadline,
    nothing_is_known_yet,
    the_first_byte_would_be_late,
    the_slot_would_be_late,
    who_waits_leaves_in_time,
    a_lane_has_a_pace_of_its_own,
    nothing_is_known_of_the_lane,
    one_may_try,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(scene: Scene) -> None:
    """Each scene of the table holds; see its docstring."""

    async def played() -> None:
        await scene(ConcurrencyLimiter(max_running=1, max_waiting=5, queue_timeout=20.0, adaptive=Adaptive()))

    virtual_clock.run(played())


def test_newest_first_under_pressure() -> None:
    """Up to half as many waiters as slots, the oldest goes first; with more, the youngest (R38)."""

    async def scene() -> list[int]:
        limiter = ConcurrencyLimiter(max_running=4, max_waiting=9, queue_timeout=20.0, order="newest_first")
        held = [await limiter.acquire() for _ in range(4)]
        served: list[int] = []

        async def wait(number: int) -> None:
            held.append(await limiter.acquire())
            served.append(number)

        waiters = [asyncio.ensure_future(wait(number)) for number in range(5)]
        await asyncio.sleep(0)
        for _ in waiters:
            held.pop(0).release()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return served

    assert virtual_clock.run(scene()) == [4, 3, 2, 0, 1]


def test_the_newest_does_not_expect_to_wait_long() -> None:
    """Under pressure the newcomer will be next, and its deadline is judged by that."""

    async def scene() -> None:
        limiter = ConcurrencyLimiter(max_running=1, max_waiting=9, queue_timeout=20.0, order="newest_first")
        await used(limiter, first_byte=0.1, held=1.0)
        await limiter.acquire()
        waiters = [asyncio.ensure_future(limiter.acquire()) for _ in range(5)]
        await asyncio.sleep(0)
        newest = asyncio.ensure_future(limiter.acquire(deadline=limiter.now() + 1.5))
        await asyncio.sleep(0)
        assert limiter.waiting == 6
        for task in (*waiters, newest):
            task.cancel()

    virtual_clock.run(scene())
