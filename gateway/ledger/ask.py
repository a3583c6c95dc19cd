"""A request that waits for Redis, and for how long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.ledger import scripts

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ledger.charges import Order, Verdict


class Ask:
    """One order, until it is answered; None is the answer where Redis gives none. `overdue` ends the wait."""

    __slots__ = (
        "_again",
        "_due",
        "_loop",
        "_overdue",
        "_spare",
        "_timer",
        "answer",
        "asked",
        "grant_id",
        "order",
    )

    def __init__(self, grant_id: str, order: Order, timeout_s: float, overdue: Callable[[], None]) -> None:
        self.grant_id = grant_id
        self.order = order
        self.asked = scripts.reserve(grant_id, order)
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Verdict | None] = self._loop.create_future()
        self._overdue = overdue
        self._spare = timeout_s / 5
        self._due = self._loop.time() + timeout_s
        self._again = False
        self._timer = self._loop.call_at(self._due, self._late)

    def give(self, verdict: Verdict | None) -> bool:
        """Answer; says whether somebody is there to take it."""
        self._timer.cancel()
        if self.answer.done():
            return False
        self.answer.set_result(verdict)
        return True

    def leave(self) -> None:
        """Nobody waits any longer."""
        self._timer.cancel()

    def _late(self) -> None:
        """End the wait; but once, where this process itself is late, the answer may lie here already."""
        if not self._again and self._loop.time() > self._due + self._spare:
            self._again = True
            self._timer = self._loop.call_later(self._spare, self._late)
        else:
            self._overdue()
