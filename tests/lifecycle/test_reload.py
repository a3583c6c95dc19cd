"""New settings in a process that serves: nobody is dropped, and nothing is half in force (R52)."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiobotocore.session import AioSession

from gateway import app
from gateway.commands import serve
from gateway.composition import StartError
from gateway.settings import BedrockSettings
from gateway.settings import load as read_settings
from tests.harness import CLAUDE, NOVA, ask, lines, settings_for, started
from tests.lifecycle.load import load
from tests.lifecycle.processes import Process, emulator, environment

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.emulator import Emulator

BROKEN = "max_concurrency = 0\nno_such_setting = 1\n"


async def test_removed_model_and_the_stream_on_it(emulator: Emulator) -> None:
    """A model that is not allowed any more is refused from now on; the stream that runs on it is finished."""
    body = ask("[[emulator deltas=20 pace_ms=20]]", model=NOVA)
    async with (
        started(emulator) as caller,
        caller.session.post(f"{caller.url}/chat/completions/stream", json=body) as stream,
    ):
        await stream.content.readline()
        await caller.gateway.reload(settings_for(emulator, allowed_models=(CLAUDE,)))
        refused, _, _ = await caller.stream(ask(model=NOVA))
        served, _, _ = await caller.stream(ask(model=CLAUDE))
        records = (await stream.read()).splitlines()
        async with caller.session.get(f"{caller.url}/version") as response:
            generation = (await response.json())["config_generation"]

    assert (refused, served, generation) == (404, 200, 2)
    assert b'"type":"done"' in records[-1]


async def test_clients_are_kept_or_replaced(emulator: Emulator, log: io.StringIO) -> None:
    """Equal settings keep clients and credentials; else new ones open, and the old end with their streams."""
    body = ask("[[emulator deltas=4900 pace_ms=20]]", model=NOVA)
    async with started(emulator) as caller:
        async with caller.session.post(f"{caller.url}/chat/completions/stream", json=body) as stream:
            first = caller.gateway.targets["default"].client
            await caller.gateway.reload(settings_for(emulator, max_queue=7))
            kept = caller.gateway.targets["default"].client
            other = BedrockSettings(connect_timeout_ms=2_999)
            await caller.gateway.reload(settings_for(emulator, bedrock=other))
            replaced = caller.gateway.targets["default"].client
            status, _, _ = await caller.stream(ask())
            [retiring] = caller.gateway._generations._retiring
            going_on = [await stream.content.readline() for _ in range(20)]
            assert not retiring.done()
        async with asyncio.timeout(60):
            await retiring

    assert kept is first
    assert replaced is not first
    assert status == 200
    assert all(b'"text_delta"' in line for line in going_on[1:])
    assert [line["generation"] for line in lines(log, "reloaded")] == [2, 3]


async def test_limits_change_and_what_cannot_change_is_named(emulator: Emulator, log: io.StringIO) -> None:
    """The limiter has the new numbers; a setting of the start keeps its first value, and the log says so."""
    async with started(emulator) as caller:
        await caller.gateway.reload(settings_for(emulator, max_concurrency=3, max_queue=1, workers=4))
        limiter = caller.gateway.limiter
        assert (limiter.max_running, limiter.max_waiting) == (3, 1)

    [warning] = lines(log, "needs_restart")
    assert warning["settings"] == ["workers"]


async def test_settings_that_cannot_work_change_nothing(emulator: Emulator) -> None:
    """What the catalogue or AWS's set-up refuses leaves the old generation in force, whole."""
    async with started(emulator) as caller:
        for broken in (
            {"aliases": {"a": "../x"}},
            {"bedrock": BedrockSettings(gap_timeout_ms=1), "aliases": {"a": "../x"}},
        ):
            with pytest.raises(StartError):
                await caller.gateway.reload(settings_for(emulator, max_concurrency=1, **broken))
        assert caller.gateway.limiter.max_running == 100
        assert (await caller.complete(ask()))[0] == 200


async def test_more_than_this_host_can_hold(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be refused at a start is refused here, not found out when the descriptors are used up."""
    async with started(emulator) as caller:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (4096, 4096))
        with pytest.raises(StartError, match="file descriptors are needed"):
            await caller.gateway.reload(settings_for(emulator, max_concurrency=5000))
        assert caller.gateway.limiter.max_running == 100


@pytest.mark.parametrize(("turns", "broken"), [(1, False), (3, False), (1, True)])
async def test_reload_that_the_end_overtakes(emulator: Emulator, turns: int, *, broken: bool) -> None:
    """A reload that is cancelled while it opens clients is cancelled, and nothing else; all is closed."""
    changes = {"bedrock": BedrockSettings(gap_timeout_ms=1), "aliases": {"a": "../x"} if broken else {}}
    async with started(emulator) as caller:
        task = asyncio.create_task(caller.gateway.reload(settings_for(emulator, **changes)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await caller.complete(ask()))[0] == 200


@asynccontextmanager
async def _serving(config: Path, *arguments: str) -> AsyncIterator[tuple[Process, str]]:
    async with emulator() as bedrock:
        given = environment(
            bedrock, GATEWAY_CONFIG=str(config), GATEWAY_PORT="0", GATEWAY_DRAIN__PROPAGATION_MS="0"
        )
        process = await Process.start("gateway", "gateway", "serve", *arguments, **given)
        try:
            yield process, (await process.line('"event":"listening"'))["url"]
        finally:
            await process.close()


async def _seen(process: Process, event: str, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while len(process.events(event)) < count:  # noqa: ASYNC110 - the log of another process
            await asyncio.sleep(0.005)
    return process.events(event)


async def test_a_hundred_reloads_under_load(tmp_path: Path) -> None:
    """SIGHUP a hundred times, every tenth time with a file that is broken: no request fails."""
    config = tmp_path / "gateway.toml"
    good = [
        f"max_queue = {90 + number % 2}\n[bedrock]\nconnect_timeout_ms = {2000 + number // 25}\n"
        for number in range(101)
    ]
    config.write_text(good[0])
    async with _serving(config) as (process, url):
        async with load(url, 3) as ledger:
            for number in range(1, 101):
                broken = number % 10 == 0
                config.write_text(BROKEN if broken else good[number])
                process.process.send_signal(signal.SIGHUP)
                await _seen(
                    process,
                    "reload_refused" if broken else "reloaded",
                    number // 10 if broken else number - number // 10,
                )
        async with aiohttp.ClientSession() as session, session.get(f"{url}/version") as response:
            version = json.loads(await response.read())
        code = await process.end()

    assert ledger.failures == []
    assert ledger.whole["stream"] >= 1
    assert (version["config_generation"], code) == (91, 0)
    refused = process.events("reload_refused")
    assert len(refused) == 10
    assert all(name in " ".join(refused[0]["problems"]) for name in ("max_concurrency", "no_such_setting"))


async def test_workers_reload_one_after_the_other(tmp_path: Path) -> None:
    """Each worker takes the new file; where the first refuses it, the others are not even asked."""
    config = tmp_path / "gateway.toml"
    config.write_text("max_queue = 10\n")
    async with _serving(config, "--workers=2") as (process, _):
        await _seen(process, "worker_listening", 2)
        process.process.send_signal(signal.SIGHUP)
        taken = await _seen(process, "reloaded", 2)
        config.write_text(BROKEN)
        process.process.send_signal(signal.SIGHUP)
        await _seen(process, "reload_stopped", 1)
        code = await process.end()

    assert [line["worker"] for line in taken] == [1, 2]
    assert [line["worker"] for line in process.events("reload_refused")] == [1]
    assert code == 0


async def test_a_defect_in_one_reading_does_not_end_the_reading(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, emulator: Emulator, log: io.StringIO
) -> None:
    """The SDK fails in a way that nobody foresaw: it is logged, and the next SIGHUP is heard."""
    config = tmp_path / "gateway.toml"
    config.write_text("[bedrock]\nconnect_timeout_ms = 2000\n")
    keys = emulator.settings
    for name, value in {
        "GATEWAY_CONFIG": str(config),
        "GATEWAY_PORT": "0",
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_REGION": keys.region,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": emulator.url,
    }.items():
        monkeypatch.setenv(name, value)

    def broken(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("the SDK is broken")

    async def heard(event: str) -> None:
        async with asyncio.timeout(60):
            while not lines(log, event):  # noqa: ASYNC110 - the line is written by another task
                await asyncio.sleep(0.01)

    wanted = asyncio.Event()
    async with app.running(read_settings()) as gateway:
        with serve._reloading(wanted, gateway, None, None):
            config.write_text("[bedrock]\nconnect_timeout_ms = 2001\n")
            with monkeypatch.context() as sdk:
                sdk.setattr(AioSession, "create_client", broken)
                wanted.set()
                await heard("defect")
            wanted.set()
            await heard("reloaded")

    assert len(lines(log, "defect")) == 1
