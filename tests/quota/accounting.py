"""`python -m tests.quota.accounting`: what a gateway says was used, against what its far end would bill.

Requests of every dialect that end in every way, and callers who leave at any moment, through one gateway to
one emulator, which is one process here. For each answer that the emulator bills there must be one log line,
and where the line says `final`, to the token the same four counters. JSON on standard output; exit status 1
where the two books differ.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from gateway import app
from gateway.emulator import Emulator, Tokens
from gateway.observability import logging
from gateway.settings import CallerSettings
from tests.harness import settings_for
from tests.quota.outcomes import outcomes, see

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.emulator import Call

TEAMS: Final = ("search", "support", "research")
AT_ONCE: Final = 40
SETTLED_WITHIN: Final = 120.0


def callers() -> dict[str, CallerSettings]:
    """Return the teams as callers, each with a key that is its name."""
    return {name: CallerSettings(key_sha256=(sha256(name.encode()).hexdigest(),)) for name in TEAMS}


@dataclass(slots=True)
class Books:
    """What both sides have written down: the far end's calls that were billed, the gateway's log lines."""

    calls: list[Call]
    lines: list[dict[str, Any]]
    totals: dict[str, Tokens]
    """Of the far end's ledger, by team."""

    def by_call(self) -> dict[str, list[dict[str, Any]]]:
        """Return the lines by the id of the answer that they tell of."""
        found: dict[str, list[dict[str, Any]]] = {}
        for line in self.lines:
            found.setdefault(line.get("upstream_request_id", ""), []).append(line)
        return found


def told(line: dict[str, Any]) -> Tokens:
    """Return the counters of a log line; what it does not know counts nothing."""
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    return Tokens(*(line.get(name) or 0 for name in names))


@dataclass(slots=True)
class Comparison:
    """Where the books agree and where not."""

    accuracies: Counter[str] = field(default_factory=Counter)
    unequal: list[tuple[Tokens, Tokens]] = field(default_factory=list)
    """Of final lines: what was billed, what was told."""
    untold: list[Call] = field(default_factory=list)
    """Billed, and no line tells of it."""
    unbilled: int = 0
    """Lines that tell of tokens that nobody bills."""
    billed: dict[str, list[int]] = field(default_factory=dict)
    """By accuracy: the sums of what was billed, and what was told of it."""


def compare(books: Books) -> Comparison:
    """Return how the two books compare."""
    found = Comparison()
    lines = books.by_call()
    for call in books.calls:
        assert call.billed is not None
        of_call = lines.pop(call.request_id, [])
        accuracy = of_call[0].get("usage_accuracy", "unknown") if len(of_call) == 1 else "untold"
        found.accuracies[accuracy] += 1
        sums = found.billed.setdefault(accuracy, [0, 0])
        sums[0] += sum(call.billed)
        if accuracy == "untold":
            found.untold.append(call)
            continue
        sums[1] += sum(told(of_call[0]))
        if accuracy == "final" and told(of_call[0]) != call.billed:
            found.unequal.append((call.billed, told(of_call[0])))
    found.unbilled = sum(any(told(line)) for left in lines.values() for line in left)
    return found


@asynccontextmanager
async def logged() -> AsyncIterator[io.StringIO]:
    """Catch the log."""
    stream = io.StringIO()
    logging.configure(level="info", json=True, stream=stream)
    yield stream


async def keep_books(count: int, seed: int, log: io.StringIO, **settings: Any) -> Books:
    """Let so many requests come to their ends and return what both sides have written down."""
    async with Emulator() as emulator:
        given = settings_for(
            emulator,
            callers=callers(),
            attribution={"request_metadata": "team"},
            max_concurrency=200,
            max_queue=1000,
            queue_timeout_ms=60_000,
            abandoned_max_answers=150,
            adaptive={"enabled": False},
            **settings,
        )
        connector = aiohttp.TCPConnector(limit=0)
        async with app.running(given) as gateway, aiohttp.ClientSession(connector=connector) as session:
            at_once = asyncio.Semaphore(AT_ONCE)

            async def one(team: str, **seen: Any) -> None:
                async with at_once:
                    await see(session, gateway.url, headers={"Authorization": f"Bearer {team}"}, **seen)

            asked = [
                one(TEAMS[outcome.number % len(TEAMS)], outcome=outcome) for outcome in outcomes(count, seed)
            ]
            await asyncio.gather(*asked)
            async with asyncio.timeout(SETTLED_WITHIN):
                await emulator.wait_active(0)
                while gateway.limiter.running:  # noqa: ASYNC110 - drains end by themselves, no event tells it
                    await asyncio.sleep(0.01)
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        return Books(
            calls=[call for call in emulator.calls if call.billed is not None],
            lines=[line for line in lines if line["event"] == "request"],
            totals={team: emulator.ledger.total(team=team).tokens for team in TEAMS},
        )


def report(found: Comparison) -> dict[str, Any]:
    """Return what there is to say."""
    return {
        "answers": dict(found.accuracies),
        "tokens": {name: {"billed": b, "told": t} for name, (b, t) in found.billed.items()},
        "unequal": [[list(one) for one in pair] for pair in found.unequal[:20]],
        "untold": len(found.untold),
        "unbilled": found.unbilled,
    }


async def run(options: argparse.Namespace) -> int:
    """Keep books with and without a drain."""
    said, failed = {}, False
    for policy in ("drain", "abort"):
        async with logged() as log:
            found = compare(await keep_books(options.count, options.seed, log, on_disconnect=policy))
        said[policy] = report(found)
        failed |= policy == "drain" and bool(found.unequal or found.untold or found.unbilled)
    sys.stdout.write(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode() + "\n")
    return int(failed)


def main() -> int:
    """Run by the command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.quota.accounting", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
