"""Which event loop serves, and that a process does all it does on either."""

from __future__ import annotations

import asyncio
import signal
import sys

import aiohttp
import pytest

from gateway import event_loop
from gateway.commands import serve
from tests.harness import BOTH_LOOPS, ask
from tests.lifecycle.processes import PATIENCE_S, Process, emulator, environment


def made(choice: str) -> str:
    """Return the name of the loop that this choice makes."""

    async def name() -> str:
        await asyncio.sleep(0)
        return event_loop.running()

    with asyncio.Runner(loop_factory=event_loop.factory(choice)) as runner:
        return runner.run(name())


def test_by_name() -> None:
    """Who asks for one gets that one; without a wish it is the faster."""
    pytest.importorskip("uvloop", reason="install from requirements-dev.lock", exc_type=ImportError)

    assert [made(choice) for choice in ("asyncio", "uvloop", "auto")] == ["asyncio", "uvloop", "uvloop"]


def test_without_uvloop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where none is named asyncio's own serves; a start that names what is missing says so."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    monkeypatch.setenv("GATEWAY_EVENT_LOOP", "uvloop")

    assert made("auto") == "asyncio"
    assert serve.run() == serve.EXIT_CONFIG
    assert "GATEWAY_EVENT_LOOP): uvloop cannot be imported" in capsys.readouterr().err


@pytest.mark.parametrize("choice", BOTH_LOOPS)
async def test_a_process(choice: str) -> None:
    """It serves, says on which loop, ends the stream of a drain, and itself with 0; in workers, too."""
    if choice == "uvloop":
        pytest.importorskip("uvloop", reason="install from requirements-dev.lock", exc_type=ImportError)
    async with emulator() as bedrock, aiohttp.ClientSession() as session:
        given = environment(bedrock, GATEWAY_PORT="0", GATEWAY_DRAIN__PROPAGATION_MS="0")
        given["GATEWAY_EVENT_LOOP"] = choice
        process = await Process.start("gateway", "gateway", "serve", "--workers=2", **given)
        try:
            listening = await process.line('"event":"listening"')
            body = ask("[[emulator deltas=40 pace_ms=10]] Hello")
            async with asyncio.timeout(PATIENCE_S):
                response = await session.post(f"{listening['url']}/chat/completions/stream", json=body)
                first = await response.content.readline()
                code, rest = await asyncio.gather(process.end(signal.SIGTERM), response.read())
        finally:
            await process.close()

    assert {line["event_loop"] for line in process.events("listening")} == {choice}
    assert (code, first[:16], rest.splitlines()[-1][:14]) == (0, b'{"type":"start",', b'{"type":"done"')
