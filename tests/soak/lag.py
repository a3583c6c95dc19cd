"""What a silent stream and a hanging STS add to all others: `python -m tests.soak.lag`.

The gateway runs in this process, the emulated Bedrock and the callers in others. Stages by turns: calm,
and with streams that are silent for 5 seconds while STS hangs at the time of a renewal. Prints one JSON
report with the delay of the event loop in each; the exit code is 1 where its 99th percentile is 50 ms or more
in the second kind of stage, or a stream failed (reliability.md R24, R26).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from pydantic import SecretStr

from gateway import app
from gateway.emulator import EmulatedSts, EmulatorSettings, KeyRing, Role
from gateway.observability import logging
from gateway.settings import AwsSettings, CredentialSettings, RoleSettings, Settings
from tests.harness import ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROLE = "arn:aws:iam::111122223333:role/gateway"
PROBE_S = 0.005
BOUND_MS = 50.0
SILENT = "[[emulator deltas=2 pace_ms=5000]]"
PACED = "[[emulator deltas=64 pace_ms=20]]"
STREAMS = 30
SILENT_STREAMS = 20
LIFE_S = 14.0
"""Credentials that live so long are renewed several times in every stage."""


async def call(url: str, texts: list[str]) -> None:
    """Be the callers: ask for ever, and print a line for each stream that did not end in `done`."""

    async def work(session: aiohttp.ClientSession, text: str) -> None:
        while True:
            async with session.post(f"{url}/chat/completions/stream", json=ask(text)) as response:
                data = await response.read()
            if b'"type":"done"' not in data:
                sys.stdout.write(f"{text}: {data[-300:]!r}\n")
                sys.stdout.flush()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(work(session, text) for text in texts))


@asynccontextmanager
async def _process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _measure(seconds: float) -> list[float]:
    """Return how late the loop was, in milliseconds, each time that it was asked to come back."""
    loop = asyncio.get_running_loop()
    late: list[float] = []
    until = loop.time() + seconds
    while (now := loop.time()) < until:
        await asyncio.sleep(PROBE_S)
        late.append((loop.time() - now - PROBE_S) * 1000)
    return sorted(late)


def _figures(late: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(late[len(late) // 2], 2),
        "p99_ms": round(late[int(len(late) * 0.99)], 2),
        "max_ms": round(late[-1], 2),
        "probes": len(late),
    }


async def run(seconds: float, turns: int) -> dict[str, Any]:
    """Return the report."""
    keys, known_keys = KeyRing(lifetime_s=LIFE_S), EmulatorSettings()
    async with AsyncExitStack() as stack:
        sts = await stack.enter_async_context(EmulatedSts(keys, (Role(arn=ROLE),)))
        bedrock = await stack.enter_async_context(_process("gateway.emulator", "--no-verify-signatures"))
        assert bedrock.stdout is not None
        known = orjson.loads(await bedrock.stdout.readline())
        settings = Settings(
            port=0,
            max_concurrency=2 * (STREAMS + SILENT_STREAMS),
            aws=AwsSettings(
                access_key_id=SecretStr(known_keys.access_key_id),
                secret_access_key=SecretStr(known_keys.secret_access_key),
                region=known["region"],
                endpoint_url=known["url"],
                sts_endpoint_url=sts.url,
            ),
            credentials=CredentialSettings(roles=(RoleSettings(role_arn=ROLE),)),
        )
        gateway = await stack.enter_async_context(app.running(settings))
        calm: list[float] = []
        disturbed: list[float] = []
        failed: list[str] = []
        for _ in range(turns):
            async with _callers(gateway.url, failed, [PACED] * STREAMS):
                calm += await _measure(seconds)
                async with _callers(gateway.url, failed, [SILENT] * SILENT_STREAMS):
                    await sts.switch("hanging")
                    disturbed += await _measure(min(seconds, LIFE_S / 4))
                    await sts.switch("healthy")
                    disturbed += await _measure(seconds)
        calls = len(sts.calls)
    figures = _figures(sorted(disturbed))
    return {
        "kept": figures["p99_ms"] < BOUND_MS and not failed,
        "calm": _figures(sorted(calm)),
        "silent_streams_and_hanging_sts": figures,
        "streams": STREAMS,
        "silent_streams": SILENT_STREAMS,
        "sts_requests": calls,
        "failed": failed[:5],
    }


@asynccontextmanager
async def _callers(url: str, failed: list[str], texts: list[str]) -> AsyncIterator[None]:
    async with _process("tests.soak.lag", "--call", url, "--texts", orjson.dumps(texts).decode()) as process:
        assert process.stdout is not None
        yield
        process.terminate()
        failed += (await process.stdout.read()).decode().splitlines()


def main() -> int:
    """Run by the command line's arguments; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.lag", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each stage")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--call", metavar="URL", help="be the callers of this gateway")
    parser.add_argument("--texts", type=orjson.loads, default=[], help="what they say, as JSON")
    arguments = parser.parse_args()
    if arguments.call:
        asyncio.run(call(arguments.call, arguments.texts))
        return 0
    logging.configure(level="error", json=True, stream=sys.stderr)
    report = asyncio.run(run(arguments.seconds, arguments.turns))
    sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if report["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
