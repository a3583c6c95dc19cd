"""`python -m tests.quota`: who gets what out of a quota, all at once and each with an account of its own.

Every way is offered the same requests, twice what the quota can carry, for two minutes that are not measured
(the bucket is full at first) and some that are. Each has an emulator of its own in its own process, which
reserves and settles as Bedrock does; a gateway is a process too. A table and JSON on standard output; exit
status 1 where a figure is not kept:

- of the calls that the gateway with quotas sends, fewer than 1 % are throttled, where of plain clients' more
  than 30 % are;
- its answers use at least 95 % of the tokens that are possible.

*Possible* is what an omniscient client reaches in the same minutes with the same requests: it knows the
quota, its bucket and each request's tokens exactly, and sends the first in line the moment it fits. *Used*
are tokens by the quota's formula, input + cache writes + 5 x output, of answers that ended in that time.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.emulator import Quota
from tests.quota.columns import BACKOFF, BOTO3, LIMITED, NAMES, POSSIBLE, WITH, Run, start
from tests.quota.offered import offers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.quota.columns import Column
    from tests.quota.offered import Offer

MINUTE: Final = 60.0
WARM_UP: Final = 2 * MINUTE
MOST_THROTTLED: Final = 0.01
LEAST_THROTTLED: Final = 0.30
LEAST_USED: Final = 0.95


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run all columns at once and return the figures."""
    quota = Quota(tokens_per_minute=options.tokens_per_minute, shape=options.shape)
    marks = [WARM_UP, WARM_UP + MINUTE * options.minutes]
    per_second = options.load * options.tokens_per_minute / MINUTE
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            columns = [await start(stack, name, quota, Path(folder)) for name in options.columns]
            offered = await Run(columns, marks).of(offers(per_second, options.seed))
    possible = options.tokens_per_minute * options.minutes
    figures = {to.name: figures_of(to, offered, possible) for to in columns}
    return {
        "tokens_per_minute": options.tokens_per_minute,
        "shape": options.shape,
        "load": options.load,
        "minutes": options.minutes,
        "offered": len(offered),
        "columns": figures,
        "failed": failures(figures),
    }


def figures_of(to: Column, offered: Sequence[Offer], quota: int) -> dict[str, Any]:
    """Return the figures of one column, of the measured time; waits are of requests that came in it."""
    counted = to.counts[-1].since(to.counts[0])
    measured = [offer for offer in offered if offer.due >= WARM_UP]
    waits = sorted(to.waited[one.number] for one in measured if one.number in to.waited)
    return {
        "calls": counted.requests,
        "throttled": counted.throttled,
        "throttled_share": round(counted.throttled / max(1, counted.requests), 4),
        "used": counted.used,
        "used_of_quota": round(counted.used / quota, 4),
        "answered": len(waits),
        "of": len(measured),
        "p50_s": round(statistics.median(waits), 1) if waits else None,
        "unlimited_answered": sum(one.number in to.waited for one in measured if one.max_tokens is None),
        "unlimited": sum(one.max_tokens is None for one in measured),
        "errors": dict(Counter(to.failed[one.number] for one in measured if one.number in to.failed)),
    }


def failures(figures: dict[str, dict[str, Any]]) -> list[str]:
    """Return which figures are not kept, of the columns that ran."""
    failed = [
        f"{name}: throttled"
        for name in (BOTO3, BACKOFF)
        if name in figures and figures[name]["throttled_share"] <= LEAST_THROTTLED
    ]
    for name in {WITH, LIMITED} & figures.keys():
        if figures[name]["throttled_share"] >= MOST_THROTTLED:
            failed.append(f"{name}: throttled")
        if POSSIBLE in figures and figures[name]["used"] < LEAST_USED * figures[POSSIBLE]["used"]:
            failed.append(f"{name}: used")
    return failed


def table(report: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    rows = [
        "| | calls | throttled | tokens used | answered | of those without max_tokens | median s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, one in report["columns"].items():
        throttled = "–" if name == POSSIBLE else f"{one['throttled_share']:.1%}"
        rows.append(
            f"| {name} | {one['calls']} | {throttled} | {one['used_of_quota']:.1%} "
            f"| {one['answered']} of {one['of']} | {one['unlimited_answered']} of {one['unlimited']} "
            f"| {one['p50_s']} |"
        )
    return "\n".join(rows)


def main() -> int:
    """Run by the command line's arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.quota", description=__doc__)
    parser.add_argument("columns", nargs="*", default=[*NAMES], help=", ".join(NAMES))
    parser.add_argument("--minutes", type=float, default=3.0, help="that are measured")
    parser.add_argument("--tokens-per-minute", type=int, default=600_000)
    parser.add_argument("--load", type=float, default=2.0, help="times the quota")
    parser.add_argument("--shape", choices=["bucket", "window"], default="bucket", help="of the minute")
    parser.add_argument("--seed", type=int, default=1)
    report = asyncio.run(run(parser.parse_args()))
    sys.stdout.write(f"{table(report)}\n{orjson.dumps(report, option=orjson.OPT_INDENT_2).decode()}\n")
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
