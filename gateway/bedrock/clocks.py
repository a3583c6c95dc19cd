"""The clocks of one call: connect (the client's own), first byte, gap and total.

They are deadlines, never ticks: when one strikes the answer is over (reliability.md S37).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from gateway.deadline import Deadline, DeadlinePassed
from gateway.errors import UpstreamTimeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.bedrock.exchange import Exchange
    from gateway.catalog.timeouts import Timeouts
    from gateway.settings import BedrockSettings

T = TypeVar("T")

EOF_PATIENCE = 1.0
"""Seconds to wait for the end of the body behind the last event: closing earlier would cost the pooled
connection and a TLS handshake for the next request (S2)."""

MAX_RESTED = 256
"""Deadlines, each with its timer, that are kept for the calls to come."""


class Clocks:
    """The deadlines of one call, in seconds of the loop's clock; the model's own before the general ones.

    `rested`: deadlines of calls that are over, of which one is taken and given back at the end.
    """

    __slots__ = (
        "_closed", "_deadline", "_first", "_first_at", "_gap", "_loop", "_rested", "_tail_ends", "_total",
        "_total_at", "answered",
    )  # fmt: skip

    def __init__(
        self,
        settings: BedrockSettings,
        own: Timeouts,
        *,
        streaming: bool,
        rested: list[Deadline] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self.answered = False
        """Whether a byte of the body has come: from then on the gap counts."""
        self._closed = False
        self._rested = rested
        self._deadline = rested.pop() if rested else Deadline()
        self._tail_ends: float | None = None
        self._gap = own.gap or settings.gap_timeout_ms / 1000
        self._total = own.total or settings.total_timeout_ms / 1000
        self._total_at = now + self._total
        self._first = own.first_byte or settings.first_byte_timeout_ms / 1000
        # a unary operation says nothing before it has said all: only the total bounds it
        self._first_at = now + self._first if streaming else self._total_at

    async def bound(self, awaitable: Awaitable[T]) -> T:
        """Await it under the clock that is due.

        Raises:
            UpstreamTimeout: the clock struck first; the message names it.
        """
        try:
            return await self._deadline.bound(awaitable, self._due())
        except DeadlinePassed:
            raise self._struck() from None

    async def arrival(self, exchange: Exchange) -> None:
        """Wait until there may be more of the answer, under the clock that is due.

        Raises:
            UpstreamTimeout: the clock struck first; the message names it.
        """
        future = exchange.arrival()
        self._deadline.watch(future, self._due())
        try:
            await future
        except DeadlinePassed:
            raise self._struck() from None

    async def forward(self, exchange: Exchange, take: Callable[[bytes], bool]) -> None:
        """Let `take` have what comes, as `Exchange.forward` does, each wait under the clock that is due.

        Raises:
            UpstreamTimeout: the clock struck first; the message names it.
        """

        def taken(data: bytes) -> bool:
            self.answered = True
            self._deadline.until = min(self._loop.time() + self._gap, self._total_at)
            return take(data)

        future = exchange.forward(taken)
        self._deadline.watch(future, self._due())
        try:
            await future
        except DeadlinePassed:
            raise self._struck() from None

    def _due(self) -> float:
        due = self._loop.time() + self._gap if self.answered else self._first_at
        return min(due, self._total_at)

    def _struck(self) -> UpstreamTimeout:
        if self._loop.time() >= self._total_at:
            return UpstreamTimeout(f"The answer took longer than {self._total:g} s.")
        if self.answered:
            return UpstreamTimeout(f"The answer fell silent for more than {self._gap:g} s.")
        return UpstreamTimeout(f"No first byte of the answer within {self._first:g} s.")

    async def tail(self, awaitable: Awaitable[T]) -> T:
        """Await it within one short time for everything behind the last event.

        Raises:
            TimeoutError: that time is over.
        """
        if self._tail_ends is None:
            self._tail_ends = min(self._loop.time() + EOF_PATIENCE, self._total_at)
        return await self._deadline.bound(awaitable, self._tail_ends)

    def close(self) -> None:
        """The call is over."""
        if self._closed:  # the deadline may be another call's by now
            return
        self._closed = True
        rested = self._rested
        if rested is None or len(rested) >= MAX_RESTED:
            self._deadline.close()
        else:
            self._deadline.rest()
            rested.append(self._deadline)
