"""The capacity that an emulator has: what is beyond it is throttled, and it can be moved."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import aiohttp

from gateway.emulator import Emulator, EmulatorSettings
from tests.emulator.asking import converse
from tests.harness import NOVA


async def test_what_is_beyond_it_is_throttled() -> None:
    """Two slow answers fill a capacity of two; a third call is refused until there is room or more of it."""
    async with (
        Emulator(EmulatorSettings(verify_signatures=False)) as emulator,
        aiohttp.ClientSession() as http,
    ):
        url = f"{emulator.url}/model/{NOVA}/converse-stream"

        async def ask(text: str) -> int:
            async with http.post(url, json=converse(text)) as response:
                await response.read()
                return response.status

        emulator.capacity.limit = 2
        slow = [asyncio.ensure_future(ask("[[emulator first_byte_ms=60000]]")) for _ in range(2)]
        async with asyncio.timeout(60):
            await emulator.wait_active(2)
        assert await ask("Hi") == HTTPStatus.TOO_MANY_REQUESTS
        emulator.capacity.limit = 3
        assert await ask("Hi") == HTTPStatus.OK
        emulator.capacity.limit = 1
        assert await ask("Hi") == HTTPStatus.TOO_MANY_REQUESTS
        for task in slow:
            task.cancel()
        async with asyncio.timeout(60):
            await emulator.wait_active(0)
        assert await ask("Hi") == HTTPStatus.OK
        assert (emulator.capacity.taken, emulator.capacity.throttled) == (0, 2)
