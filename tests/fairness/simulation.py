"""The real limiter between unequal callers, in virtual time: who waits, and who gets how much.

*Wait* is from a request's coming to the first byte of its answer: the queue, and what the model takes anyway.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.admission.caller import Caller, CallerRules
from gateway.admission.demand import Ticket, Used
from gateway.admission.queue import ConcurrencyLimiter
from gateway.admission.quotas import Quota, QuotaRule, Quotas
from gateway.errors import Overloaded
from gateway.ledger.local import LocalLedger
from tests import virtual_clock
from tests.admission.asking import call

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOTS, QUEUE, PATIENCE = 20, 40, 10.0
FIRST_BYTE, SERVICE = 0.3, 1.0
"""Mean seconds to a first byte, and of a whole answer: the slots take 20 requests a second."""


@dataclass(frozen=True)
class Asker:
    """A caller: how many requests a second it sends, at random, and of how many tokens in and out."""

    rate: float
    weight: float = 1.0
    tokens: tuple[int, int] = (500, 500)


@dataclass
class Outcome:
    """By caller: the waits of those served, the tokens that they were given, and how many were refused."""

    waits: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    tokens: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def run(
    askers: Mapping[str, Asker], *, seconds: float = 60.0, seed: int = 1, tokens_per_minute: int | None = None
) -> Outcome:
    """Let them ask for so long; with `tokens_per_minute` it is the quota that is too small, not the slots.

    A quota is full at first, and nobody waits: who comes in that time is not counted.
    """
    since = 0.0 if tokens_per_minute is None else seconds / 2
    outcome, chance = Outcome(), random.Random(seed)  # noqa: S311 - a seed, no secret

    async def one(limiter: ConcurrencyLimiter, caller: Caller, tokens: tuple[int, int]) -> None:
        came, asked = limiter.now(), call(*tokens)
        try:
            slot = await limiter.acquire([asked.lane], ticket=Ticket(caller, [asked]))
        except Overloaded:
            outcome.refused[caller.name] += came >= since
            return
        first_byte = FIRST_BYTE * chance.uniform(0.5, 1.5)
        await asyncio.sleep(first_byte)
        if came >= since:
            outcome.waits[caller.name].append(limiter.now() - came)
        await asyncio.sleep(chance.expovariate(1 / (SERVICE - FIRST_BYTE)))
        outcome.tokens[caller.name] += sum(tokens) * (came >= since)
        slot.used(Used(*tokens, 0, 0, None))
        slot.release()

    async def comes(limiter: ConcurrencyLimiter, name: str, asker: Asker, tasks: list[Any]) -> None:
        caller = Caller(name, CallerRules(weight=asker.weight))
        while limiter.now() < seconds:
            await asyncio.sleep(chance.expovariate(asker.rate))
            tasks.append(asyncio.ensure_future(one(limiter, caller, asker.tokens)))

    async def all_of_them() -> None:
        quota = Quota(tokens_per_minute, output_burndown=1)
        limiter = ConcurrencyLimiter(
            max_running=SLOTS if tokens_per_minute is None else 10 * SLOTS,
            max_waiting=QUEUE,
            queue_timeout=PATIENCE,
            ledger=LocalLedger(asyncio.get_running_loop().time),
            quotas=Quotas([QuotaRule("*", ("*",), quota)]) if tokens_per_minute else None,
        )
        tasks: list[Any] = []
        await asyncio.gather(*(comes(limiter, name, asker, tasks) for name, asker in askers.items()))
        await asyncio.gather(*tasks)

    virtual_clock.run(all_of_them())
    return outcome
