"""The same in virtual time: the real limiter and ledger, the emulator's real quota, and nothing between."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import orjson

from gateway.admission.aimd import Adaptive
from gateway.admission.caller import ANONYMOUS
from gateway.admission.demand import Ticket, Used
from gateway.admission.queue import ConcurrencyLimiter
from gateway.admission.quotas import Quota as KnownQuota
from gateway.admission.quotas import QuotaRule, Quotas
from gateway.errors import Overloaded
from gateway.ledger.local import LocalLedger
from tests import virtual_clock
from tests.harness import CLAUDE
from tests.quota.far_end import FarEnd, Omniscient
from tests.quota.offered import BURNDOWN, offers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.domain import Usage
    from gateway.emulator import Quota
    from tests.quota.offered import Offer

MINUTE: Final = 60.0
WARM_UP: Final = 2 * MINUTE
_ATTEMPTS: Final = 3
_LONGEST_PAUSE: Final = 20.0
_ON_THE_WAY: Final = (0.001, 0.02)
"""Seconds from the gateway to the far end."""


@dataclass(frozen=True, slots=True)
class Model:
    """What the gateway knows of the model."""

    id: str = CLAUDE
    max_output_tokens: int | None = 64_000
    output_burndown: int = BURNDOWN

    def cost_usd(self, usage: Usage) -> float | None:
        """Return nothing: no budget counts here."""
        del usage
        return None


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is ready to be sent."""

    body: bytes
    model: Model = Model()
    lane: str = f"here/{CLAUDE}"
    generates: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one way to live with a quota; `used` is a share of its tokens, `admitted` a count."""

    throttled: float
    used: float
    admitted: int
    unlimited: int
    """Of all that were admitted, those without `max_tokens`."""


class Gateway:
    """The limiter before a far end, as the pipeline uses it: one more attempt where it is throttled."""

    def __init__(self, far_end: FarEnd, quota: Quota, chance: random.Random, *, known: bool) -> None:
        given = KnownQuota(quota.tokens_per_minute, quota.requests_per_minute)
        rules = [QuotaRule("*", ("*",), given)]
        self._far_end = far_end
        self._chance = chance
        self._limiter = ConcurrencyLimiter(
            max_running=500,
            max_waiting=1000,
            queue_timeout=MINUTE,
            adaptive=Adaptive(),
            ledger=LocalLedger(asyncio.get_running_loop().time),
            quotas=Quotas(rules if known else []),
        )

    async def __call__(self, offer: Offer) -> None:
        """Get one request answered, or give up."""
        call = Call(orjson.dumps(offer.body))
        ticket = Ticket(ANONYMOUS, [call])
        try:
            slot = await self._limiter.acquire((call.lane,), ticket=ticket)
        except Overloaded:
            return
        with slot:
            await asyncio.sleep(self._chance.uniform(*_ON_THE_WAY))
            reply = self._far_end.reply(offer)
            reservation = self._far_end.reserve(reply)
            if reservation is None:
                slot.throttled()
                return
            slot.succeeded(reply.delay)
            fresh, read, written, output = await self._far_end.answer(reply, reservation)
            if slot.counted:
                slot.used(Used(fresh, output, read, written))


class Plain:
    """A client with three attempts and backoff, as boto3's."""

    def __init__(self, far_end: FarEnd, chance: random.Random) -> None:
        self._far_end = far_end
        self._chance = chance

    async def __call__(self, offer: Offer) -> None:
        """Get one request answered, or give up."""
        reply = self._far_end.reply(offer)
        for attempt in range(_ATTEMPTS):
            reservation = self._far_end.reserve(reply)
            if reservation is not None:
                await self._far_end.answer(reply, reservation)
                return
            await asyncio.sleep(self._chance.random() * min(2**attempt, _LONGEST_PAUSE))


def simulate(way: str, *, quota: Quota, load: float, minutes: int, seed: int) -> Result:
    """Offer `load` times a quota for two minutes that are not measured, and some that are.

    `way` is `gateway`, `without` (a gateway that knows no quota), `plain` or `possible`.
    """
    limit = quota.tokens_per_minute
    assert limit is not None
    chance = random.Random(seed)  # noqa: S311 - a seed, no secret

    async def scene() -> Result:
        loop = asyncio.get_running_loop()
        far_end = FarEnd(quota, loop.time)
        ask: Callable[[Offer], Awaitable[object]]
        if way == "possible":
            ask = omniscient = Omniscient(quota, loop.time)
            far_end = omniscient.far_end
        elif way == "plain":
            ask = Plain(far_end, chance)
        else:
            ask = Gateway(far_end, quota, chance, known=way == "gateway")
        tasks = []
        before = (0, 0, 0)
        end = WARM_UP + MINUTE * minutes
        for offer in takewhile(lambda one: one.due < end, offers(load * limit / MINUTE, seed)):
            if loop.time() < WARM_UP <= offer.due:
                await asyncio.sleep(WARM_UP - loop.time())
                before = far_end.requests, far_end.throttled, far_end.used
            await asyncio.sleep(offer.due - loop.time())
            tasks.append(asyncio.ensure_future(ask(offer)))
        await asyncio.sleep(end - loop.time())
        requests, throttled, used = far_end.requests, far_end.throttled, far_end.used
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        requests, throttled, used = requests - before[0], throttled - before[1], used - before[2]
        return Result(throttled / requests, used / (limit * minutes), requests - throttled, far_end.unlimited)

    return virtual_clock.run(scene())
