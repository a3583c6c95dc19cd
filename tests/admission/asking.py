"""Requests for the limiter: calls of a known demand, and callers with rules."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from gateway.admission.caller import Caller, CallerRules
from gateway.admission.demand import Ticket, Used
from gateway.admission.queue import ConcurrencyLimiter
from gateway.admission.quotas import Quota, QuotaRule, Quotas
from gateway.catalog.catalog import Catalog
from gateway.ledger.local import LocalLedger
from gateway.upstream import UpstreamCall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.admission.slots import Slot

MODEL = "us.anthropic.claude-sonnet-4-20250514-v1:0"
"""It has a burndown of 5, and costs 3 USD a million tokens in and 15 out."""
LANE, OTHER = f"here/{MODEL}", f"there/{MODEL}"
TODAY = datetime(2026, 11, 21, 18, 0, tzinfo=UTC)


SONNET = Catalog(region="us-east-1").resolve(MODEL)


def call(read: int = 100, written: int = 100, target: str = "here") -> UpstreamCall:
    """Return a call whose demand is so many tokens in and out."""
    body = orjson.dumps({"max_tokens": written, "text": ""})
    body = body[:-2] + b"x" * (4 * read - len(body)) + b'"}'
    return UpstreamCall(SONNET, body, {}, target=target)


def caller(name: str = "team", **rules: Any) -> Caller:
    """Return a caller with these rules."""
    return Caller(name, CallerRules(**rules))


def quotas(targets: Sequence[str] = ("*",), **quota: Any) -> Quotas:
    """Return the same quota for every model at these targets."""
    return Quotas([QuotaRule("*", tuple(targets), Quota(**quota))])


class Desk:
    """A limiter with a ledger; to be made in the event loop."""

    def __init__(self, ledger: LocalLedger | None = None, **options: Any) -> None:
        self.ledger = ledger or LocalLedger(asyncio.get_running_loop().time)
        self.today = TODAY
        given: dict[str, Any] = {"max_running": 10, "max_waiting": 10, "queue_timeout": 100.0}
        self.limiter = ConcurrencyLimiter(**given | options, ledger=self.ledger, today=lambda: self.today)

    async def ask(self, who: Caller, *calls: UpstreamCall, **options: Any) -> Slot:
        """Take a slot for a request of this caller."""
        calls = calls or (call(),)
        ticket = Ticket(who, calls)
        return await self.limiter.acquire([each.lane for each in calls], ticket=ticket, **options)

    def later(self, who: Caller, *calls: UpstreamCall, **options: Any) -> asyncio.Task[Slot]:
        """Do so in a task."""
        return asyncio.ensure_future(self.ask(who, *calls, **options))

    def is_at_rest(self) -> bool:
        """Whether nothing is held of anything."""
        limiter, ledger = self.limiter, self.ledger
        return not (limiter.running or limiter.waiting or ledger.measures.leases or ledger._open)


def done(slot: Slot, read: int = 100, written: int = 100, cost: float | None = None) -> None:
    """Give a slot back whose call used so much."""
    slot.used(Used(read, written, 0, 0, cost))
    slot.release()


async def settle() -> None:
    """Let everything run that is ready."""
    for _ in range(10):
        await asyncio.sleep(0)
