"""Who asks: each way to live with a quota, as a coroutine that gets one request answered or gives up.

All speak through aiobotocore, whose retries are boto3's. What they differ in is what they do when they are
throttled.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from gateway.emulator import EmulatorSettings
from tests.harness import CLAUDE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.quota.offered import Offer

_READ_TIMEOUT: Final = 240
_BACKOFF_ATTEMPTS: Final = 8
_BACKOFF_S: Final = (1.0, 20.0)


class Way(Protocol):
    """One way to get an answer."""

    async def __call__(self, offer: Offer) -> str:
        """Return how it ended: empty if well, else the code of the error."""


@asynccontextmanager
async def sdk(url: str, attempts: int) -> AsyncIterator[Any]:
    """Give a client with boto3's standard retries, that many attempts in all."""
    keys = EmulatorSettings()
    config = AioConfig(
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=2000,
        read_timeout=_READ_TIMEOUT,
        connect_timeout=60,
        signature_version="v4",
    )
    async with get_session().create_client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name=keys.region,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        config=config,
    ) as client:
        yield client


async def _answer(client: Any, offer: Offer) -> str:
    try:
        response = await client.converse_stream(modelId=CLAUDE, **offer.body)
        async for _ in response["stream"]:
            pass
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except (BotoCoreError, OSError) as error:
        return type(error).__name__
    return ""


@asynccontextmanager
async def standard(url: str) -> AsyncIterator[Way]:
    """Three attempts, as boto3 makes them if nobody says otherwise."""
    async with sdk(url, 3) as client:

        async def ask(offer: Offer) -> str:
            return await _answer(client, offer)

        yield ask


@asynccontextmanager
async def backing_off(url: str) -> AsyncIterator[Way]:
    """Eight attempts with exponential backoff and full jitter, as every guide recommends."""
    chance = random.Random(url)  # noqa: S311 - a seed, no secret
    first, longest = _BACKOFF_S
    async with sdk(url, 1) as client:

        async def ask(offer: Offer) -> str:
            for attempt in range(_BACKOFF_ATTEMPTS - 1):
                error = await _answer(client, offer)
                if error != "ThrottlingException":
                    return error
                await asyncio.sleep(chance.uniform(0, min(longest, first * 2**attempt)))
            return await _answer(client, offer)

        yield ask
