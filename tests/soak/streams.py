"""Streams and faults for long: `python -m tests.soak.streams --seconds 3600` (R51).

Callers ask for good answers and for answers that fail in every way the emulator knows, some leave. Every
stream must end in just one terminal record that fits what was done to it. Prints one JSON report; the exit
code is 1 where a promise broke: memory grows by less than 1 MB an hour after the warm-up, descriptors and
tasks stay flat, and neither asyncio nor aiohttp complains. Callers and emulator share the process, so the
memory counted is theirs, too.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from gateway import app
from gateway.emulator import Emulator, EmulatorSettings
from gateway.observability import logging
from tests.harness import FAMILIES, ask, settings_for
from tests.soak.process import Holdings, at_rest, holdings

KINDS: dict[str, str] = {
    "deltas=8 pace_ms=5": "done",
    "deltas=64": "done",
    "deltas=6 cut=3": "error",
    "deltas=6 close=3": "error",
    "deltas=6 reset=3": "error",
    "deltas=6 flip=3": "error",
    "deltas=6 garbage=3": "error",
    "deltas=6 stall=3": "error",
    "deltas=6 exception=throttlingException after=4": "error",
    "deltas=6 exception=modelStreamErrorException after=4": "error",
    "error=ThrottlingException": "error",
    "error=ServiceUnavailableException": "error",
    "error=ValidationException": "error",
    "stall=start": "error",
}
"""What is done to an answer, and how it must end."""
CLOCK_MS = 2000
"""Short enough for many that stall."""
LEAVE = 0.15
"""The share of callers who leave in the middle."""
COMPLAINTS = ("never retrieved", "Unclosed", "was destroyed but it is pending", '"event":"defect"')
GROWTH_KIB_AN_HOUR = 1024.0


@dataclass
class Tally:
    """What callers saw."""

    ended: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    left: int = 0


async def _ask(session: aiohttp.ClientSession, url: str, dice: random.Random, tally: Tally) -> None:
    kind = dice.choice(list(KINDS))
    body = ask(f"[[emulator {kind}]]", model=dice.choice(FAMILIES))
    async with session.post(f"{url}/chat/completions/stream", json=body) as response:
        if dice.random() < LEAVE:
            await response.content.readline()
            tally.left += 1
            response.close()
            return
        records = [orjson.loads(line) for line in (await response.read()).splitlines()]
    kinds = [record.get("type", "error") for record in records]
    terminal = [each for each in kinds if each in {"done", "error"}]
    tally.ended["".join(terminal)] += 1
    if terminal != [KINDS[kind]] or kinds[-1] != terminal[0]:
        code = records[-1].get("error", {}).get("code")
        tally.wrong.append(f"{kind}: {kinds} {code}")


async def run(seconds: float, streams: int = 100, seed: int = 1, clock_ms: int = CLOCK_MS) -> dict[str, Any]:
    """Return the report; `clock_ms` is how long the gateway waits for what stalls."""
    dice, tally, log = random.Random(seed), Tally(), io.StringIO()  # noqa: S311 - a seeded draw, no secret
    logging.configure(level="warning", json=True, stream=log)
    loop = asyncio.get_running_loop()
    samples: list[tuple[float, Holdings]] = []
    complaints: Counter[str] = Counter()
    async with Emulator(EmulatorSettings()) as emulator:
        settings = settings_for(
            emulator,
            max_concurrency=streams,
            max_queue=streams,
            queue_timeout_ms=60_000,
            bedrock={"first_byte_timeout_ms": clock_ms, "gap_timeout_ms": clock_ms},
            retries={"max_attempts": 1},  # each fault is to reach its caller
            breaker={"enabled": False},  # most calls fail here: it would let none through
        )
        async with app.running(settings) as gateway:
            first = holdings(gateway)
            until = loop.time() + seconds

            async def work() -> None:
                async with aiohttp.ClientSession() as session:
                    while loop.time() < until:
                        await _ask(session, gateway.url, dice, tally)

            async with asyncio.TaskGroup() as group:
                for _ in range(streams):
                    group.create_task(work())
                while loop.time() < until:
                    await asyncio.sleep(min(seconds / 20, until - loop.time() + 0.01))
                    samples.append((loop.time(), holdings(gateway)))
                    for words in COMPLAINTS:
                        complaints[words] += log.getvalue().count(words)
                    log.seek(0)
                    log.truncate()
                    emulator.calls.clear()
            last = await at_rest(gateway, first)
    growth = _growth_kib_an_hour(samples[len(samples) // 2 :])
    kept = not tally.wrong and not complaints.total() and last.settled(first)
    return {
        "kept": kept and (seconds < 600 or growth < GROWTH_KIB_AN_HOUR),
        "seconds": seconds,
        "streams_at_once": streams,
        "ended": dict(tally.ended),
        "left": tally.left,
        "wrong": tally.wrong[:20],
        "complaints": dict(complaints),
        "growth_kib_an_hour": round(growth, 1),
        "growth_counts": seconds >= 600,
        "first": first.report(),
        "last": last.report(),
    }


def _growth_kib_an_hour(samples: list[tuple[float, Holdings]]) -> float:
    """Return the slope of the memory by least squares."""
    mean_at = sum(at for at, _ in samples) / len(samples)
    mean_rss = sum(held.rss_kib for _, held in samples) / len(samples)
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    slope = (
        sum((at - mean_at) * (held.rss_kib - mean_rss) for at, held in samples) / spread if spread else 0.0
    )
    return slope * 3600


def main() -> int:
    """Run by the command line's arguments; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.streams", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    report = asyncio.run(run(arguments.seconds, arguments.streams, arguments.seed))
    sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if report["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
