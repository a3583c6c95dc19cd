"""Liveness, readiness and version."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

from gateway import __version__, app
from gateway.settings import AwsSettings, Settings
from tests.harness import ask, lines, started

if TYPE_CHECKING:
    import io

    import pytest

    from gateway.emulator import Emulator
    from tests.harness import Caller


async def _get(url: str, path: str) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(url + path) as response:
        return response.status, await response.json()


async def test_healthy(caller: Caller) -> None:
    """A gateway with valid credentials is live and ready, and says how full it is."""
    assert await _get(caller.url, "/livez") == (200, {"status": "live"})
    assert await _get(caller.url, "/readyz") == (
        200,
        {
            "status": "ready",
            "problems": [],
            "unusable_targets": [],
            "ledger": "local",
            "streams": {"running": 0, "waiting": 0, "slots": 100},
        },
    )
    version = {"name": "bedrock-gateway", "version": __version__, "config_generation": 1}
    assert await _get(caller.url, "/version") == (200, version)


async def test_no_credentials_is_unready_but_live(emulator: Emulator) -> None:
    """Without credentials a gateway must not get requests, but restarting it would not help."""
    settings = Settings(port=0, aws=AwsSettings(endpoint_url=emulator.url))
    async with app.running(settings) as gateway:
        live, _ = await _get(gateway.url, "/livez")
        status, answer = await _get(gateway.url, "/readyz")

    assert live == 200
    assert (status, answer["status"], answer["problems"]) == (503, "unready", ["no AWS credentials"])


async def test_broken_chain_is_unready(
    monkeypatch: pytest.MonkeyPatch, emulator: Emulator, log: io.StringIO
) -> None:
    """A source of the chain that fails in its own way is no credentials either; the log says which."""
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/token")
    settings = Settings(port=0, aws=AwsSettings(endpoint_url=emulator.url))
    async with app.running(settings) as gateway:
        status, answer = await _get(gateway.url, "/readyz")

    assert (status, answer["problems"]) == (503, ["no AWS credentials"])
    [line] = lines(log, "credentials")
    assert line["detail"].startswith("InvalidConfigError: The provided profile or the current environment")


async def test_full_queue_is_unready(emulator: Emulator) -> None:
    """Who has neither a slot nor room in the queue would refuse the next request: better sent elsewhere."""
    async with started(emulator, max_concurrency=1, max_queue=1) as caller, asyncio.TaskGroup() as group:
        patient = ask("[[emulator first_byte_ms=60000]]")
        asking = [group.create_task(caller.complete(patient)) for _ in range(2)]
        while not caller.gateway.limiter.waiting:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
        status, answer = await _get(caller.url, "/readyz")
        asking[1].cancel()
        while caller.gateway.limiter.waiting:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
        again, _ = await _get(caller.url, "/readyz")
        asking[0].cancel()

    assert (status, answer["problems"], again) == (503, ["overloaded"], 200)


async def test_good_probes_are_not_noise(caller: Caller, log: io.StringIO) -> None:
    """A good probe is logged at debug, everything else at info or above."""
    await _get(caller.url, "/livez")
    await _get(caller.url, "/version")

    assert [(line["route"], line["level"]) for line in lines(log)] == [
        ("/livez", "debug"),
        ("/version", "info"),
    ]
