"""The clocks of one call: connect (the client's own), first byte, gap and total.

They are deadlines, never ticks: when one strikes the answer is over (reliability.md S37).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from gateway.deadline import Deadline, DeadlinePassed
from gateway.errors import UpstreamTimeout

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from gateway.catalog.timeouts import Timeouts
    from gateway.settings import BedrockSettings

T = TypeVar("T")

EOF_PATIENCE = 1.0
"""Seconds to wait for the end of the body behind the last event: closing earlier would cost the pooled
connection and a TLS handshake for the next request (S2)."""


class Clocks:
    """The deadlines of one call, in seconds of the loop's clock; the model's own before the general ones."""

    def __init__(self, settings: BedrockSettings, own: Timeouts, *, streaming: bool) -> None:
        now = asyncio.get_running_loop().time()
        self.answered = False
        self._deadline = Deadline()
        self._tail_ends: float | None = None
        self._gap = own.gap or settings.gap_timeout_ms / 1000
        total = own.total or settings.total_timeout_ms / 1000
        self._total_at = now + total
        self._total_words = f"The answer took longer than {total:g} s."
        first = own.first_byte or settings.first_byte_timeout_ms / 1000
        # a unary operation says nothing before it has said all: only the total bounds it
        self._first_at = now + first if streaming else self._total_at
        self._first_words = f"No first byte of the answer within {first:g} s."
        self._gap_words = f"The answer fell silent for more than {self._gap:g} s."

    async def bound(self, awaitable: Awaitable[T]) -> T:
        """Await it under the clock that is due.

        Raises:
            UpstreamTimeout: the clock struck first; the message names it.
        """
        if self.answered:
            deadline, words = asyncio.get_running_loop().time() + self._gap, self._gap_words
        else:
            deadline, words = self._first_at, self._first_words
        if deadline >= self._total_at:
            deadline, words = self._total_at, self._total_words
        try:
            return await self._deadline.bound(awaitable, deadline)
        except DeadlinePassed:
            raise UpstreamTimeout(words) from None

    async def tail(self, awaitable: Awaitable[T]) -> T:
        """Await it within one short time for everything behind the last event.

        Raises:
            TimeoutError: that time is over.
        """
        if self._tail_ends is None:
            self._tail_ends = min(asyncio.get_running_loop().time() + EOF_PATIENCE, self._total_at)
        return await self._deadline.bound(awaitable, self._tail_ends)

    def close(self) -> None:
        """The call is over."""
        self._deadline.close()
