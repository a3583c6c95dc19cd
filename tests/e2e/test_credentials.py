"""Credentials over real sockets: they rotate under load, streams outlive them, expired ones are replaced."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
from pydantic import SecretStr

from gateway import app
from gateway.settings import AwsSettings, CredentialSettings, RoleSettings, Settings
from tests.harness import NOVA, ask, lines
from tests.soak.credentials import EXTERNAL_ID, ROLE, Load, healthy, loaded, stage

if TYPE_CHECKING:
    import io

    from gateway.bedrock.credentials.refresher import Refresher


def long_ago(refresher: Refresher) -> None:
    """Let the last attempt be past: none is forced within a second of another."""
    refresher._ended_at -= 3600


async def test_rotation_under_load() -> None:
    """Credentials of 6 s rotate while callers ask: none of them fails, and none of them calls STS."""
    async with stage(6.0, deltas=5, pace_ms=10.0) as on, loaded(on.load, workers=4):
        report = await healthy(on, rotations_due=2)
        calls = [(call.action, call.status) for call in on.sts.calls]

    assert report["requests"] > 0
    assert report["failed"] == 0
    assert report["rotations"] >= 2
    assert report["sts_calls_not_by_the_task"] == 0
    assert set(calls) == {("AssumeRole", 200)}


async def test_a_stream_outlives_its_credentials() -> None:
    """The signature is checked at the start only; the next request uses other keys (R32)."""
    async with stage(3.0) as on:  # they end with a second: after 4 at most
        before = await on.refresher.current()
        good = await on.load.one(ask("[[emulator deltas=18 pace_ms=250]]", model=NOVA))
        key = on.keys.find(before.access_key_id)
        after = await on.refresher.current()
        next_is_good = await on.load.one()

    assert key is not None
    assert on.keys.expired(key)
    assert (good, next_is_good) == (True, True)
    assert after != before


async def test_expired_answer_forces_one_renewal_and_one_retry() -> None:
    """Keys that AWS calls expired before their time are replaced once for all who meet it; nobody notices."""
    async with stage(3600.0) as on:
        long_ago(on.refresher)
        on.keys.revoke()
        good = await asyncio.gather(*(on.load.one() for _ in range(10)))
        statuses = [call.status for call in on.bedrock.calls]

    assert good == [True] * 10
    assert (on.sts.count("AssumeRole"), on.refresher.renewals) == (2, 2)
    assert statuses.count(403) <= 10
    assert statuses.count(200) == 10


async def test_expired_answer_without_other_keys_is_an_error(log: io.StringIO) -> None:
    """Where STS cannot give others, the refusal is passed on, after one attempt."""
    async with stage(3600.0) as on:
        long_ago(on.refresher)
        on.keys.revoke()
        await on.sts.switch("unavailable")
        good = await on.load.one()

    [line] = lines(log)
    assert good is False
    assert line["upstream_code"] == "ExpiredTokenException"
    assert [call.status for call in on.bedrock.calls] == [403]


async def test_start_without_sts(log: io.StringIO) -> None:
    """A start during an outage serves probes, is not ready, and becomes so by itself."""
    async with stage(3600.0) as on:
        await on.sts.switch("unavailable")
        settings = Settings(
            port=0,
            aws=AwsSettings(
                access_key_id=SecretStr(on.bedrock.settings.access_key_id),
                secret_access_key=SecretStr(on.bedrock.settings.secret_access_key),
                endpoint_url=on.bedrock.url,
                sts_endpoint_url=on.sts.url,
            ),
            credentials=CredentialSettings(roles=(RoleSettings(role_arn=ROLE, external_id=EXTERNAL_ID),)),
        )
        async with app.running(settings) as gateway, aiohttp.ClientSession() as session:
            load = Load(gateway.url, session)
            before = await _ready(load)
            await on.sts.switch("healthy")
            async with asyncio.timeout(60):
                while (after := await _ready(load))[0] != 200:  # noqa: ASYNC110 - a probe sees it from outside
                    await asyncio.sleep(0.05)

    assert before == (503, ["no AWS credentials"])
    assert after == (200, [])
    assert lines(log, "credentials_not_renewed")[0]["detail"].startswith("ServiceUnavailable: ")


async def _ready(load: Load) -> tuple[int, Any]:
    async with load.session.get(f"{load.url}/readyz") as response:
        return response.status, (await response.json())["problems"]
