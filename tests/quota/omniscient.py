"""What is possible: whoever knows the quota to the token sends each request the moment it fits.

First come, first served. It needs no connection: it keeps the emulator's own book, in real time, for answers
that take as long as they would.
"""

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

    from gateway.emulator.metering import Metered
    from gateway.emulator.quotas import Quota, Reservation
    from tests.quota.offered import Offer

_LOOKS_AGAIN_S: Final = 0.01


class Omniscient:
    """Answers requests as fast as a quota allows; `used` is what of the quota their answers have used up."""

    def __init__(self, quota: Quota, clock: Callable[[], float]) -> None:
        self.used = 0
        self.answered = 0
        self._quotas = Quotas({"*": quota}, clock)
        self._cache = PromptCache(EmulatorSettings().cache_minimum_tokens)
        self._account = Account(usual=defaults(EmulatorSettings()), cache=self._cache)
        self._turn = asyncio.Lock()

    async def __call__(self, offer: Offer) -> str:
        """Return, nothing, when the answer has ended."""
        async with self._turn:
            asked = Asked("converse-stream", CLAUDE, orjson.dumps(offer.body))
            reply = reply_to(asked, offer.body, self._account)
            metered = reply.metered
            assert metered is not None
            reservation = await self._when_it_fits(metered)
            self._cache.keep(CLAUDE, metered.prefixes)
        await asyncio.sleep(reply.delay + sum(write.pause for write in reply.writes))
        reservation.settle(metered.tokens)
        fresh, _, written, output = metered.tokens
        self.used += fresh + written + BURNDOWN * output
        self.answered += 1
        return ""

    async def _when_it_fits(self, metered: Metered) -> Reservation:
        while True:
            try:
                return self._quotas.reserve(metered)
            except BedrockError:
                await asyncio.sleep(_LOOKS_AGAIN_S)
