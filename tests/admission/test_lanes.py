"""Lanes: what one model may do holds back no other, and what was learnt of it is not kept for ever (R39)."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from gateway.admission.aimd import Adaptive
from gateway.admission.averages import HighRatio
from gateway.admission.queue import ConcurrencyLimiter
from gateway.admission.slots import Slot
from gateway.errors import Overloaded
from tests import virtual_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

Task: TypeAlias = asyncio.Task[Slot]
Scene: TypeAlias = "Callable[[ConcurrencyLimiter], Coroutine[Any, Any, None]]"

A, B = "here/a", "here/b"


def queued(limiter: ConcurrencyLimiter, *lanes: str) -> Task:
    """Start an `acquire`; it runs up to its wait when the loop comes to it."""
    return asyncio.get_running_loop().create_task(limiter.acquire(lanes))


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(4):
        await asyncio.sleep(0)


async def blocked(limiter: ConcurrencyLimiter, lane: str) -> Slot:
    """Take the only slot that a lane has left after throttles."""
    slots = [await limiter.acquire((lane,)) for _ in range(2)]
    slots[0].throttled()
    slots[0].release()
    [state] = [each for each in limiter.lanes if each.name == lane]
    assert (state.running, state.limit) == (1, 1.0)
    return slots[1]


def waiting(tasks: Sequence[Task]) -> list[bool]:
    """Say which of these still wait."""
    return [not task.done() for task in tasks]


async def a_blocked_lane_blocks_no_other(limiter: ConcurrencyLimiter) -> None:
    """Whoever waits for one lane is passed by those of another (no head-of-line blocking)."""
    await blocked(limiter, A)
    first, other = queued(limiter, A), queued(limiter, B)
    await settle()
    assert waiting([first, other]) == [True, False]


async def nobody_is_passed_within_a_lane(limiter: ConcurrencyLimiter) -> None:
    """Who would also take another lane does not get the first one sooner for that."""
    a, b = await blocked(limiter, A), await blocked(limiter, B)
    waiters = [queued(limiter, A), queued(limiter, B, A), queued(limiter, A)]
    await settle()
    a.release()
    await settle()
    assert waiting(waiters) == [False, True, True]
    b.release()
    await settle()
    assert waiting(waiters) == [False, False, True]
    assert waiters[1].result().lane == B
    waiters[0].result().release()
    await settle()
    assert waiting(waiters) == [False, False, False]


async def the_first_lane_with_room_is_taken(limiter: ConcurrencyLimiter) -> None:
    """The order of the lanes is the caller's preference."""
    assert (await limiter.acquire((A, B))).lane == A
    slot = await limiter.acquire((A,))
    slot.throttled()
    slot = await limiter.acquire((A, B))
    assert slot.lane == B
    tried = limiter.try_acquire((A, B))
    assert tried is not None
    assert tried.lane == B


async def a_slot_moves_at_once_or_not_at_all(limiter: ConcurrencyLimiter) -> None:
    """Failover takes the slot along; where it goes must have room, where it was gets room."""
    a, b = await blocked(limiter, A), await blocked(limiter, B)
    waiter = queued(limiter, A)
    await settle()
    assert (a.move(B), a.lane, limiter.running) == (False, A, 2)
    b.release()
    assert (a.move(B), a.lane, limiter.running) == (True, B, 2)
    await settle()
    assert waiting([waiter]) == [False]
    assert (a.move(B), a.lane) == (True, B)  # to where it is already
    a.release()
    with pytest.raises(RuntimeError, match="released"):
        a.move(A)


async def one_decrease_for_calls_that_were_sent_together(limiter: ConcurrencyLimiter) -> None:
    """Ten calls, six throttled: the first throttle decreases, the others lead to the four that are left."""
    slots = [await limiter.acquire((A,)) for _ in range(10)]
    slots[0].throttled()
    slots[0].release()
    assert limiter.lanes[0].limit == 5
    for slot in slots[1:6]:
        slot.throttled()
        slot.release()
    assert limiter.lanes[0].limit == 4


async def a_retry_is_a_new_question(limiter: ConcurrencyLimiter) -> None:
    """A retry's throttle counts like that of a new call, once the others have come down to the limit."""
    slots = [await limiter.acquire((A,)) for _ in range(8)]
    slots[0].throttled()
    slots[0].throttled()
    assert limiter.lanes[0].limit == 4
    for slot in slots[4:]:
        slot.release()
    slots[0].throttled()
    assert limiter.lanes[0].limit == 2


async def success_makes_room(limiter: ConcurrencyLimiter) -> None:
    """A saturated lane's limit grows, and whoever waits for it runs in that moment."""
    slot = await blocked(limiter, A)
    waiter = queued(limiter, A)
    await settle()
    for _ in range(3):
        slot.succeeded(0.1)
    await settle()
    assert waiting([waiter]) == [False]


async def the_limit_is_frozen_when_not_used(limiter: ConcurrencyLimiter) -> None:
    """Success proves nothing about a limit that was not reached (R39)."""
    slots = [await limiter.acquire((A,)) for _ in range(8)]
    slots[0].throttled()
    for slot in slots[1:6]:
        slot.release()
    for _ in range(100):
        slots[0].succeeded(0.1)
    assert limiter.lanes[0].limit == 4


async def at_the_ceiling_nothing_limits(limiter: ConcurrencyLimiter) -> None:
    """A limit that has grown to all slots there are is none any more."""
    slot = await blocked(limiter, A)
    slots = [slot]
    while limiter.lanes[0].limit is not None:
        slots[-1].succeeded(0.1)
        slots.extend(filter(None, [limiter.try_acquire((A,))]))
    assert len(slots) == limiter.max_running == 10


async def an_old_limit_is_forgotten(limiter: ConcurrencyLimiter) -> None:
    """After a minute without calls the lane is tried as if it were new; before, it is not."""
    (await blocked(limiter, A)).release()
    await asyncio.sleep(59)
    slot = await limiter.acquire((A,))
    assert limiter.try_acquire((A,)) is None
    slot.release()
    await asyncio.sleep(61)
    assert [limiter.try_acquire((A,)) is not None for _ in range(5)] == [True] * 5


async def memory_is_bounded(limiter: ConcurrencyLimiter) -> None:
    """Model ids come from callers: of 20,000 lanes only those in use and the last few limited ones stay."""
    busy = await blocked(limiter, A)
    waiter = queued(limiter, A)
    await settle()
    for number in range(20_000):
        with await limiter.acquire((f"here/{number}",)) as slot:
            if number % 2:
                slot.throttled()
        assert number % 100 or len(limiter.lanes) <= 600
    names = {lane.name for lane in limiter.lanes}
    assert {A, "here/19999"} <= names
    busy.release()
    assert (await waiter).lane == A


async def the_state_is_told(limiter: ConcurrencyLimiter) -> None:
    """What readiness and metrics show of a lane."""
    slot = await blocked(limiter, A)
    slot.succeeded(0.25)
    waiter = queued(limiter, A)
    await settle()
    assert [tuple(lane) for lane in limiter.lanes] == [(A, 1, 1, 1.5, 0.25)]
    waiter.cancel()


async def the_refusal_names_the_cause(limiter: ConcurrencyLimiter) -> None:
    """It is not our slots that are used up."""
    await blocked(limiter, A)
    limiter.resize(max_running=10, max_waiting=0, queue_timeout=5)
    with pytest.raises(Overloaded) as caught:
        await limiter.acquire((A,))
    assert caught.value.message == (
        "Bedrock takes no more calls to this model at present and the queue of 0 is full."
    )


async def raising_the_limit_lets_waiters_run(limiter: ConcurrencyLimiter) -> None:
    """A reload is felt at once, in either direction, and takes nothing from anybody."""
    limiter.resize(max_running=1, max_waiting=3, queue_timeout=5)
    slots = [await limiter.acquire((A,))]
    waiters = [queued(limiter, A) for _ in range(3)]
    await settle()
    limiter.resize(max_running=3, max_waiting=0, queue_timeout=1)
    assert (limiter.running, limiter.waiting) == (3, 1)
    limiter.resize(max_running=1, max_waiting=0, queue_timeout=1)
    await asyncio.sleep(4)
    assert (limiter.running, limiter.waiting) == (3, 1)  # it came when five seconds were allowed
    slots.extend([await waiter for waiter in waiters[:2]])
    for slot in slots[:2]:
        slot.release()
    assert (limiter.running, limiter.waiting) == (1, 1)
    slots[2].release()
    await settle()
    assert (limiter.running, waiting(waiters)) == (1, [False] * 3)


SCENES: list[Scene] = [
    a_blocked_lane_blocks_no_other,
    nobody_is_passed_within_a_lane,
    the_first_lane_with_room_is_taken,
    a_slot_moves_at_once_or_not_at_all,
    one_decrease_for_calls_that_were_sent_together,
    a_retry_is_a_new_question,
    success_makes_room,
    the_limit_is_frozen_when_not_used,
    at_the_ceiling_nothing_limits,
    an_old_limit_is_forgotten,
    memory_is_bounded,
    the_state_is_told,
    the_refusal_names_the_cause,
    raising_the_limit_lets_waiters_run,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(scene: Scene) -> None:
    """Each scene of the table holds; see its docstring."""

    async def played() -> None:
        limiter = ConcurrencyLimiter(
            max_running=10, max_waiting=10, queue_timeout=5.0, adaptive=Adaptive(decrease=0.5)
        )
        await scene(limiter)

    virtual_clock.run(played())


def test_without_adapting() -> None:
    """Where adapting is off, no throttle limits anything."""

    async def scene() -> None:
        limiter = ConcurrencyLimiter(max_running=3, max_waiting=0, queue_timeout=5.0)
        for _ in range(3):
            (await limiter.acquire((A,))).throttled()
        assert (limiter.running, limiter.lanes[0].limit) == (3, None)

    virtual_clock.run(scene())


@pytest.mark.parametrize("wrong", [{"floor": 0}, {"decrease": 0.0}, {"decrease": 1.0}])
def test_adaptive_is_checked(wrong: dict[str, Any]) -> None:
    """A limit that could reach nothing, or never shrink, is refused."""
    with pytest.raises(ValueError, match="floor must be at least 1 and decrease between 0 and 1"):
        Adaptive(**wrong)


def test_a_high_ratio_is_seldom_exceeded() -> None:
    """Large estimates decide, small ones with their overhead do not; what scatters is reckoned higher."""
    ratio = HighRatio()
    assert ratio.value is None
    for _ in range(20):
        ratio.add(100, 60)
        ratio.add(10_000, 9_900)
    assert ratio.value is not None
    assert 0.98 < ratio.value < 1.05

    chance = random.Random(1)  # noqa: S311 - a seed, no secret
    ratio, exceeded = HighRatio(), 0
    for _ in range(500):
        estimate = chance.randint(50, 10_000)
        actual = estimate * chance.gauss(1.2, 0.1)
        exceeded += ratio.value is not None and actual > ratio.value * estimate
        ratio.add(estimate, actual)
    assert exceeded < 15
