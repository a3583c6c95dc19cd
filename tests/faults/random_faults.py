"""Faults that chance finds, on both sides of a gateway: `python -m tests.faults.random_faults 1000`.

A seed is one request through two fault proxies, one before Bedrock and one before the gateway. Nothing is
known of what must happen, only what must not: a caller who takes an answer for whole has all of it and
nothing else. A seed that fails is run again by `python -m tests.faults.random_faults 1 --first SEED`.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

import aiohttp

from gateway import app
from gateway.emulator import Emulator
from gateway.errors import GatewayError
from gateway.observability import logging
from tests.faults.hearing import FORMATS, hear
from tests.faults.matrix import TEXT
from tests.faults.proxy import CLEAN, FaultProxy, Toxics
from tests.harness import CLAUDE, NOVA, settings_for, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.app import Gateway
    from tests.faults.hearing import Heard
    from tests.faults.proxy import Fault

PATIENCE_S: Final = 2.0
"""How long a caller waits; every clock of the gateway is shorter."""
GUARD_S: Final = 30.0
SETTINGS: Final = {
    "bedrock": {"connect_timeout_ms": 1000, "first_byte_timeout_ms": 300, "gap_timeout_ms": 300},
    "write_timeout_ms": 500,
    "adaptive": {"enabled": False},
    "breaker": {"enabled": False},
}
BREAKS: Final[tuple[Fault, ...]] = ("reset", "close", "half_close", "stall")
DAMAGES: Final[tuple[Fault, ...]] = ("garbage", "flip")
"""Only before Bedrock, whose frames have checksums: on its last leg nothing but TCP protects an answer."""


@dataclass(frozen=True, slots=True)
class Stand:
    """An emulator, a proxy, a gateway, a proxy."""

    emulator: Emulator
    upstream: FaultProxy
    gateway: Gateway
    downstream: FaultProxy


@asynccontextmanager
async def standing() -> AsyncIterator[Stand]:
    """Run all four."""
    async with Emulator() as emulator, FaultProxy(emulator.url) as upstream:
        settings = settings_for(emulator, **SETTINGS)
        aws = settings.aws.model_copy(update={"endpoint_url": upstream.url})
        settings = settings.model_copy(update={"aws": aws})
        async with app.running(settings) as gateway, FaultProxy(gateway.url) as downstream:
            yield Stand(emulator, upstream, gateway, downstream)


async def run(stand: Stand, seed: int) -> list[str]:
    """Send the request of one seed, and return what is wrong with what its caller concludes."""
    random = Random(seed)  # noqa: S311 - faults, no secrets
    for proxy, faults in ((stand.upstream, BREAKS + DAMAGES), (stand.downstream, BREAKS)):
        await proxy.drop()  # a pooled connection has the toxics of its own time
        proxy.seed = seed
        proxy.up, proxy.down = _toxics(random, faults, 1200), _toxics(random, faults, 3000)
    form, model = random.choice(tuple(FORMATS)), random.choice((CLAUDE, NOVA))
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            heard = await hear(session, stand.downstream.url, form, model, {})
        except (aiohttp.ClientError, TimeoutError):
            return []  # that is a failure which nobody takes for an answer
    return [f"seed {seed} ({form}): {wrong}" for wrong in lies(heard, form)]


def _toxics(random: Random, faults: tuple[Fault, ...], length: int) -> Toxics:
    if random.random() < 0.5:
        return CLEAN
    return Toxics(
        fault=random.choice((None, *faults)),
        at=random.randrange(length),
        slice=random.choice((None, 1, 40, 400)),
        jitter=random.choice((0.0, 0.0005)),
    )


def lies(heard: Heard, form: str) -> list[str]:
    """Return what would mislead a caller: an end that looks good and is not, or an end without a word."""
    if heard.broken:
        return []
    if heard.status != 200:
        return _of_an_error(heard)
    if form == "text":
        said = heard.body.decode()
    elif form == "unary":
        said = json.loads(heard.body)["message"]["content"]
    else:
        records = [json.loads(one.removeprefix(b"data: ")) for one in heard.body.split(b"\n") if one]
        ends = [record["type"] for record in records if record["type"] in {"done", "error"}]
        if len(ends) != 1 or records[-1]["type"] != ends[0]:
            return [f"terminal records {ends}"]
        if ends == ["error"]:
            return []
        said = text_of(records)
    return [] if said == TEXT else [f"a good end, and the text {said!r}"]


def _of_an_error(heard: Heard) -> list[str]:
    fault = json.loads(heard.body)["error"]
    statuses = {error.code: error.status for error in GatewayError.__subclasses__()}
    return [] if statuses.get(fault["code"]) == heard.status else [f"{heard.status} with {fault}"]


async def run_many(seeds: range, *, at_once: int = 8) -> list[str]:
    """Run seeds in a few stands at once, and return their lies.

    Raises:
        TimeoutError: a slot or a connection is still held at the end.
    """
    parts = [run_some(seeds[start::at_once]) for start in range(at_once)]
    return [lie for part in await asyncio.gather(*parts) for lie in part]


async def run_some(seeds: range) -> list[str]:
    """Run seeds one after the other in one stand; see `run_many`.

    Raises:
        TimeoutError: a slot or a connection is still held at the end.
    """
    wrong = []
    async with standing() as stand:
        for seed in seeds:
            wrong += await run(stand, seed)
        await stand.downstream.drop()
        await stand.upstream.drop()
        async with asyncio.timeout(GUARD_S):
            await stand.emulator.wait_active(0)
            while stand.gateway.limiter.running:  # noqa: ASYNC110 - a limiter has no event for it
                await asyncio.sleep(0.01)
    return wrong


def main() -> int:
    """Run as many seeds as asked for; the status says whether one has lied."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    asked = parser.parse_args()
    logging.configure(level="error", json=True, stream=io.StringIO())
    wrong = asyncio.run(run_many(range(asked.first, asked.first + asked.seeds)))
    sys.stdout.write("\n".join([*wrong, f"{asked.seeds} seeds, {len(wrong)} lies"]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
