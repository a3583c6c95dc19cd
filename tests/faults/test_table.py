"""The table in the documentation is the table that the tests check, and it is large enough."""

from __future__ import annotations

from tests.faults.matrix import CONNECT, FAULTS, PHASES, expected
from tests.faults.table import TABLE, markdown
from tests.harness import CLAUDE, NOVA


def test_the_table_is_not_stale() -> None:
    """After a change of the rules: `python -m tests.faults.table`."""
    assert TABLE.read_text() == markdown()


def test_no_cell_is_empty() -> None:
    """At least 12 faults in 7 phases have an expectation; before a connection some cannot be, and say why."""
    there = [phase for phase in PHASES if phase is not CONNECT]
    holes = [
        (fault.name, phase.name) for fault in FAULTS for phase in there if not expected(fault, phase, CLAUDE)
    ]

    assert (len(FAULTS) >= 12, len(there) >= 7, holes) == (True, True, [])
    assert [fault.name for fault in FAULTS if not fault.connect and not fault.no_connect] == []


def test_a_fault_is_never_done() -> None:
    """Only what must not matter, and what is missing behind the terminal event, ends in `done`."""
    for model in (CLAUDE, NOVA):
        done = {
            (fault.name, phase.name)
            for fault in FAULTS
            for phase in PHASES
            if (due := expected(fault, phase, model)) is not None and due.error is None
        }
        harmless = {name for name, _ in done if name in {"unknown_event", "slices"}}
        assert harmless == {"unknown_event", "slices"}
        assert {cell for cell in done if cell[0] not in harmless} == {
            (name, "tail") for name in ("stall", "deadline", "reset", "close", "cut")
        }
