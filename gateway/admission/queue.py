"""The one queue of the process: bounded in count and in time, first come, first served.

A slot stands for one upstream stream and lives exactly as long as it does. Everything here happens on one
event loop and no check is separated from its change by an `await`, so no lock is needed.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Iterator


class ConcurrencyLimiter:
    """`max_running` slots; at most `max_waiting` requests wait, each for at most `queue_timeout` seconds.

    A released slot is handed to the oldest waiter directly; it never becomes free while somebody waits, so a
    newcomer cannot overtake.
    """

    def __init__(self, *, max_running: int, max_waiting: int, queue_timeout: float) -> None:
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.queue_timeout = queue_timeout
        self._running = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return (
            f"<ConcurrencyLimiter {self._running} of {self.max_running} running, "
            f"{self.waiting} of {self.max_waiting} waiting>"
        )

    @property
    def running(self) -> int:
        """Slots in use, those just handed to a waiter included."""
        return self._running

    @property
    def waiting(self) -> int:
        """Requests in the queue that have neither a slot nor given up."""
        return sum(not turn.done() for turn in self._queue)

    async def acquire(self) -> None:
        """Take a slot, waiting for one if need be. Each success needs exactly one `release`.

        Raises:
            Overloaded: the queue is full, or no slot came free in time.
        """
        if self._running < self.max_running:
            self._running += 1
            return
        # who gave up stays in the deque until its task runs: count the living, but only where it matters
        if len(self._queue) >= self.max_waiting and self.waiting >= self.max_waiting:
            raise Overloaded(
                f"All {self.max_running} slots are in use and the queue of {self.max_waiting} is full.",
                retry_after=self._retry_after(),
            )
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self.queue_timeout):
                await turn
        except BaseException as error:
            self._give_up(turn)
            if isinstance(error, TimeoutError):
                raise Overloaded(
                    f"No slot came free within {self.queue_timeout:g} s.", retry_after=self._retry_after()
                ) from None
            raise

    def try_acquire(self) -> bool:
        """Take a slot if one is free and nobody waits; a success needs a `release`."""
        if self._running >= self.max_running:
            return False
        self._running += 1
        return True

    def release(self) -> None:
        """Give a slot back: to the oldest waiter, or to nobody."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)  # the slot changes hands; `running` stays
                return
        self._running -= 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Release the slot that `acquire` gave when the block ends, however it ends."""
        try:
            yield
        finally:
            self.release()

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        """Leave the queue; a slot that was handed over at this very instant goes on to the next waiter."""
        if turn.done() and not turn.cancelled():
            self.release()
            return
        turn.cancel()
        if turn in self._queue:
            self._queue.remove(turn)

    def _retry_after(self) -> int:
        return max(1, math.ceil(self.queue_timeout))
