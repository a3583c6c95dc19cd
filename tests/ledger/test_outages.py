"""Redis fails under load: each request waits once at most, and as much is given out as before."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.ledger.charges import Order
from gateway.ledger.remote import Rules
from tests.ledger.outages import OUTAGES, PASSWORD, Load, fleet, unlike, until
from tests.ledger.replicas import rate

if TYPE_CHECKING:
    import io
    from pathlib import Path

PATIENT = Rules(timeout_s=20.0, replicas=4, probe_s=0.05, grace_s=0.3)
QUICK = replace(PATIENT, timeout_s=0.15)
LIMIT = 100


@pytest.mark.parametrize("name", OUTAGES)
async def test_an_outage(name: str, tmp_path: Path, log: io.StringIO) -> None:
    """Of a limit of 100, half is given out before, and as much as is left during the outage or after it."""
    outage = OUTAGES[name]
    rules = QUICK if outage.causes == ("timeout",) else PATIENT
    async with asyncio.timeout(60), fleet(tmp_path, rules) as (ledgers, server, wire):
        load = Load(ledgers, Order("team", (rate(1, LIMIT),)))
        await load.ask(12)
        before = [ledger.measures.outages.total() for ledger in ledgers]
        await outage.begin(server, wire)
        while not all(
            ledger.measures.outages.total() > count for ledger, count in zip(ledgers, before, strict=True)
        ):
            await load.ask(1)
        during = load.granted
        if name != "flushed":
            waited = [sum(ledger.measures.waits.counts) for ledger in ledgers]
            await load.ask(30)
            assert [sum(ledger.measures.waits.counts) for ledger in ledgers] == waited
        await outage.end(server, wire)
        await until(unlike(ledgers, "degraded"))
        await load.ask(50)

    assert during >= 48
    assert 0.9 * LIMIT <= load.granted <= 1.3 * LIMIT
    told = [json.loads(line) for line in log.getvalue().splitlines()]
    causes = {line["cause"] for line in told if line["event"] == "ledger" and line["state"] == "degraded"}
    assert causes & set(outage.causes)
    assert PASSWORD not in log.getvalue()
