"""Answers that are read on after their caller has left, so that their tokens are known.

To close the connection frees what is ours, but Bedrock is reported to bill the whole answer all the same
(reliability.md S36), and only its end tells the count. A drain keeps its slot and its connection; drains are
bounded in number and in time.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.pipeline import CompletionStream, OpenCompletion


class AbandonedAnswers:
    """Reads at most `max_running` answers to their end (0: none), each for at most `seconds`."""

    def __init__(self, *, max_running: int, seconds: float) -> None:
        self.max_running = max_running
        self.seconds = seconds
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many answers are being read at the moment."""
        return len(self._tasks)

    def adopt(
        self,
        stream: CompletionStream | asyncio.Task[CompletionStream],
        opened: OpenCompletion,
        settle: Callable[[], None],
    ) -> bool:
        """Read this answer on if there is room, and say whether there was; a task gives one that is to begin.

        If so, `opened` (slot and connection) is taken over and closed in the end, and `settle` is called
        behind that, whatever happens.
        """
        if len(self._tasks) >= self.max_running:
            return False
        drain = self._drain(stream, opened, settle)
        task = asyncio.create_task(drain, name="abandoned answer")  # noqa: TID251 - `close` and the timeout end it
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def settled(self) -> None:
        """Return when those that are being read now have ended."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def aclose(self) -> None:
        """Give up what is still being read."""
        await asyncio.sleep(0)  # a task that is cancelled before its first turn runs no `finally` of its own
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    async def _begun(
        opening: asyncio.Task[CompletionStream], opened: OpenCompletion, until: float
    ) -> CompletionStream:
        try:
            async with asyncio.timeout_at(until):
                return await opening
        except BaseException:
            # who fails or is ended gives back itself what it has taken; not who came in the very moment
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                await opened.aclose()
            raise

    async def _drain(
        self,
        stream: CompletionStream | asyncio.Task[CompletionStream],
        opened: OpenCompletion,
        settle: Callable[[], None],
    ) -> None:
        until = asyncio.get_running_loop().time() + self.seconds
        try:
            with suppress(GatewayError, TimeoutError):
                if isinstance(stream, asyncio.Task):
                    stream = await self._begun(stream, opened, until)
                async with aclosing(opened), asyncio.timeout_at(until):
                    while await stream.next_batch() is not None:
                        pass
        finally:
            settle()
