"""The one timer of a stream, on a virtual clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.bedrock.clocks import Clocks
from gateway.catalog.timeouts import GENERAL
from gateway.deadline import Deadline, DeadlinePassed
from gateway.errors import UpstreamTimeout
from gateway.settings import BedrockSettings
from tests.virtual_clock import run

if TYPE_CHECKING:
    from collections.abc import Callable


async def _sleep(seconds: float, result: str = "done") -> str:
    await asyncio.sleep(seconds)
    return result


def test_in_time() -> None:
    """What ends in time gives its result."""

    async def scene() -> str:
        deadline = Deadline()
        result = await deadline.bound(_sleep(1), asyncio.get_running_loop().time() + 2)
        deadline.close()
        return result

    assert run(scene()) == "done"


def test_too_late() -> None:
    """What does not end in time is cancelled at that time, and the task can go on."""

    async def scene() -> tuple[float, int]:
        loop, deadline = asyncio.get_running_loop(), Deadline()
        with pytest.raises(DeadlinePassed):
            await deadline.bound(_sleep(100), loop.time() + 2)
        struck = loop.time()
        await deadline.bound(_sleep(1), loop.time() + 2)
        task = asyncio.current_task()
        assert task is not None
        return struck, task.cancelling()

    assert run(scene()) == (2, 0)


@pytest.mark.parametrize(("first", "second", "struck"), [(10, 3, 4), (3, 10, 11), (3, 3, 4)])
def test_each_wait_has_its_own_deadline(first: float, second: float, struck: float) -> None:
    """A later wait may have less or more time than the one the timer was armed for."""

    async def scene() -> float:
        loop, deadline = asyncio.get_running_loop(), Deadline()
        await deadline.bound(_sleep(1), loop.time() + first)
        with pytest.raises(DeadlinePassed):
            await deadline.bound(_sleep(100), loop.time() + second)
        return loop.time()

    assert run(scene()) == struck


def test_the_pause_between_waits_does_not_count() -> None:
    """Nobody is struck while nobody waits, however long that is."""

    async def scene() -> str:
        loop, deadline = asyncio.get_running_loop(), Deadline()
        await deadline.bound(_sleep(1), loop.time() + 2)
        await asyncio.sleep(50)
        return await deadline.bound(_sleep(1), loop.time() + 2)

    assert run(scene()) == "done"


def test_one_timer_for_many_waits() -> None:
    """A thousand waits inside one deadline arm one timer."""

    async def scene() -> int:
        loop, deadline = asyncio.get_running_loop(), Deadline()
        armed = 0
        call_at = loop.call_at

        def counted(when: float, callback: Any, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
            nonlocal armed
            armed += callback == deadline._fire
            return call_at(when, callback, *arguments, **options)

        loop.call_at = counted  # type: ignore[method-assign, assignment]  # the loop of this scene only
        for _ in range(1000):
            await deadline.bound(_sleep(0.001), loop.time() + 60)
        deadline.close()
        return armed

    assert run(scene()) == 1


def test_a_cancellation_of_others_stays_one() -> None:
    """Who cancels the task gets a cancelled task, not a passed deadline."""

    async def scene() -> bool:
        loop = asyncio.get_running_loop()

        async def waits() -> None:
            await Deadline().bound(_sleep(100), loop.time() + 50)

        task = loop.create_task(waits())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert run(scene())


def test_a_cancellation_at_the_same_moment_wins() -> None:
    """Where deadline and caller end the wait together, the task is cancelled."""

    async def scene() -> bool:
        loop = asyncio.get_running_loop()

        async def waits() -> None:
            await Deadline().bound(_sleep(100), 5)

        task = loop.create_task(waits())
        loop.call_at(5, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert run(scene())


def test_other_errors_pass() -> None:
    """An error of the awaited is its own, a timeout of its own too."""

    async def fails() -> None:
        raise TimeoutError("mine")

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError, match="mine") as caught:
            await Deadline().bound(fails(), loop.time() + 5)
        assert type(caught.value) is TimeoutError

    run(scene())


def test_an_end_that_the_cancellation_brought_about() -> None:
    """An await that answers the cancellation with a result gives it, and nothing is left behind."""

    async def stubborn() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return "late"
        return "never"

    async def scene() -> tuple[str, int]:
        result = await Deadline().bound(stubborn(), 5)
        task = asyncio.current_task()
        assert task is not None
        return result, task.cancelling()

    assert run(scene()) == ("late", 0)


def test_extended_while_there_is_reason_to() -> None:
    """Who is asked at the deadline may set a later one, again and again; the wait after it asks nobody."""

    async def scene() -> tuple[list[float], float, float]:
        loop, deadline = asyncio.get_running_loop(), Deadline()
        asked: list[float] = []

        def extend(now: float) -> float:
            asked.append(now)
            return now + 3 if len(asked) < 3 else now

        with pytest.raises(DeadlinePassed):
            await deadline.bound(_sleep(100), loop.time() + 2, extend)
        struck = loop.time()
        with pytest.raises(DeadlinePassed):
            await deadline.bound(_sleep(100), loop.time() + 1)
        return asked, struck, loop.time()

    assert run(scene()) == ([2, 5, 8], 8, 9)


def test_a_future_in_time() -> None:
    """A watched future that is done has its own result, and nothing strikes later."""

    async def scene() -> tuple[float, bool]:
        loop, deadline = asyncio.get_running_loop(), Deadline()
        future: asyncio.Future[None] = loop.create_future()
        deadline.watch(future, loop.time() + 2)
        loop.call_later(1, future.set_result, None)
        await future
        await asyncio.sleep(5)
        return loop.time(), future.exception() is None

    assert run(scene()) == (6, True)


@pytest.mark.parametrize(("first", "second", "struck"), [(10, 3, 4), (3, 10, 11), (3, 3, 4)])
def test_each_future_has_its_own_deadline(first: float, second: float, struck: float) -> None:
    """A later one may have less or more time than the one the timer was armed for; tasks and futures mix."""

    async def scene() -> tuple[float, int]:
        loop, deadline = asyncio.get_running_loop(), Deadline()
        done: asyncio.Future[None] = loop.create_future()
        deadline.watch(done, loop.time() + first)
        loop.call_later(1, done.set_result, None)
        await done
        never: asyncio.Future[None] = loop.create_future()
        deadline.watch(never, loop.time() + second)
        with pytest.raises(DeadlinePassed):
            await never
        at = loop.time()
        with pytest.raises(DeadlinePassed):
            await deadline.bound(_sleep(100), loop.time() + 2)
        deadline.close()
        task = asyncio.current_task()
        assert task is not None
        return at, task.cancelling()

    assert run(scene()) == (struck, 0)


def test_cancelled_while_a_future_is_watched() -> None:
    """Cancellation by others stays what it is, and the deadline forgets the future."""

    async def scene() -> tuple[float, list[dict[str, Any]]]:
        loop, deadline = asyncio.get_running_loop(), Deadline()
        faults: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, fault: faults.append(fault))
        future: asyncio.Future[None] = loop.create_future()
        deadline.watch(future, loop.time() + 2)
        loop.call_later(1, future.cancel)
        with pytest.raises(asyncio.CancelledError):
            await future
        await asyncio.sleep(5)
        deadline.close()
        return loop.time(), faults

    assert run(scene()) == (6, [])


def test_what_is_watched_may_have_more_time() -> None:
    """It fails when the last of its moments has come, not when the first has."""

    async def scene() -> float:
        loop, deadline = asyncio.get_running_loop(), Deadline()
        future = loop.create_future()
        deadline.watch(future, 2.0)
        loop.call_at(1.5, setattr, deadline, "until", 3.5)
        loop.call_at(3.0, setattr, deadline, "until", 5.0)
        with pytest.raises(DeadlinePassed):
            await future
        return loop.time()

    assert run(scene()) == 5.0


def test_rest() -> None:
    """The next stream finds the timer armed, and its own deadline strikes all the same, earlier or later."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadline = Deadline()
        for first, second in ((10.0, 20.0), (20.0, 5.0)):
            done = loop.create_future()
            deadline.watch(done, loop.time() + first)
            done.set_result(None)
            await done
            deadline.rest()

            begun = loop.time()
            late: asyncio.Future[None] = loop.create_future()
            deadline.watch(late, begun + second)
            with pytest.raises(DeadlinePassed):
                await late
            assert loop.time() == pytest.approx(begun + second)
            deadline.rest()
        await asyncio.sleep(100.0)  # an old timer hits nobody

    run(main())


def test_clocks_give_their_deadline_back_once() -> None:
    """No two calls ever have the same one, even where one of them is closed twice."""

    async def main() -> None:
        rested: list[Deadline] = []
        clocks = Clocks(BedrockSettings(), GENERAL, streaming=True, rested=rested)
        clocks.close()
        (kept,) = rested
        again = Clocks(BedrockSettings(), GENERAL, streaming=True, rested=rested)
        assert not rested
        clocks.close()
        assert not rested
        again.close()
        assert rested == [kept]

    run(main())


@pytest.mark.parametrize(
    ("total", "moments", "struck", "words"),
    [
        (60, (6, 12, 18), 28, "fell silent for more than 10 s"),
        (60, (), 10, "fell silent"),
        (15, (6, 12), 15, "longer than 15 s"),
    ],
)
def test_each_piece_puts_the_clock_off(
    total: float, moments: tuple[float, ...], struck: float, words: str
) -> None:
    """The gap counts from the last piece that went by, and never beyond the total."""

    class FarEnd:
        """Pushes a piece at each moment, then falls silent."""

        def forward(self, take: Callable[[bytes], bool]) -> asyncio.Future[None]:
            loop = asyncio.get_running_loop()
            for moment in moments:
                loop.call_at(moment, take, b"piece")
            return loop.create_future()

    async def main() -> None:
        taken: list[bytes] = []

        def take(data: bytes) -> bool:
            taken.append(data)
            return True

        settings = BedrockSettings(gap_timeout_ms=10_000, total_timeout_ms=int(total * 1000))
        clocks = Clocks(settings, GENERAL, streaming=True)
        clocks.answered = True
        far_end: Any = FarEnd()
        with pytest.raises(UpstreamTimeout, match=words):
            await clocks.forward(far_end, take)
        assert asyncio.get_running_loop().time() == struck
        assert len(taken) == len(moments)
        clocks.close()

    run(main())
