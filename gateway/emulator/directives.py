"""How a caller steers one answer, through any gateway: a directive in the last thing that the user says.

    [[emulator deltas=128 pace_ms=20 first_byte_ms=500]]

========================  ===============================================================================
`deltas=N`                N text deltas; 0 for no text
`delta_chars=N`           each of N characters; 0: one word each
`reasoning=N`             N reasoning deltas before the text
`guardrail=WHAT`          the guardrail of the request blocks the `input` or the `output`, or may only `mask`
`redacted=N`              N blocks of redacted reasoning before the text
`tool=N`                  N tool calls after the text, taken in turn from the tools of the request
`first_byte_ms=X`         the headers come after X milliseconds
`pace_ms=X`               each delta comes X milliseconds after the one before
`frames_per_write=N`      N frames in one write; 0: all of them
`slice=N`                 every write is sent in pieces of N bytes, `slice_ms=X` milliseconds apart
`times=N`                 the fault comes to the first N requests that say the same; then a retry succeeds
`error=<Code>`            no answer but this HTTP error, with its status; `retry_after_ms=N` says when again
`exception=<member>`      after `after=N` frames (default 0) comes this exception frame, and the end
`error_frame=N`           after N frames comes a frame of the message type `error`, and the end
`flip=N`                  one bit of frame N, counted from 0, is wrong
`duplicate=N`             frame N comes twice
`garbage=N`               after N frames come bytes that are no frame; the rest follows
`unknown_event=N`         after N frames comes an event of an unknown type; the rest follows
`cut=PLACE`               the response ends, properly, at this place
`close=PLACE`             the connection is closed there, without the end of the transfer
`reset=PLACE`             the connection is reset there
`stall=PLACE`             nothing comes any more from there on, and no end
========================  ===============================================================================

PLACE is `N` (after N frames; 0: after the head), `start` (before the head), or one of them and `+B`: B bytes
further. At `start` a `cut` closes the connection properly, `flip` and `garbage` damage or replace the head,
and `unknown_event` is an interim answer. An answer that is not streamed has no frames: there it is `start`,
`0` or `0+B`, and the faults that need frames are refused. At most one fault, that is one line from `error`
on, holds for one answer. Where a fault needs a frame behind the last one, an unknown event comes to be it.

Anything else in the brackets is refused: a misspelt directive that did nothing would make a test pass that
proves nothing. The brackets themselves are not part of what the user said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.emulator.errors import CODES, STREAM_EXCEPTIONS, UNMODELLED_EXCEPTIONS, invalid
from gateway.emulator.faults import BEFORE_THE_HEAD, BREAKS, EDITS, Fault, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.emulator.guardrails import Order
    from gateway.emulator.settings import EmulatorSettings

_BRACKETS: Final = re.compile(r"\[\[emulator\b([^\]]{0,500})\]\]")  # bounded, so that it stays linear
_INTEGER: Final = re.compile(r"\d{1,5}")
_PLACE: Final = re.compile(r"(start|\d{1,5})(?:\+(\d{1,7}))?")
_NUMBER: Final = re.compile(r"\d{1,6}(?:\.\d{1,6})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """How one answer is to be given. None in `reasoning`: as many as usual if the request wants any."""

    deltas: int
    delta_chars: int
    usual_reasoning: int
    pace_ms: float
    first_byte_ms: float
    frames_per_write: int | None
    reasoning: int | None = None
    redacted: int = 0
    guardrail: Order | None = None
    tool: int | None = None
    slice: int | None = None
    slice_ms: float = 0.0
    error: str | None = None
    times: int | None = None
    retry_after_ms: int | None = None
    fault: Fault | None = None


def defaults(settings: EmulatorSettings) -> Directives:
    """Return what holds for an answer that no directive steers."""
    return Directives(
        deltas=settings.deltas,
        delta_chars=settings.delta_chars,
        usual_reasoning=settings.reasoning,
        pace_ms=settings.pace_ms,
        first_byte_ms=settings.first_byte_ms,
        frames_per_write=settings.frames_per_write,
    )


def read(said: str, usual: Directives) -> tuple[str, Directives]:
    """Return what the user said without the directives in it, and `usual` changed by them.

    Raises:
        BedrockError: a directive is not in the table above, or its value is not.
    """
    changes: dict[str, Any] = {}
    for match in _BRACKETS.finditer(said):
        changes |= _words(match[1])
    return _BRACKETS.sub("", said).strip(), _changed(usual, changes)


def read_words(words: str, usual: Directives) -> Directives:
    """Return `usual` changed by what could stand between the brackets; raises as `read` does."""
    return _changed(usual, _words(words))


def _words(words: str) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for word in words.split():
        name, _, value = word.partition("=")
        if name not in _READERS:
            raise invalid(f"Unknown directive [{name}]; known are {', '.join(_READERS)}.")
        changes[name] = _READERS[name](name, value)
    return changes


def _changed(usual: Directives, changes: dict[str, Any]) -> Directives:
    for name, needed, why in _NEEDS:
        if name in changes and needed not in changes:
            raise invalid(f"The directive [{name}] says {why}, but there is no [{needed}].")
    given = [name for name in changes if name in _FAULTS]
    if len(given) > 1:
        raise invalid(f"The directives {' and '.join(f'[{name}]' for name in given)} exclude each other.")
    if "times" in changes and not given:
        raise invalid("The directive [times] says how often a fault comes, but there is no fault.")
    after = changes.pop("after", 0)
    for name in given:
        if name == "exception":
            changes["fault"] = Fault(name, Place(after), changes.pop(name))
        elif name != "error":
            changes["fault"] = Fault(name, changes.pop(name))
    return replace(usual, **changes)


def _integer(name: str, value: str) -> int:
    if not _INTEGER.fullmatch(value):
        raise invalid(f"The directive [{name}] needs a whole number below 100000, not [{value}].")
    return int(value)


def _number(name: str, value: str) -> float:
    if not _NUMBER.fullmatch(value):
        raise invalid(f"The directive [{name}] needs a number below a million, not [{value}].")
    return float(value)


def _frame(name: str, value: str) -> Place:
    return Place(_integer(name, value))


def _frame_or_head(name: str, value: str) -> Place:
    return BEFORE_THE_HEAD if value == "start" else _frame(name, value)


def _place(name: str, value: str) -> Place:
    match = _PLACE.fullmatch(value)
    if match is None:
        raise invalid(f"The directive [{name}] needs a place such as start, 3 or 3+20, not [{value}].")
    frames = BEFORE_THE_HEAD.frames if match[1] == "start" else int(match[1])
    return Place(frames, int(match[2] or 0))


def _one_of(known: frozenset[str]) -> Callable[[str, str], str]:
    def read_name(name: str, value: str) -> str:
        if value not in known:
            raise invalid(f"The directive [{name}] knows {', '.join(sorted(known))}, not [{value}].")
        return value

    return read_name


_READERS: Final[Mapping[str, Callable[[str, str], Any]]] = MappingProxyType(
    {
        "deltas": _integer,
        "delta_chars": _integer,
        "reasoning": _integer,
        "redacted": _integer,
        "guardrail": _one_of(frozenset({"input", "output", "mask"})),
        "tool": _integer,
        "first_byte_ms": _number,
        "pace_ms": _number,
        "frames_per_write": _integer,
        "slice": _integer,
        "slice_ms": _number,
        "error": _one_of(CODES),
        "times": _integer,
        "retry_after_ms": _integer,
        "exception": _one_of(STREAM_EXCEPTIONS | UNMODELLED_EXCEPTIONS),
        "after": _integer,
        "error_frame": _frame,
        "flip": _frame_or_head,
        "duplicate": _frame,
        "garbage": _frame_or_head,
        "unknown_event": _frame_or_head,
        "cut": _place,
        "close": _place,
        "reset": _place,
        "stall": _place,
    }
)
_FAULTS: Final = frozenset({"error", *EDITS, *BREAKS})
_NEEDS: Final = (
    ("after", "exception", "when the exception comes"),
    ("retry_after_ms", "error", "when to come again"),
    ("slice_ms", "slice", "how far apart the pieces come"),
)
"""A directive, the one that it is nothing without, and what it says."""
