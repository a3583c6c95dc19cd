"""Four gateways as processes share a caller's limits through Redis, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.ledger.gateways import HELD, asked, fleet, limits

if TYPE_CHECKING:
    from pathlib import Path


async def test_four_gateways(tmp_path: Path) -> None:
    """Of 80 streams 20 are let in, and of 80 requests 20, and what a bucket refills meanwhile."""
    callers = limits(streams={"max_streams": 20}, minute={"requests_per_minute": 20})
    async with fleet(tmp_path, callers) as running:
        streams = await asked(running, "streams", 80, HELD)
        assert running.emulator.peak_active <= 20
        minute = await asked(running, "minute", 80, "Hello")

    assert (streams.granted, streams.refused, streams.others) == (20, 60, [])
    assert 20 <= minute.granted <= 20 + minute.seconds * 20 / 60
    assert minute.others == []
