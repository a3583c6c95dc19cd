"""The limiter: first come, first served, bounded in count and time, and no slot is ever lost (R35, R36)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from gateway.admission.queue import ConcurrencyLimiter
from gateway.admission.slots import Slot
from gateway.errors import Overloaded
from tests import virtual_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Task: TypeAlias = asyncio.Task[Slot]
Scene: TypeAlias = "Callable[[ConcurrencyLimiter], Coroutine[Any, Any, None]]"


def limiter_of(max_running: int = 1, max_waiting: int = 3, queue_timeout: float = 5.0) -> ConcurrencyLimiter:
    """Return a limiter with small limits."""
    return ConcurrencyLimiter(max_running=max_running, max_waiting=max_waiting, queue_timeout=queue_timeout)


def queued(limiter: ConcurrencyLimiter) -> Task:
    """Start an `acquire`; it runs up to its wait when the loop comes to it."""
    return asyncio.get_running_loop().create_task(limiter.acquire())


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(4):
        await asyncio.sleep(0)


def has_slot(task: Task) -> bool:
    """Say whether the `acquire` succeeded."""
    return task.done() and not task.cancelled() and task.exception() is None


def state(limiter: ConcurrencyLimiter) -> tuple[int, int]:
    """Return running and waiting."""
    return limiter.running, limiter.waiting


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────


async def slots_are_given_at_once(limiter: ConcurrencyLimiter) -> None:
    """While slots are free, `acquire` does not wait and nobody is in the queue."""
    slot = await limiter.acquire()
    assert state(limiter) == (1, 0)
    slot.release()
    assert state(limiter) == (0, 0)


async def first_come_first_served(limiter: ConcurrencyLimiter) -> None:
    """Waiters get slots in the order in which they came."""
    held = await limiter.acquire()
    waiters = [queued(limiter) for _ in range(3)]
    await settle()
    order = []
    for waiter in waiters:
        held.release()
        await settle()
        order.append([has_slot(waiter) for waiter in waiters])
        held = waiter.result()
    assert order == [[True, False, False], [True, True, False], [True, True, True]]
    assert state(limiter) == (1, 0)


async def a_slot_changes_hands(limiter: ConcurrencyLimiter) -> None:
    """A released slot is never free while somebody waits, so a newcomer cannot overtake."""
    held = await limiter.acquire()
    waiter = queued(limiter)
    await settle()
    held.release()
    newcomer = queued(limiter)
    assert state(limiter) == (1, 0)
    await settle()
    assert (has_slot(waiter), newcomer.done(), state(limiter)) == (True, False, (1, 1))
    waiter.result().release()
    (await newcomer).release()


async def the_queue_is_bounded(limiter: ConcurrencyLimiter) -> None:
    """One more than the queue takes is refused at once, in words and with a time to come back."""
    held = await limiter.acquire()
    waiters = [queued(limiter) for _ in range(3)]
    await settle()
    with pytest.raises(Overloaded) as caught:
        await limiter.acquire()
    assert caught.value.message == "All 1 slots are in use and the queue of 3 is full."
    assert caught.value.retry_after == 5
    assert asyncio.get_running_loop().time() == 0
    assert [waiter.done() for waiter in waiters] == [False] * 3
    held.release()
    for waiter in waiters:
        (await waiter).release()


async def the_wait_is_bounded(limiter: ConcurrencyLimiter) -> None:
    """Who waited too long is told so, leaves the queue, and has taken no slot."""
    await limiter.acquire()
    with pytest.raises(Overloaded) as caught:
        await limiter.acquire()
    assert (caught.value.message, caught.value.retry_after) == ("No slot came free within 5 s.", 5)
    assert asyncio.get_running_loop().time() == 5
    assert state(limiter) == (1, 0)


async def the_clock_of_each_waiter_is_its_own(limiter: ConcurrencyLimiter) -> None:
    """A waiter that came later gives up later; one that got its slot has no clock any more."""
    held = await limiter.acquire()
    first = queued(limiter)
    await asyncio.sleep(2)
    second = queued(limiter)
    await asyncio.sleep(2)
    held.release()
    await asyncio.sleep(2.5)
    assert (has_slot(first), second.done()) == (True, False)
    await asyncio.sleep(1)
    assert isinstance(second.exception(), Overloaded)


async def a_cancelled_waiter_leaves_at_once(limiter: ConcurrencyLimiter) -> None:
    """Its place is free in the very moment of the cancel, before its task has run (R36)."""
    held = await limiter.acquire()
    waiters = [queued(limiter) for _ in range(3)]
    await settle()
    waiters[1].cancel()
    assert state(limiter) == (1, 2)
    newcomer = queued(limiter)
    await settle()
    assert (newcomer.done(), state(limiter)) == (False, (1, 3))
    held.release()
    for task in (waiters[0], waiters[2], newcomer):
        (await task).release()
    assert waiters[1].cancelled()


async def a_newcomer_takes_a_cancelled_place_in_the_same_step(limiter: ConcurrencyLimiter) -> None:
    """A full queue with a waiter who has just left has room, though the leaver has not run yet."""
    held = await limiter.acquire()
    waiters = [queued(limiter) for _ in range(3)]
    await settle()
    waiters[0].cancel()
    newcomer = limiter.acquire()
    newcomer.send(None)  # not refused: it runs on at once, before the leaver does
    assert (waiters[0].done(), state(limiter)) == (False, (1, 3))
    newcomer.close()
    held.release()
    for waiter in waiters[1:]:
        (await waiter).release()
    assert (waiters[0].cancelled(), state(limiter)) == (True, (0, 0))


async def cancel_then_hand_over(limiter: ConcurrencyLimiter) -> None:
    """The head is cancelled just before a slot is handed over: the slot goes to the next."""
    held = await limiter.acquire()
    head, following = queued(limiter), queued(limiter)
    await settle()
    head.cancel()
    held.release()
    await settle()
    assert (head.cancelled(), has_slot(following), state(limiter)) == (True, True, (1, 0))


async def hand_over_then_cancel(limiter: ConcurrencyLimiter) -> None:
    """The head is cancelled just after a slot was handed to it: the slot goes on to the next."""
    held = await limiter.acquire()
    head, following = queued(limiter), queued(limiter)
    await settle()
    held.release()
    head.cancel()
    await settle()
    assert (head.cancelled(), has_slot(following), state(limiter)) == (True, True, (1, 0))


async def hand_over_then_cancel_of_the_last(limiter: ConcurrencyLimiter) -> None:
    """With nobody behind it, the slot of a cancelled head becomes free."""
    held = await limiter.acquire()
    head = queued(limiter)
    await settle()
    held.release()
    head.cancel()
    await settle()
    assert (head.cancelled(), state(limiter)) == (True, (0, 0))


async def hand_over_at_the_instant_of_the_timeout(limiter: ConcurrencyLimiter) -> None:
    """Slot and timeout at one moment: whichever way it ends for the head, the slot is not lost."""
    held = await limiter.acquire()
    head = queued(limiter)
    await asyncio.sleep(2)
    following = queued(limiter)
    asyncio.get_running_loop().call_at(5, held.release)
    await asyncio.sleep(3.5)
    assert has_slot(head) != has_slot(following)
    assert state(limiter) == (1, 0 if has_slot(following) else 1)
    if has_slot(head):
        head.result().release()
    (await following).release()
    assert state(limiter) == (0, 0)


async def timeout_at_the_instant_of_the_hand_over(limiter: ConcurrencyLimiter) -> None:
    """The other way round: who has the slot keeps it, though the clock strikes before the task runs."""
    held = await limiter.acquire()
    asyncio.get_running_loop().call_at(5, held.release)
    head = queued(limiter)
    await asyncio.sleep(5.5)
    assert (has_slot(head), state(limiter)) == (True, (1, 0))


async def cancel_at_the_instant_of_the_timeout(limiter: ConcurrencyLimiter) -> None:
    """Who leaves in the moment of being sent away has left, and took nothing along."""
    await limiter.acquire()
    head = queued(limiter)
    await settle()
    asyncio.get_running_loop().call_at(5, head.cancel)
    await asyncio.sleep(5.5)
    assert (head.cancelled(), state(limiter)) == (True, (1, 0))


async def a_closed_coroutine_leaves(limiter: ConcurrencyLimiter) -> None:
    """Also who is thrown away instead of being cancelled leaves nothing in the queue."""
    await limiter.acquire()
    entering = limiter.acquire()
    entering.send(None)
    assert state(limiter) == (1, 1)
    entering.close()
    assert state(limiter) == (1, 0)


async def who_leaves_leaves_nothing(limiter: ConcurrencyLimiter) -> None:
    """The queue does not grow by those who gave up while no slot comes free."""
    await limiter.acquire()
    waiters = [queued(limiter) for _ in range(3)]
    await settle()
    waiters[0].cancel()
    await asyncio.sleep(6)
    assert [type(waiter.exception()) for waiter in waiters[1:]] == [Overloaded, Overloaded]
    assert not any(limiter._room.line._ranks)


async def all_waiters_cancelled(limiter: ConcurrencyLimiter) -> None:
    """A release behind waiters that have all left makes the slot free."""
    held = await limiter.acquire()
    waiters = [queued(limiter) for _ in range(3)]
    await settle()
    for waiter in waiters:
        waiter.cancel()
    held.release()
    assert state(limiter) == (0, 0)
    await limiter.acquire()
    await settle()
    assert state(limiter) == (1, 0)


async def the_repr_tells_the_truth(limiter: ConcurrencyLimiter) -> None:
    """An operator reads the state in the log, and a waiter that has left is not in it."""
    held = await limiter.acquire()
    waiters = [queued(limiter) for _ in range(2)]
    await settle()
    assert repr(limiter) == "<ConcurrencyLimiter 1 of 1 running, 2 of 3 waiting>"
    waiters[0].cancel()
    assert repr(limiter) == "<ConcurrencyLimiter 1 of 1 running, 1 of 3 waiting>"
    held.release()
    assert repr(limiter) == "<ConcurrencyLimiter 1 of 1 running, 0 of 3 waiting>"
    await settle()


async def a_slot_goes_back_once(limiter: ConcurrencyLimiter) -> None:
    """However its block ends, and however often it is released."""
    for error in (RuntimeError, asyncio.CancelledError, GeneratorExit):
        with pytest.raises(error), await limiter.acquire() as slot:
            raise error
        slot.release()
        assert (repr(slot), state(limiter)) == ("<Slot in None, released>", (0, 0))


async def only_what_is_free_is_tried(limiter: ConcurrencyLimiter) -> None:
    """`try_acquire` never waits."""
    slot = limiter.try_acquire()
    assert slot is not None
    assert limiter.try_acquire() is None
    slot.release()
    assert state(limiter) == (0, 0)


SCENES: list[Scene] = [
    slots_are_given_at_once,
    first_come_first_served,
    a_slot_changes_hands,
    the_queue_is_bounded,
    the_wait_is_bounded,
    the_clock_of_each_waiter_is_its_own,
    a_cancelled_waiter_leaves_at_once,
    a_newcomer_takes_a_cancelled_place_in_the_same_step,
    cancel_then_hand_over,
    hand_over_then_cancel,
    hand_over_then_cancel_of_the_last,
    hand_over_at_the_instant_of_the_timeout,
    timeout_at_the_instant_of_the_hand_over,
    cancel_at_the_instant_of_the_timeout,
    a_closed_coroutine_leaves,
    who_leaves_leaves_nothing,
    all_waiters_cancelled,
    the_repr_tells_the_truth,
    a_slot_goes_back_once,
    only_what_is_free_is_tried,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(scene: Scene) -> None:
    """Each scene of the table holds; see its docstring."""

    async def played() -> None:
        await scene(limiter_of())

    virtual_clock.run(played())


def test_no_queue() -> None:
    """With room for nobody, whoever finds no slot is refused at once."""

    async def scene() -> None:
        limiter = limiter_of(max_waiting=0)
        await limiter.acquire()
        with pytest.raises(Overloaded, match="queue of 0 is full"):
            await limiter.acquire()

    virtual_clock.run(scene())


@pytest.mark.parametrize(("queue_timeout", "retry_after"), [(0.05, 1), (1, 1), (1.2, 2), (30, 30)])
def test_retry_after(queue_timeout: float, retry_after: int) -> None:
    """The time to come back is whole seconds, rounded up, and never none."""

    async def scene() -> int | None:
        limiter = limiter_of(queue_timeout=queue_timeout)
        await limiter.acquire()
        with pytest.raises(Overloaded) as caught:
            await limiter.acquire()
        return caught.value.retry_after

    assert virtual_clock.run(scene()) == retry_after
