"""A quota between a real gateway and a real emulator, over sockets: counts, and no time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from gateway.emulator import Quota
from gateway.settings.quotas import QuotaSettings
from tests.emulator.asking import CLAUDE, converse
from tests.harness import ask
from tests.quota.clients import sdk

if TYPE_CHECKING:
    from gateway.emulator import Emulator
    from tests.harness import StartGateway

TOKENS_PER_MINUTE = 60_000
MAX_TOKENS = 3_000
SLOW = "[[emulator first_byte_ms=2000]]"
ASKING = 100
"""Of which about nineteen fit at once, and one more every three seconds."""


async def test_plain_clients_are_throttled(emulator: Emulator) -> None:
    """What does not fit is refused, in Bedrock's own words."""
    emulator.quotas.limit("*", Quota(tokens_per_minute=TOKENS_PER_MINUTE))
    body: dict[str, Any] = converse(SLOW, inferenceConfig={"maxTokens": MAX_TOKENS})
    async with sdk(emulator.url, attempts=1) as client:

        async def one() -> str:
            try:
                await client.converse(modelId=CLAUDE, **body)
            except client.exceptions.ThrottlingException as error:
                return str(error.response["Error"]["Message"])
            return ""

        ends = Counter(await asyncio.gather(*(one() for _ in range(ASKING))))

    assert ends.keys() <= {"", "Too many tokens, please wait before trying again."}
    ledger = emulator.ledger.total()
    assert (ledger.requests, ledger.admitted) == (ASKING, ends[""])
    assert ledger.throttled > 0.3 * ASKING


async def test_the_gateway_is_not(emulator: Emulator, start: StartGateway) -> None:
    """As many go at once as fit; who finds no room in time is told so by the gateway, not by Bedrock."""
    emulator.quotas.limit("*", Quota(tokens_per_minute=TOKENS_PER_MINUTE))
    quota = QuotaSettings(tokens_per_minute=TOKENS_PER_MINUTE)
    body = ask(SLOW, max_tokens=MAX_TOKENS)
    async with start(emulator, quotas={"*": quota}, queue_timeout_ms=500, max_queue=ASKING) as caller:
        ends = Counter(
            [status for status, _ in await asyncio.gather(*(caller.complete(body) for _ in range(ASKING)))]
        )

    ledger = emulator.ledger.total()
    assert (ledger.requests, ledger.throttled) == (ends[200], 0)
    assert ends[200] + ends[503] == ASKING
    assert 19 <= ends[200] < ASKING
