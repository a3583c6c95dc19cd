"""The run: one cell after the other, each with its own call upstream, found there by its key."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson

from gateway.emulator import Emulator, EmulatorSettings
from tests.comparison.scenarios import PATIENCE_S
from tests.comparison.transcripts import Transcript, exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.comparison.scenarios import Scenario
    from tests.comparison.subjects import Peer, Way

LEAVE_AFTER_S = 2.0
"""How long a caller waits for the first byte before it leaves: long enough for the call to be upstream."""
SETTLE_S = 45.0
"""Longer than any answer of the far end takes, but for one that stalls."""
_POLL_S = 0.005
_BOUND_S = 1800.0
"""For the whole run, which takes a third of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What happened in one row and column.

    `outcomes` are the emulator's, one for each call that was made upstream. `released` is how many seconds
    after the caller's end nothing was left of them, None where something is left for good.
    """

    scenario: str
    way: str
    transcript: Transcript
    outcomes: tuple[str, ...]
    released: float | None


async def compare(
    peers: Sequence[Peer], scenarios: Sequence[Scenario], scratch: Path, progress: Callable[[str], None]
) -> list[Cell]:
    """Return all cells. Signatures are not checked: they are not what is compared.

    Raises:
        StartError: a gateway did not start.
        TimeoutError: the run takes too long.
    """
    cells: list[Cell] = []
    far_end = Emulator(EmulatorSettings(verify_signatures=False))
    async with asyncio.timeout(_BOUND_S), far_end as emulator:
        for peer in peers:
            folder = scratch / peer.name
            folder.mkdir()
            asked = [(row, way) for row in scenarios for way in peer.ways if way.streams or not row.streams]
            for batch in [[one] for one in asked] if peer.fresh else [asked]:
                async with peer.running(emulator.url, folder, [row for row, _ in batch]) as started:
                    for row, way in batch:
                        progress(f"{way.key}: {row.name}")
                        cells.append(await _cell(peer, way, row, started.port, emulator))
        # only now: a retry may come long after its caller's end
        calls = [(orjson.dumps(call.body).decode(), call.outcome) for call in emulator.calls]
    return [replace(cell, outcomes=_outcomes(cell, calls)) for cell in cells]


def _outcomes(cell: Cell, calls: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(outcome for body, outcome in calls if f"{cell.way}/{cell.scenario} " in body)


async def _cell(peer: Peer, way: Way, scenario: Scenario, port: int, emulator: Emulator) -> Cell:
    said = scenario.said(way.api, f"{way.key}/{scenario.name}")
    request = peer.request(way, scenario, said, emulator.url)
    before = emulator.active
    patience = LEAVE_AFTER_S if scenario.leave == b"" else PATIENCE_S
    transcript = await exchange(port, request, patience=patience, leave_at=scenario.leave)
    return Cell(
        scenario=scenario.name,
        way=way.key,
        transcript=transcript,
        outcomes=(),
        released=await _released(emulator, before),
    )


async def _released(emulator: Emulator, before: int) -> float | None:
    """Return how long it takes until no more calls than `before` are being answered."""
    clock = asyncio.get_running_loop().time
    ended = clock()
    while emulator.active > before:
        if clock() - ended > SETTLE_S:
            return None
        await asyncio.sleep(_POLL_S)
    return round(clock() - ended, 3)
