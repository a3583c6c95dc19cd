"""`python -m tests.ledger`: what each outage of Redis costs requests, and what is given out meanwhile.

Four replicas with the times of production, each asked 100 times a second: half of the requests spend a limit
of 1,000 that does not refill, half hold one of 60 places for 0.3 s. Prints a JSON object for each outage:
waits in milliseconds before it, and from its beginning until Redis counts again everywhere; what was granted
of the limit in all; the most places that were held at once; how long it took to be noticed, and to be over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.ledger.charges import Granted, Order
from gateway.ledger.remote import Rules
from gateway.observability import logging
from tests.ledger.outages import OUTAGES, REPLICAS, fleet, until
from tests.ledger.replicas import held, rate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.ledger.shared import SharedLedger
    from tests.ledger.outages import Outage

LIMIT, PLACES = 1_000, 60
PAUSE_S, HOLD_S = 0.01, 0.3
BEFORE_S, OUTAGE_S, AFTER_S = 2.0, 3.0, 3.0
SPENDS = Order("team", (rate(1, LIMIT),))
HOLDS = Order("team", (held(PLACES),))


class Load:
    """Requests at a steady pace; what they waited and were granted."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.granted = self.held = self.peak = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def at(self, ledgers: list[SharedLedger]) -> AsyncIterator[None]:
        """Ask them for as long as the block runs."""
        drivers = [asyncio.create_task(self._drive(ledger)) for ledger in ledgers]
        try:
            yield
        finally:
            for driver in drivers:
                driver.cancel()
            await asyncio.gather(*drivers, *self._tasks, return_exceptions=True)

    async def _drive(self, ledger: SharedLedger) -> None:
        number = 0
        while True:
            number += 1
            task = asyncio.create_task(self._one(ledger, HOLDS if number % 2 else SPENDS))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(PAUSE_S)

    async def _one(self, ledger: SharedLedger, order: Order) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        verdict = await ledger.reserve(order)
        self.waits.append(loop.time() - began)
        if not isinstance(verdict, Granted):
            return
        if order is SPENDS:
            self.granted += 1
            return
        self.held += 1
        self.peak = max(self.peak, self.held)
        await asyncio.sleep(HOLD_S)
        self.held -= 1
        ledger.settle(verdict.grant, [1], [])


def _p99(waits: list[float]) -> float:
    return round(statistics.quantiles(waits, n=100)[98] * 1000, 2)


async def measured(folder: Path, outage: Outage) -> dict[str, object]:
    """Let Redis fail in this way."""
    load = Load()
    loop = asyncio.get_running_loop()
    async with fleet(folder, Rules(replicas=REPLICAS)) as (ledgers, server, wire), load.at(ledgers):
        await asyncio.sleep(BEFORE_S)
        before, began = load.waits, loop.time()
        during: list[float] = []
        load.waits = during
        await outage.begin(server, wire)
        await until(lambda: all(ledger.measures.outages for ledger in ledgers))
        noticed = loop.time() - began
        await asyncio.sleep(OUTAGE_S)
        ended = loop.time()
        await outage.end(server, wire)
        await until(lambda: all(ledger.state == "shared" for ledger in ledgers))
        back = loop.time() - ended
        after: list[float] = []
        load.waits = after
        await asyncio.sleep(AFTER_S)
    return {
        "p99_before_ms": _p99(before), "p99_during_ms": _p99(during), "p99_after_ms": _p99(after),
        "added_p99_ms": round(_p99(during) - _p99(before), 2), "longest_ms": round(max(during) * 1000, 1),
        "requests": len(during), "waited_40_ms": sum(wait > 0.04 for wait in during),
        "granted": load.granted, "limit": LIMIT, "held_at_once": load.peak, "places": PLACES,
        "noticed_by_all_s": round(noticed, 2), "back_s": round(back, 2),
        "outages": [dict(ledger.measures.outages) for ledger in ledgers],
    }  # fmt: skip


async def main(names: list[str]) -> None:
    """Measure these outages, or all."""
    logging.configure(level="error", json=True, stream=sys.stderr)
    for name in names or OUTAGES:
        with tempfile.TemporaryDirectory() as folder:
            found = await measured(Path(folder), OUTAGES[name])
        print(json.dumps({name: found}))  # noqa: T201 - the command's answer


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.ledger", description=__doc__)
    parser.add_argument("outages", nargs="*", metavar="OUTAGE", help=f"default all of: {', '.join(OUTAGES)}")
    given = parser.parse_args().outages
    if unknown := [name for name in given if name not in OUTAGES]:
        parser.error(f"no such outage: {', '.join(unknown)}; there are {', '.join(OUTAGES)}")
    asyncio.run(main(given))
