"""The far end without a connection: the emulator's own book of a quota, and how long its answers take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson

from gateway.emulator.cache import PromptCache
from gateway.emulator.directives import defaults
from gateway.emulator.errors import BedrockError
from gateway.emulator.operations import Account, Asked, reply_to
from gateway.emulator.quotas import Quotas
from gateway.emulator.settings import EmulatorSettings
from tests.harness import CLAUDE
from tests.quota.offered import BURNDOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.emulator import Quota, Tokens
    from gateway.emulator.delivery import Reply
    from gateway.emulator.quotas import Reservation
    from tests.quota.offered import Offer

_LOOKS_AGAIN_S: Final = 0.02


class FarEnd:
    """Takes requests as the emulator does. `used` is what of the quota answers that ended have used up."""

    def __init__(self, quota: Quota, clock: Callable[[], float]) -> None:
        self.requests = 0
        self.throttled = 0
        self.used = 0
        self.unlimited = 0
        """Requests without `max_tokens` that were taken."""
        self._quotas = Quotas({"*": quota}, clock)
        self._cache = PromptCache(EmulatorSettings().cache_minimum_tokens)
        self._account = Account(usual=defaults(EmulatorSettings()), cache=self._cache)

    def reply(self, offer: Offer) -> Reply:
        """Return what this request would be answered now."""
        return reply_to(Asked("converse-stream", CLAUDE, orjson.dumps(offer.body)), offer.body, self._account)

    def reserve(self, reply: Reply) -> Reservation | None:
        """Take a request, None where it is throttled."""
        assert reply.metered is not None
        self.requests += 1
        try:
            reservation = self._quotas.reserve(reply.metered)
        except BedrockError:
            self.throttled += 1
            return None
        self.unlimited += reply.metered.max_tokens is None
        self._cache.keep(CLAUDE, reply.metered.prefixes)
        return reservation

    async def answer(self, reply: Reply, reservation: Reservation) -> Tokens:
        """Take the time that an answer takes, and return what it has used."""
        assert reply.metered is not None
        await asyncio.sleep(reply.delay + sum(write.pause for write in reply.writes))
        tokens = reply.metered.tokens
        reservation.settle(tokens)
        self.used += tokens.input + tokens.cache_write + BURNDOWN * tokens.output
        return tokens


class Omniscient:
    """What is possible: whoever knows the quota to the token sends the first in line the moment it fits."""

    def __init__(self, quota: Quota, clock: Callable[[], float]) -> None:
        self.far_end = FarEnd(quota, clock)
        self._turn = asyncio.Lock()

    async def __call__(self, offer: Offer) -> str:
        """Return, nothing, when the answer has ended."""
        async with self._turn:
            reply = self.far_end.reply(offer)
            while (reservation := self.far_end.reserve(reply)) is None:  # noqa: ASYNC110 - buckets tell nobody
                await asyncio.sleep(_LOOKS_AGAIN_S)
        await self.far_end.answer(reply, reservation)
        return ""
