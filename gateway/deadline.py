"""Deadlines that cost next to nothing while they are kept.

`asyncio.timeout` makes, arms and cancels a timer each time: 5 µs for every read and every write of a stream.
Here one timer serves a whole stream; it is armed again only when it fires and finds that there is time left.
What waits is a task (`bound`), or, for less, nothing but a future (`watch`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class DeadlinePassed(TimeoutError):
    """A `Deadline` struck: told apart from the timeouts that others raise."""


class Deadline:
    """Bounds one await after the other, never two at a time. `close` it when the stream is over.

    Or let it `rest` and give it to the next stream: that arms no timer where its end is not earlier.

    Like `asyncio.timeout` it cancels the task that waits, and turns that cancellation, and no other, into an
    error of its own.
    """

    __slots__ = ("_armed_for", "_extend", "_future", "_loop", "_struck", "_task", "_timer", "until")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._future: asyncio.Future[None] | None = None
        self.until = 0.0
        """Until when there is time, by the loop's clock; it may be put off while something is watched."""
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = 0.0
        self._extend: Callable[[float], float] | None = None
        self._struck = False

    async def bound(
        self, awaitable: Awaitable[T], until: float, extend: Callable[[float], float] | None = None
    ) -> T:
        """Return what `awaitable` gives, if it does so before the loop's clock says `until`.

        `extend` is asked at that moment: where it returns a later one, that is the deadline.

        Raises:
            DeadlinePassed: it did not.
        """
        task = asyncio.current_task(self._loop)
        assert task is not None, "only a task can be bounded"  # noqa: S101 - asyncio.timeout says the same
        before = task.cancelling()
        self._task, self.until, self._extend = task, until, extend
        if self._timer is None or until < self._armed_for:
            self._arm(until)
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._struck and self._take_back(task) <= before:
                raise DeadlinePassed from None
            raise
        finally:
            self._task = None
            if self._struck:  # the await ended by itself in the same moment
                self._take_back(task)

    def watch(self, future: asyncio.Future[None], until: float) -> None:
        """Let `future` fail with `DeadlinePassed` when the loop's clock says `until`, unless it is done then.

        Whoever awaits it needs no cancellation, and nothing has to be taken back when it is done.
        """
        self._future, self.until, self._extend = future, until, None
        if self._timer is None or until < self._armed_for:
            self._arm(until)

    def rest(self) -> None:
        """Nobody waits any more; the timer stays armed, for the next stream to find it."""
        self._future = None

    def close(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take_back(self, task: asyncio.Task[object]) -> int:
        """Undo the cancellation of `_fire`; return how many by others are left."""
        self._struck = False
        return task.uncancel()

    def _arm(self, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = until
        self._timer = self._loop.call_at(until, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._future is not None and self._future.done():
            self._future = None
        if self._task is None and self._future is None:
            return  # nobody waits; the next who does arms it again
        now = self._loop.time()
        if now >= self.until and self._extend is not None:
            self.until = self._extend(now)
        if now < self.until:
            self._arm(self.until)
            return
        if self._task is None:
            assert self._future is not None  # noqa: S101 - somebody waits, as seen above
            self._future.set_exception(DeadlinePassed())
            return
        self._struck = True
        self._task.cancel()
