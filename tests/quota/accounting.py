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
from gateway.admission.demand import micro_dollars
from gateway.admission.quotas import MICRO
from gateway.admission.reservations import utc_now
from gateway.emulator import Emulator, Tokens
from gateway.ledger.charges import Charge, Granted, Order
from gateway.observability import logging
from gateway.settings import CallerSettings
from tests.harness import settings_for
from tests.quota.outcomes import outcomes, see

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import date

    from gateway.emulator import Call
    from gateway.ledger.charges import Ledger
    from tests.quota.outcomes import Outcome

LUCKY: Final = ("search", "support")
UNLUCKY: Final = "research"
"""The one whose answers Bedrock breaks off, so that their tokens are estimates."""
TEAMS: Final = (*LUCKY, UNLUCKY)
BUDGET_USD: Final = 1_000.0
AT_ONCE: Final = 40
SETTLED_WITHIN: Final = 120.0


def callers() -> dict[str, CallerSettings]:
    """Return the teams as callers, each with a key that is its name."""
    return {
        name: CallerSettings(
            key_sha256=(sha256(name.encode()).hexdigest(),), budget_usd_per_day=BUDGET_USD, max_streams=10_000
        )
        for name in TEAMS
    }


def team_of(outcome: Outcome) -> str:
    """Return whose request it is."""
    return UNLUCKY if outcome.fate == "broken" else LUCKY[outcome.number % len(LUCKY)]


async def spent(ledger: Ledger, team: str, day: date) -> int:
    """Return what a team has spent on a day by a ledger, in micro-dollars, asked as admission would ask."""
    key = f"caller/{team}/usd/{day.isoformat()}"
    least, most = 0, round(BUDGET_USD * MICRO)
    while least < most:
        limit = (least + most) // 2
        verdict = await ledger.reserve(Order("", (Charge("spent", key, limit, 0),)))
        if isinstance(verdict, Granted):
            ledger.settle(verdict.grant, (0,), ())
            most = limit
        else:
            least = limit + 1
    return least


@dataclass(slots=True)
class Books:
    """What both sides have written down: the far end's calls that were billed, the gateway's log lines."""

    calls: list[Call]
    lines: list[dict[str, Any]]
    totals: dict[str, Tokens]
    """Of the far end's ledger, by team."""
    spent: dict[str, int]
    """Of the gateway's budgets, in micro-dollars."""

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


def cost_of_lines(books: Books, team: str) -> int:
    """Return what a team's lines say that its answers cost, each rounded up, in micro-dollars."""
    return sum(micro_dollars(line.get("cost_usd")) for line in books.lines if line["caller"] == team)


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
    begun = utc_now().date()
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

            await asyncio.gather(*(one(team_of(each), outcome=each) for each in outcomes(count, seed)))
            async with asyncio.timeout(SETTLED_WITHIN):
                await emulator.wait_active(0)
                while gateway.limiter.running:  # noqa: ASYNC110 - drains end by themselves, no event tells it
                    await asyncio.sleep(0.01)
            days = {begun, utc_now().date()}
            spending = {team: sum([await spent(gateway.ledger, team, day) for day in days]) for team in TEAMS}
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        return Books(
            calls=[call for call in emulator.calls if call.billed is not None],
            lines=[line for line in lines if line["event"] == "request"],
            totals={team: emulator.ledger.total(team=team).tokens for team in TEAMS},
            spent=spending,
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
            books = await keep_books(options.count, options.seed, log, on_disconnect=policy)
        found = compare(books)
        lines = {team: cost_of_lines(books, team) for team in TEAMS}
        said[policy] = {**report(found), "micro_usd": {"budgets": books.spent, "lines": lines}}
        agree = all(books.spent[team] == lines[team] for team in LUCKY)
        agree = agree and not (found.unequal or found.untold or found.unbilled)
        failed |= policy == "drain" and not agree
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
