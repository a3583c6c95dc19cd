"""Callers who leave at random points: `python -m tests.soak.disconnects --count 1000`.

Each leaves by FIN or by RST: while it is queued, before the head, at the first event or in the middle. Prints
one JSON report; the exit code is 1 where a promise broke: Bedrock's side is closed within a second, and pool,
slots, tasks and file descriptors are back at the start (reliability.md R1).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import socket
import struct
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from gateway import app
from gateway.emulator import Emulator, EmulatorSettings
from gateway.observability import logging
from tests.harness import FAMILIES, ask, settings_for
from tests.soak.process import at_rest, holdings

if TYPE_CHECKING:
    from gateway.app import Gateway

WORKERS = 30
SLOTS = 20
RELEASE_S = 1.0
PATIENCE_S = 20.0
SPARE_DESCRIPTORS = SLOTS + 10
"""Idle connections that the pool may keep."""
_MARKER = re.compile(r"caller-[0-9]+-of-this-run")
POINTS = ("at once", "before the head", "first event", "middle")


@dataclass
class Tally:
    """Who left when, by the loop's clock, and at which points."""

    left: dict[str, float] = field(default_factory=dict)
    points: Counter[str] = field(default_factory=Counter)


def _request(marker: str, model: str, pause_ms: int) -> bytes:
    said = f"[[emulator deltas=4000 pace_ms=20 first_byte_ms={pause_ms}]] {marker}"
    body = orjson.dumps(ask(said, model=model))
    head = b"POST /chat/completions/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def _leave(url: str, number: int, dice: random.Random, tally: Tally) -> None:
    """Ask, and leave at a random point."""
    loop = asyncio.get_running_loop()
    address = urlsplit(url)
    point, reset = dice.choice(POINTS), dice.random() < 0.5
    marker = f"caller-{number}-of-this-run"
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    pause = 60_000 if point == "before the head" else 0
    writer.write(_request(marker, dice.choice(FAMILIES), pause))
    await writer.drain()
    if point == "before the head":
        await asyncio.sleep(dice.uniform(0.0, 0.2))
    elif point in {"first event", "middle"}:
        await reader.readuntil(b'"start"')
        for _ in range(dice.randrange(1, 8) if point == "middle" else 0):
            await reader.readline()
    if reset:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort() if reset else writer.close()
    tally.left[marker] = loop.time()
    tally.points[point] += 1


def _releases(emulator: Emulator, tally: Tally) -> list[float]:
    """Return, for each call that reached Bedrock's side, the seconds for which it outlived its caller."""
    found = (_MARKER.search(orjson.dumps(call.body).decode()) for call in emulator.calls)
    return sorted(
        max(0.0, call.ended_at - tally.left[marker.group()])
        for call, marker in zip(emulator.calls, found, strict=True)
        if marker is not None and marker.group() in tally.left
    )


async def run(count: int, seed: int = 1, release_s: float = RELEASE_S) -> dict[str, Any]:
    """Return the report; `release_s` is the promise, which a loaded machine may not be able to keep."""
    dice, tally = random.Random(seed), Tally()  # noqa: S311 - a seeded draw, no secret
    async with Emulator(EmulatorSettings()) as emulator:
        settings = settings_for(
            emulator, max_concurrency=SLOTS, max_queue=2 * WORKERS, queue_timeout_ms=60_000
        )
        async with app.running(settings) as gateway:
            await _load(gateway, SLOTS, dice, Tally())  # warm: pool, caches, code
            before = await at_rest(gateway, holdings(gateway))
            emulator.calls.clear()
            await _load(gateway, count, dice, tally)
            after = await at_rest(gateway, before)
            active = emulator.active
        releases = _releases(emulator, tally)
    late = sum(seconds > release_s for seconds in releases)
    kept = (
        not late
        and active == 0
        and after.settled(before)
        and after.descriptors <= before.descriptors + SPARE_DESCRIPTORS
    )
    return {
        "kept": kept,
        "disconnects": count,
        "points": tally.points,
        "released_upstream": len(releases),
        "never_sent_upstream": count - len(releases),
        "release_ms_p50": round(releases[len(releases) // 2] * 1000, 1),
        "release_ms_p99": round(releases[int(len(releases) * 0.99)] * 1000, 1),
        "release_ms_max": round(releases[-1] * 1000, 1),
        "late": late,
        "upstream_open_in_the_end": active,
        "before": before.report(),
        "after": after.report(),
    }


async def _load(gateway: Gateway, count: int, dice: random.Random, tally: Tally) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await _leave(gateway.url, number, dice, tally)

    await asyncio.gather(*(work() for _ in range(WORKERS)))


def main() -> int:
    """Run by the command line's arguments; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.disconnects", description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.configure(level="error", json=True, stream=sys.stderr)
    report = asyncio.run(run(arguments.count, arguments.seed))
    sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if report["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
