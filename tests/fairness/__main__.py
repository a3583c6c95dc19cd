"""`python -m tests.fairness`: unequal callers before one gateway, over loopback, each thing in its process.

The gateway has 20 slots, an answer takes about a second, and an emulator answers. *Wait* is from sending a
request to the first byte of its answer. Figures as JSON on standard output, exit status 1 where one is not
kept (reliability.md R37):

- `quiet`: one request a second beside a hundred: its p95 wait is at most twice what it is alone;
- `equal`: ten callers who ask for twice what there is: Jain's index of their answers is at least 0.95;
- `weights`: two callers who ask for three times what there is, weighing 3 and 1: so are their answers.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from tests.fairness.figures import LEAST_INDEX, MOST_WAIT, SHARE, SHARE_TOLERANCE, jain, p95
from tests.harness import ask
from tests.quota.processes import emulator, gateway

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOTS, QUEUE = 20, 40
FIRST_BYTE_MS, PACE_MS, MEAN_DELTAS = 300, 50, 14
"""Of answers of all lengths: of one length they would all end at once, 20 of them each second."""
TWICE, THRICE = 2 * SLOTS, 3 * SLOTS
"""Requests a second, as an answer takes one."""
QUIET, LOUD, BIG, SMALL = "quiet", "loud", "big", "small"
EQUAL: Final = tuple(f"equal-{number}" for number in range(10))
WEIGHTS: Final = {BIG: SHARE}


@dataclass
class Outcome:
    """By caller: the waits of those served, and how many answers of which status there were."""

    waits: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def answers(self, *names: str) -> list[int]:
        """Return how many whole answers each of these has."""
        return [self.statuses[name][200] for name in names]


def configuration() -> str:
    """Return the `gateway.toml`; each caller's key is its name."""
    lines = [f"max_concurrency = {SLOTS}", f"max_queue = {QUEUE}", "queue_timeout_ms = 10000"]
    for name in (QUIET, LOUD, BIG, SMALL, *EQUAL):
        digest = sha256(name.encode()).hexdigest()
        lines += [f"[callers.{name}]", f'key_sha256 = ["{digest}"]', f"weight = {WEIGHTS.get(name, 1.0)}"]
    return "\n".join(lines)


async def run(url: str, rates: Mapping[str, float], seconds: float) -> Outcome:
    """Let callers send so many requests a second each, at random; return when all are answered."""
    outcome, chance = Outcome(), random.Random(1)  # noqa: S311 - a seed, no secret
    loop, tasks = asyncio.get_running_loop(), list[Any]()

    def body() -> dict[str, Any]:
        deltas = max(1, round(chance.expovariate(1 / MEAN_DELTAS)))
        words = f"[[emulator first_byte_ms={FIRST_BYTE_MS} pace_ms={PACE_MS} deltas={deltas}]]"
        return ask(words, max_tokens=100)

    async def one(session: aiohttp.ClientSession, name: str) -> None:
        sent = loop.time()
        headers = {"Authorization": f"Bearer {name}"}
        async with session.post(f"{url}/chat/completions/stream", json=body(), headers=headers) as response:
            answer = await response.content.readany()
            if response.status == 200:
                outcome.waits[name].append(loop.time() - sent)
            last = (answer + await response.content.read()).splitlines()[-1]
            whole = response.status != 200 or orjson.loads(last)["type"] == "done"
            outcome.statuses[name][response.status if whole else 0] += 1

    async def caller(session: aiohttp.ClientSession, name: str, rate: float) -> None:
        due = loop.time()
        end = due + seconds
        while (due := due + chance.expovariate(rate)) < end:
            await asyncio.sleep(due - loop.time())
            tasks.append(asyncio.ensure_future(one(session, name)))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(caller(session, name, rate) for name, rate in rates.items()))
        await asyncio.gather(*tasks)
    return outcome


async def measure(url: str, seconds: float) -> dict[str, Any]:
    """Return the figures of all scenes, one after another."""
    alone = await run(url, {QUIET: 1.0}, seconds)
    beside = await run(url, {QUIET: 1.0, LOUD: 100.0}, seconds)
    equal = await run(url, dict.fromkeys(EQUAL, TWICE / len(EQUAL)), seconds)
    weighed = await run(url, {BIG: THRICE / 2, SMALL: THRICE / 2}, seconds)
    big, small = weighed.answers(BIG, SMALL)
    figures = {
        "quiet alone, p95 wait in s": round(p95(alone.waits[QUIET]), 3),
        "quiet beside a loud one, p95 wait in s": round(p95(beside.waits[QUIET]), 3),
        "loud, p95 wait in s": round(p95(beside.waits[LOUD]), 3),
        "quiet, statuses": {str(status): count for status, count in beside.statuses[QUIET].items()},
        "loud, statuses": {str(status): count for status, count in beside.statuses[LOUD].items()},
        "ten equal callers, answers": equal.answers(*EQUAL),
        "ten equal callers, Jain's index": round(jain(equal.answers(*EQUAL)), 4),
        "weights 3 and 1, answers": [big, small],
        "weights 3 and 1, share": round(big / max(1, small), 2),
    }
    return figures | {"failed": failures(figures)}


def failures(figures: Mapping[str, Any]) -> list[str]:
    """Return which figures are not kept."""
    alone, beside = (figures[f"quiet {how}, p95 wait in s"] for how in ("alone", "beside a loud one"))
    kept = {
        "quiet: waits too long": beside <= MOST_WAIT * alone,
        "quiet: refused": figures["quiet, statuses"].keys() == {"200"},
        "equal: not alike": figures["ten equal callers, Jain's index"] >= LEAST_INDEX,
        "weights: not kept": abs(figures["weights 3 and 1, share"] - SHARE) <= SHARE_TOLERANCE * SHARE,
    }
    return [what for what, holds in kept.items() if not holds]


async def _all(seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            emulator({}) as upstream,
            gateway(upstream, Path(folder), configuration()) as url,
        ):
            return await measure(url, seconds)


def main() -> int:
    """Run by the command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.fairness", description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0, help="for each of the four runs")
    report = asyncio.run(_all(parser.parse_args().seconds))
    sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
