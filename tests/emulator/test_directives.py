"""Directives as a table: what they change, and what is refused because it would change nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.emulator import EmulatorSettings
from gateway.emulator.directives import defaults, read
from gateway.emulator.errors import BedrockError

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
        ("[[emulator cut=0]]", "", {"cut": 0}),
        (
            "[[emulator exception=throttlingException after=4]]",
            "",
            {"exception": "throttlingException", "after": 4},
        ),
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
        ("exception=ThrottlingException", "The directive [exception] knows internalServerException, "),
        ("after=1", "The directive [after] says when the exception comes, but there is none."),
        (
            "cut=1 exception=throttlingException",
            "The directives [cut] and [exception] exclude each other.",
        ),
    ],
)
def test_what_is_no_directive_is_refused(words: str, message: str) -> None:
    """A directive that did nothing would make a test pass that proves nothing."""
    with pytest.raises(BedrockError) as caught:
        read(f"Hello [[emulator {words}]]", USUAL)

    assert caught.value.message.startswith(message)


def test_breaking_off_is_for_streams() -> None:
    """Only a cut or an exception breaks an answer off."""
    breaking = [replace(USUAL, **change) for change in ({"cut": 0}, {"exception": "x"}, {"error": "x"}, {})]

    assert [one.breaks_stream for one in breaking] == [True, True, False, False]
