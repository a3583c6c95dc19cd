"""`python -m tests.ledger.gateways`: four gateways, one Redis, and what callers with limits get of them.

Real processes in front of one emulator. Prints one JSON object: how many of 400 simultaneous requests were
let in by a limit of 100 streams, and by one of 100 a minute, what the emulator saw at once, and after how
many seconds the streams of a gateway that was killed were free for others. Then, with the times of
production, what it costs requests when Redis is frozen for a while, and how many a limit lets in meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import aiohttp

from gateway.emulator import Emulator, EmulatorSettings
from tests.harness import ask
from tests.ledger import redis_server
from tests.lifecycle.processes import KEYS, Replica, environment
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.ledger.redis_server import RedisServer

REPLICAS = 4
HELD = "[[emulator deltas=600 pace_ms=100]]"
"""A stream that nobody waits for the end of."""
PATIENCE_S = 120.0
"""Against hanging only."""
PHASE_S, RATE = 4.0, 80
"""How long Redis is well, frozen, and well again, and requests a second meanwhile."""
MINUTE = 600


class Fleet:
    """Gateways behind which there is one Redis and one emulator; a caller's key is its name."""

    def __init__(
        self,
        replicas: list[Replica],
        emulator: Emulator,
        redis: RedisServer,
        session: aiohttp.ClientSession,
    ) -> None:
        self.replicas = replicas
        self.emulator = emulator
        self.redis = redis
        self._session = session

    async def at_once(self, caller: str, requests: int, text: str) -> list[aiohttp.ClientResponse]:
        """Ask all replicas in turn, all at once, and return the answers' heads; each is to be closed."""
        return await asyncio.gather(
            *(
                self.ask(self.replicas[number % len(self.replicas)], caller, text)
                for number in range(requests)
            )
        )

    async def ask(self, replica: Replica, caller: str, text: str) -> aiohttp.ClientResponse:
        """Begin a stream at this replica."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._session.post(
                f"{replica.url}/chat/completions/stream", json=ask(text), headers={"x-api-key": caller}
            )


def limits(**callers: dict[str, int]) -> str:
    """Return the setting of these callers."""
    return json.dumps(
        {
            name: {"key_sha256": [sha256(name.encode()).hexdigest()], **rules}
            for name, rules in callers.items()
        }
    )


@asynccontextmanager
async def fleet(folder: Path, callers: str, *, timeout_ms: int = 10_000) -> AsyncIterator[Fleet]:
    """Run all of it for as long as the block does.

    By default requests wait for Redis as long as it takes: a machine that stands still changes nothing.
    """
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server.running(folder))
        emulator = await stack.enter_async_context(
            Emulator(EmulatorSettings(access_key_id=KEYS[0], secret_access_key=KEYS[1]))
        )
        given = environment(
            emulator.url,
            GATEWAY_REDIS__URL=redis.url,
            GATEWAY_REDIS__TIMEOUT_MS=str(timeout_ms),
            GATEWAY_REDIS__REPLICAS=str(REPLICAS),
            GATEWAY_CALLERS=callers,
            GATEWAY_MAX_CONCURRENCY="400",
            GATEWAY_ADAPTIVE__ENABLED="false",
            GATEWAY_BEDROCK__CONNECT_TIMEOUT_MS="60000",
            GATEWAY_DRAIN__PROPAGATION_MS="0",
            GATEWAY_DRAIN__DEADLINE_MS="0",
        )
        replicas = [
            Replica(f"gateway-{number}", {**given, "GATEWAY_PORT": str(free_port())})
            for number in range(REPLICAS)
        ]
        for one in replicas:
            stack.push_async_callback(one.close)
        await asyncio.gather(*(one.start() for one in replicas))
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Fleet(replicas, emulator, redis, session)


class Let(NamedTuple):
    """How many were let in of how many, and what else they were told; `seconds` from first to last."""

    granted: int
    refused: int
    others: list[int]
    seconds: float


async def asked(fleet: Fleet, caller: str, requests: int, text: str) -> Let:
    """Ask so often at once, and let go of all when each has been answered."""
    began = time.monotonic()
    answers = await fleet.at_once(caller, requests, text)
    statuses = [answer.status for answer in answers]
    seconds = time.monotonic() - began
    for answer in answers:
        answer.close()
    others = [status for status in statuses if status not in {200, 429}]
    return Let(statuses.count(200), statuses.count(429), others, seconds)


async def freed_after_a_kill(fleet: Fleet, caller: str, streams: int) -> float:
    """Kill a gateway that has all of a caller's streams; return when others have had as many, in seconds."""
    victim, *others = fleet.replicas
    answers = [await fleet.ask(victim, caller, HELD) for _ in range(streams)]
    assert {answer.status for answer in answers} == {200}
    refused = await fleet.ask(others[0], caller, HELD)
    assert refused.status == 429
    await victim.kill()
    killed, had = time.monotonic(), 0
    while had < streams:
        answer = await fleet.ask(others[had % len(others)], caller, HELD)
        answers.append(answer)
        had += answer.status == 200
        if answer.status != 200:
            await asyncio.sleep(0.05)
    seconds = time.monotonic() - killed
    for answer in (*answers, refused):
        answer.close()
    return seconds


class Frozen(NamedTuple):
    """Seconds to the first byte, and how many a limit let in of how many, over all of `seconds`."""

    p99_before: float
    p99_during: float
    p99_after: float
    longest: float
    requests: int
    granted: int
    others: list[int]
    seconds: float


async def frozen(fleet: Fleet, caller: str) -> Frozen:
    """Ask at a steady pace while Redis is well, frozen, and well again."""
    waits: list[list[float]] = [[]]
    statuses: list[int] = []
    began = time.monotonic()

    async def ask_one(number: int, phase: list[float]) -> None:
        asked_at = time.monotonic()
        answer = await fleet.ask(fleet.replicas[number % REPLICAS], caller, "Hello")
        phase.append(time.monotonic() - asked_at)
        statuses.append(answer.status)
        await answer.read()

    async def load() -> None:
        number = 0
        async with asyncio.TaskGroup() as group:
            while time.monotonic() - began < 3 * PHASE_S:
                number += 1
                group.create_task(ask_one(number, waits[-1]))
                await asyncio.sleep(1 / RATE)

    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        for act in (fleet.redis.freeze, fleet.redis.thaw):
            await asyncio.sleep(PHASE_S)
            waits.append([])
            act()
    before, during, after = (statistics.quantiles(phase, n=100)[98] for phase in waits)
    others = [status for status in statuses if status not in {200, 429}]
    longest, granted = max(map(max, waits)), statuses.count(200)
    return Frozen(before, during, after, longest, len(statuses), granted, others, time.monotonic() - began)


async def main() -> dict[str, object]:
    """Run all of it at full size."""
    callers = limits(
        streams={"max_streams": 100}, minute={"requests_per_minute": 100}, killed={"max_streams": 20}
    )
    with tempfile.TemporaryDirectory() as folder:
        async with fleet(Path(folder), callers) as running:
            streams = await asked(running, "streams", 400, HELD)
            peak = running.emulator.peak_active
            minute = await asked(running, "minute", 400, "Hello")
            seconds = await freed_after_a_kill(running, "killed", 20)
        async with fleet(
            Path(folder), limits(team={"requests_per_minute": MINUTE}), timeout_ms=50
        ) as running:
            outage = await frozen(running, "team")
    return {
        "streams": streams._asdict(), "seen_at_once": peak, "minute": minute._asdict(),
        "refilled_at_most": minute.seconds * 100 / 60, "freed_after_s": round(seconds, 2),
        "frozen": outage._asdict(), "granted_at_most": MINUTE * (1 + outage.seconds / 60),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main()), indent=2))  # noqa: T201 - the command's answer
    sys.exit(0)
