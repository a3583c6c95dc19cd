"""Keys that are revoked in Redis, on a real one: heard of within a look, and never good again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gateway import cli
from gateway.identity import key_file, revocations
from gateway.identity.keys import new_key
from gateway.identity.revocations import PublishError, Revocations, publish
from gateway.settings import CallerSettings, RedisSettings
from tests.harness import ask, lines
from tests.ledger.redis_server import running

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.emulator import Emulator
    from tests.harness import StartGateway
    from tests.ledger.redis_server import RedisServer

ONE, OTHER = "0123456789ab", "ba9876543210"


@pytest.fixture(name="redis")
async def _redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisServer]:
    """A Redis that is empty, and may be slow: nothing here is about how fast it is."""
    monkeypatch.setattr(revocations, "TIMEOUT_S", 30.0)
    async with running(tmp_path) as server:
        yield server


async def test_heard_of(redis: RedisServer) -> None:
    """What is published is known; what is no id of a key is not."""
    known = Revocations(redis.url, "p")
    await known.look()
    assert known.known == set()
    await publish(redis.url, "p", [ONE, OTHER])
    await publish(redis.url, "another", ["aaaaaaaaaaaa"])
    await redis.command("SADD", "{p}:revoked_keys", "nonsense")
    await known.look()
    assert known.known == {ONE, OTHER}
    await known.aclose()


async def test_many(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than fit into one call."""
    monkeypatch.setattr(revocations, "AT_ONCE", 3)
    ids = {f"{number:012x}" for number in range(10)}
    await publish(redis.url, "p", ids)
    known = Revocations(redis.url, "p")
    await known.look()
    assert known.known == ids
    await known.aclose()


async def test_once_revoked(redis: RedisServer, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that was flushed, is frozen or refuses changes nothing, and is told of once each time."""
    known = Revocations(redis.url, "p")
    await publish(redis.url, "p", [ONE])
    await known.look()
    await redis.command("FLUSHALL")
    await known.look()
    assert known.known == {ONE}
    await redis.command("SET", "{p}:revoked_keys", "of another type")
    await known.look()
    await redis.command("DEL", "{p}:revoked_keys")
    await known.look()
    redis.freeze()
    monkeypatch.setattr(revocations, "TIMEOUT_S", 0.05)
    for _ in range(2):
        await known.look()
    with pytest.raises(PublishError, match="no answer"):
        await publish(redis.url, "p", [OTHER])
    redis.thaw()
    monkeypatch.setattr(revocations, "TIMEOUT_S", 30.0)
    assert known.known == {ONE}
    reasons = [line["reason"] for line in lines(log, "revocations_unknown")]
    assert len(reasons) == 2
    assert "WRONGTYPE" in reasons[0]
    assert "no answer within" in reasons[1]
    await publish(redis.url, "p", [OTHER])
    await known.look()
    assert known.known == {ONE, OTHER}
    await known.aclose()


async def test_not_taken(redis: RedisServer) -> None:
    """Who revokes learns that Redis does not hear of it."""
    await redis.command("SET", "{p}:revoked_keys", "of another type")
    with pytest.raises(PublishError, match="WRONGTYPE"):
        await publish(redis.url, "p", [ONE])
    await redis.kill()
    with pytest.raises(PublishError, match="Error 111"):
        await publish(redis.url, "p", [ONE])


async def test_replicas_with_other_files(
    redis: RedisServer,
    emulator: Emulator,
    start: StartGateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command changes one copy of the file; a gateway with another one follows all the same."""
    monkeypatch.setattr("gateway.identity.watching.SECONDS", 0.02)
    made = new_key("team-a", now=datetime.now(UTC))
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    for path in (ours, theirs):
        with key_file.edited(path) as editing:
            editing.keys.append(made.stored)
    settings = RedisSettings.model_validate({"url": redis.url})
    callers = {"team-a": CallerSettings()}
    monkeypatch.setenv("GATEWAY_REDIS__URL", redis.url)
    async with start(emulator, callers=callers, keys_file=theirs, redis=settings) as caller:

        async def status() -> int:
            got, _, _ = await caller.stream(ask(), Authorization=f"Bearer {made.key}")
            return got

        assert await status() == 200
        revoke = ["keys", "revoke", made.stored.id, "--file", str(ours)]
        assert await asyncio.to_thread(cli.main, revoke) == 0
        assert "Redis knows it, too" in capsys.readouterr().err
        async with asyncio.timeout(60):
            while await status() != 401:  # noqa: ASYNC110 - the gateway looks by itself
                await asyncio.sleep(0.02)
        await redis.kill()
        assert await asyncio.to_thread(cli.main, revoke) == 1
        assert "Redis could not be told" in capsys.readouterr().err
        assert await status() == 401
    async with start(emulator, callers=callers, keys_file=ours) as caller:
        assert await status() == 401
