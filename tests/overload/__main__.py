"""`python -m tests.overload`: a gateway and an emulator, each in its process, and more callers than slots.

Two runs over loopback, figures as JSON on standard output, exit status 1 where one is not kept:

- `overload`: three times what the slots can do, each caller with a deadline of 5 s (R34);
- `adaptive`: callers without end, and a far end whose capacity goes 20, 60, 10 and is told to nobody (R39).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from gateway.emulator import EmulatorSettings
from tests.harness import CLAUDE, ask
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = "127.0.0.1"
FIRST_BYTE_MS, PACE_MS, MEAN_DELTAS = 300, 50, 14
MEAN_SERVICE = (FIRST_BYTE_MS + PACE_MS * MEAN_DELTAS) / 1000
PATIENCE = 5.0
RAMP = 5.0
"""Seconds over which the callers of `adaptive` come: all at once, their first flood would be the figure."""
START_TIMEOUT, STOP_TIMEOUT = 120.0, 30.0


# ── the processes ─────────────────────────────────────────────────────────────────────────────────────


@dataclass
class FarEnd:
    """The emulator's process; `account` is there once it has ended."""

    url: str
    process: asyncio.subprocess.Process
    account: dict[str, Any] = field(default_factory=dict)


@asynccontextmanager
async def far_end(*capacities: int) -> AsyncIterator[FarEnd]:
    """Run the emulator."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.overload.far_end", *map(str, capacities)),
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(START_TIMEOUT):
        running = FarEnd(orjson.loads(await process.stdout.readline())["url"], process)
    try:
        yield running
    finally:
        process.terminate()
        async with asyncio.timeout(STOP_TIMEOUT):
            rest, _ = await process.communicate()
        running.account = orjson.loads(rest.splitlines()[-1])


@asynccontextmanager
async def gateway(upstream: str, **settings: int | str) -> AsyncIterator[str]:
    """Run a gateway with these settings and give its URL; its log goes nowhere."""
    keys = EmulatorSettings()
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve"),
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(ROOT),
            "AWS_ACCESS_KEY_ID": keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
            "AWS_REGION": keys.region,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "GATEWAY_PORT": str(port),
            # who asks has gone when it stops: seconds of serving nobody would count as capacity not used
            "GATEWAY_DRAIN__PROPAGATION_MS": "0",
            "GATEWAY_DRAIN__DEADLINE_MS": "0",
            **{f"GATEWAY_{name.upper()}": str(value) for name, value in settings.items()},
        },
        cwd=ROOT / "tests" / "overload",  # no gateway.toml of the project's
        stdout=asyncio.subprocess.DEVNULL,
    )
    url = f"http://{HOST}:{port}"
    try:
        await _listening(url, process)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()


async def _listening(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_TIMEOUT), aiohttp.ClientSession() as session:
        while process.returncode is None:
            try:
                async with session.get(f"{url}/livez"):
                    return
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
    raise RuntimeError("the gateway ended before it listened; its complaint is above")


# ── the callers ───────────────────────────────────────────────────────────────────────────────────────


def question(chance: random.Random) -> dict[str, Any]:
    """Return a request whose answer takes `MEAN_SERVICE` on average, some much more."""
    deltas = 1 + int(chance.expovariate(1 / (MEAN_DELTAS - 0.5)))
    return ask(f"[[emulator first_byte_ms={FIRST_BYTE_MS} pace_ms={PACE_MS} deltas={deltas}]]", CLAUDE)


async def one_answer(session: aiohttp.ClientSession, url: str, body: dict[str, Any], **headers: str) -> str:
    """Return how a stream ended: `done`, or the code of its error."""
    try:
        async with session.post(f"{url}/chat/completions/stream", json=body, headers=headers) as response:
            last = orjson.loads((await response.read()).splitlines()[-1])
    except aiohttp.ClientError as error:
        return type(error).__name__
    return "done" if last.get("type") == "done" else str(last["error"]["code"])


async def overload(seconds: float, slots: int, load: float, order: str, seed: int) -> dict[str, Any]:
    """Let callers arrive at random, `load` times as many as the slots can serve."""
    chance = random.Random(seed)  # noqa: S311 - a seed, no secret
    ends: Counter[str] = Counter()
    loop = asyncio.get_running_loop()

    async def caller(session: aiohttp.ClientSession, url: str) -> None:
        patience = {"X-Request-Timeout-Ms": str(round(PATIENCE * 1000))}
        ends[await one_answer(session, url, question(chance), **patience)] += 1

    connector = aiohttp.TCPConnector(limit=0)
    async with far_end() as upstream, aiohttp.ClientSession(connector=connector) as session:
        limits = {"max_concurrency": slots, "max_queue": slots, "queue_timeout_ms": 60_000}
        async with gateway(upstream.url, queue_order=order, **limits) as url:
            callers = []
            due = start = loop.time()
            while due < start + seconds:
                due += chance.expovariate(load * slots / MEAN_SERVICE)
                await asyncio.sleep(due - loop.time())
                callers.append(asyncio.ensure_future(caller(session, url)))
            await asyncio.gather(*callers)
    calls = upstream.account["calls"]
    served = calls.get("complete", 0) + calls.get("client_gone", 0)
    return {
        "order": order,
        "offered": len(callers),
        "ends": dict(ends),
        "upstream": upstream.account,
        "goodput": round(ends["done"] / (slots / MEAN_SERVICE * seconds), 3),
        "wasted": round(calls.get("client_gone", 0) / max(1, served), 4),
    }


async def adaptive(each: float, callers: int, seed: int) -> dict[str, Any]:
    """Move the capacity every `each` seconds, under callers who ask again and again."""
    chance = random.Random(seed)  # noqa: S311 - a seed, no secret
    ends: Counter[str] = Counter()

    async def caller(session: aiohttp.ClientSession, url: str) -> None:
        await asyncio.sleep(chance.uniform(0, RAMP))
        while True:
            end = await one_answer(session, url, question(chance))
            ends[end] += 1
            if end != "done":
                await asyncio.sleep(chance.uniform(0, 0.2))

    connector = aiohttp.TCPConnector(limit=0)
    settings = {"max_concurrency": 100, "max_queue": callers, "queue_timeout_ms": 60_000}
    async with (
        far_end(20, 60, 10) as upstream,
        aiohttp.ClientSession(connector=connector) as session,
        gateway(upstream.url, **settings) as url,
    ):
        tasks = [asyncio.ensure_future(caller(session, url)) for _ in range(callers)]
        for move in range(3):
            await asyncio.sleep(each)
            if move < 2:
                upstream.process.send_signal(signal.SIGUSR1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    calls = upstream.account["calls"]
    return {
        "ends": dict(ends),
        "upstream": upstream.account,
        "throttled": round(calls.get("throttled", 0) / max(1, sum(calls.values())), 4),
    }


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Do what was asked for, and judge it."""
    report: dict[str, Any] = {"failed": []}
    if "overload" in options.runs:
        result = await overload(options.seconds, options.slots, options.load, options.order, options.seed)
        report["overload"] = result
        report["failed"] += ["goodput"] * (result["goodput"] < 0.9) + ["wasted"] * (result["wasted"] > 0.02)
    if "adaptive" in options.runs:
        result = await adaptive(options.seconds, 120, options.seed)
        report["adaptive"] = result
        used = [phase["used"] for phase in result["upstream"]["phases"]]
        report["failed"] += ["throttled"] * (result["throttled"] > 0.05) + ["used"] * (min(used) < 0.8)
    return report


def main() -> int:
    """Run by the command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.overload", description=__doc__)
    parser.add_argument("runs", nargs="*", default=["overload", "adaptive"], help="overload, adaptive")
    parser.add_argument("--seconds", type=float, default=30.0, help="of overload, and of each capacity")
    parser.add_argument("--slots", type=int, default=50)
    parser.add_argument("--load", type=float, default=3.0, help="times what the slots can serve")
    parser.add_argument("--order", choices=["fifo", "newest_first"], default="fifo")
    parser.add_argument("--seed", type=int, default=1)
    report = asyncio.run(run(parser.parse_args()))
    sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
