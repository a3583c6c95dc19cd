"""Ledgers that count in one Redis."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from gateway.ledger.charges import Charge, Granted, Order
from gateway.ledger.link import Link
from gateway.ledger.remote import Remote, Rules
from gateway.ledger.shared import SharedLedger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Reached(Protocol):
    """What has a URL."""

    url: str


PATIENT = Rules(timeout_s=20.0)
"""For tests in which Redis is well: that the machine stands still for a moment changes nothing."""


@asynccontextmanager
async def replica(
    server: Reached, rules: Rules = PATIENT, server_clock: Callable[[], int] | None = None
) -> AsyncIterator[SharedLedger]:
    """Run one replica's ledger for as long as the block does."""
    clock = asyncio.get_running_loop().time
    ledger = SharedLedger(Remote(Link(server.url), rules, server_clock), rules, clock)
    await ledger.open()
    try:
        yield ledger
    finally:
        await ledger.aclose()


def rate(amount: int = 1, limit: int = 100, key: str = "tokens", period_s: float = 86_400.0) -> Charge:
    """Return a charge of what refills so slowly that a test sees none of it: one unit in 864 s."""
    return Charge("rate", key, limit, amount, period_s)


def held(limit: int = 100, key: str = "streams") -> Charge:
    """Return a charge of something that is given back."""
    return Charge("held", key, limit, 1)


def spent(amount: int, limit: int = 100, key: str = "budget/2026-11") -> Charge:
    """Return a charge of a budget."""
    return Charge("spent", key, limit, amount, 3600.0)


async def granted(ledger: SharedLedger, *common: Charge) -> Granted:
    """Reserve what fits."""
    verdict = await ledger.reserve(Order("team", common))
    assert isinstance(verdict, Granted), verdict
    return verdict
