"""Directives as a table: what they change, and what is refused because it would change nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.emulator import EmulatorSettings
from gateway.emulator.directives import defaults, read, read_words
from gateway.emulator.errors import BedrockError
from gateway.emulator.faults import BEFORE_THE_HEAD, Fault, Place

USUAL = defaults(EmulatorSettings(deltas=7, pace_ms=3.0))


@pytest.mark.parametrize(
    ("text", "said", "changes"),
    [
        ("Hello", "Hello", {}),
        ("Hello [[emulator]]", "Hello", {}),
        ("Hello [[emulator deltas=128 pace_ms=20]] you", "Hello  you", {"deltas": 128, "pace_ms": 20.0}),
        ("[[emulator first_byte_ms=0.5]]", "", {"first_byte_ms": 0.5}),
        ("[[emulator deltas=1]] a [[emulator deltas=2 tool=3]]", "a", {"deltas": 2, "tool": 3}),
        ("[[emulator frames_per_write=0 delta_chars=4]]", "", {"frames_per_write": 0, "delta_chars": 4}),
        ("[[emulator reasoning=3]]", "", {"reasoning": 3}),
        ("[[emulator error=ThrottlingException]]", "", {"error": "ThrottlingException"}),
        (
            "[[emulator error=ThrottlingException retry_after_ms=1500]]",
            "",
            {"error": "ThrottlingException", "retry_after_ms": 1500},
        ),
        ("[[emulator cut=0]]", "", {"fault": Fault("cut", Place(0))}),
        ("[[emulator reset=3+20]]", "", {"fault": Fault("reset", Place(3, 20))}),
        ("[[emulator stall=start]]", "", {"fault": Fault("stall", BEFORE_THE_HEAD)}),
        ("[[emulator cut=start+12]]", "", {"fault": Fault("cut", Place(-1, 12))}),
        ("[[emulator garbage=start]]", "", {"fault": Fault("garbage", BEFORE_THE_HEAD)}),
        ("[[emulator flip=2]]", "", {"fault": Fault("flip", Place(2))}),
        (
            "[[emulator exception=throttlingException after=4]]",
            "",
            {"fault": Fault("exception", Place(4), "throttlingException")},
        ),
        (
            "[[emulator exception=somethingNewException]]",
            "",
            {"fault": Fault("exception", Place(0), "somethingNewException")},
        ),
        ("[[emulator slice=1 slice_ms=0.5]]", "", {"slice": 1, "slice_ms": 0.5}),
        ("[[emulators deltas=1]] [[other]]", "[[emulators deltas=1]] [[other]]", {}),
    ],
)
def test_a_directive_is_read_and_taken_out(text: str, said: str, changes: dict[str, Any]) -> None:
    """Later ones win; what only looks like one is text."""
    assert read(text, USUAL) == (said, replace(USUAL, **changes))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("delta=1", "Unknown directive [delta]; known are deltas, delta_chars, "),
        ("deltas", "The directive [deltas] needs a whole number below 100000, not []."),
        ("deltas=-1", "The directive [deltas] needs a whole number below 100000, not [-1]."),
        ("deltas=100000", "The directive [deltas] needs a whole number below 100000, not [100000]."),
        ("deltas=1.5", "The directive [deltas] needs a whole number below 100000, not [1.5]."),
        ("pace_ms=fast", "The directive [pace_ms] needs a number below a million, not [fast]."),
        ("pace_ms=1e3", "The directive [pace_ms] needs a number below a million, not [1e3]."),
        ("error=Throttled", "The directive [error] knows AccessDeniedException, "),
        ("exception=ThrottlingException", "The directive [exception] knows accessDeniedException, "),
        ("after=1", "The directive [after] says when the exception comes, but there is no [exception]."),
        (
            "retry_after_ms=1",
            "The directive [retry_after_ms] says when to come again, but there is no [error].",
        ),
        ("times=1", "The directive [times] says how often a fault comes, but there is no fault."),
        (
            "slice_ms=1",
            "The directive [slice_ms] says how far apart the pieces come, but there is no [slice].",
        ),
        (
            "cut=1 exception=throttlingException",
            "The directives [cut] and [exception] exclude each other.",
        ),
        ("error=ThrottlingException flip=1", "The directives [error] and [flip] exclude each other."),
        ("duplicate=start", "The directive [duplicate] needs a whole number below 100000, not [start]."),
        ("reset=+5", "The directive [reset] needs a place such as start, 3 or 3+20, not [+5]."),
    ],
)
def test_what_is_no_directive_is_refused(words: str, message: str) -> None:
    """A directive that did nothing would make a test pass that proves nothing."""
    with pytest.raises(BedrockError) as caught:
        read(f"Hello [[emulator {words}]]", USUAL)

    assert caught.value.message.startswith(message)


def test_a_script_overrules_a_request() -> None:
    """Words without their brackets; what they do not name stays."""
    asked = replace(USUAL, deltas=9, error="ThrottlingException")

    assert read_words("", asked) == asked
    assert read_words("deltas=1", asked) == replace(asked, deltas=1)
