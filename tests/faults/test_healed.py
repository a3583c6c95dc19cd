"""The part of the table that second chances heal: before its first event, a caller sees nothing of a fault.

The other tests run without retries, so that a fault is what the caller gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp
import pytest

from tests.faults.hearing import FORMATS, complaints, hear
from tests.faults.matrix import FAULTS, FIRST_FRAME, OPENING, STATUS, WHOLE, expected, provocation
from tests.harness import CLAUDE

if TYPE_CHECKING:
    from gateway.emulator import Emulator
    from tests.faults.matrix import Phase
    from tests.harness import StartGateway

BY_NAME: Final = {fault.name: fault for fault in FAULTS}
QUICK: Final = {"max_attempts": 2, "backoff_ms": 1, "budget_min": 100}


@pytest.mark.parametrize(
    ("name", "phase", "healed"),
    [
        ("throttling", STATUS, True),
        ("throttling", FIRST_FRAME, True),
        ("throttling", OPENING, False),
        ("service_unavailable", STATUS, True),
        ("service_unavailable", FIRST_FRAME, True),
        ("internal_server", STATUS, True),
        ("reset", STATUS, True),
        ("close", STATUS, True),
        ("close", OPENING, False),
        ("validation", STATUS, False),
        ("access_denied", STATUS, False),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_one_fault(
    name: str, phase: Phase, emulator: Emulator, start: StartGateway, *, healed: bool
) -> None:
    """In every format: a whole answer after two calls, or the fault after one."""
    fault = BY_NAME[name]
    due = WHOLE if healed else expected(fault, phase, CLAUDE)
    assert due is not None
    async with start(emulator, retries=QUICK) as caller, aiohttp.ClientSession() as session:
        for form in FORMATS:
            emulator.script(provocation(fault, phase, CLAUDE), *[""] * healed)
            before = len(emulator.calls)
            heard = await hear(session, caller.url, form, CLAUDE, {})
            await emulator.wait_active(0)

            assert complaints(heard, form, due, phase.words) == []
            assert len(emulator.calls) - before == (2 if healed else 1)
