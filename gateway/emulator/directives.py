"""How a caller steers one answer, through any gateway: a directive in the last thing that the user says.

    [[emulator deltas=128 pace_ms=20 first_byte_ms=500]]

========================  ===============================================================================
`deltas=N`                N text deltas; 0 for no text
`delta_chars=N`           each of N characters; 0: one word each
`reasoning=N`             N reasoning deltas before the text
`tool=N`                  N tool calls after the text, taken in turn from the tools of the request
`first_byte_ms=X`         the headers come after X milliseconds
`pace_ms=X`               each delta comes X milliseconds after the one before
`frames_per_write=N`      N frames in one write; 0: all of them
`error=<Code>`            no answer but this HTTP error, with its status
`cut=N`                   the response ends, properly, after N frames
`exception=<member>`      after `after=N` frames (default 0) comes this exception frame, and the end
========================  ===============================================================================

Anything else in the brackets is refused: a misspelt directive that did nothing would make a test pass that
proves nothing. The brackets themselves are not part of what the user said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.emulator.errors import CODES, STREAM_EXCEPTIONS, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.emulator.settings import EmulatorSettings

_BRACKETS: Final = re.compile(r"\[\[emulator\b([^\]]{0,500})\]\]")  # bounded, so that it stays linear
_INTEGER: Final = re.compile(r"\d{1,5}")
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
    tool: int | None = None
    error: str | None = None
    cut: int | None = None
    exception: str | None = None
    after: int | None = None

    @property
    def breaks_stream(self) -> bool:
        """Whether the answer is to break off, which only a stream can."""
        return self.cut is not None or self.exception is not None


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
        for word in match[1].split():
            name, _, value = word.partition("=")
            if name not in _READERS:
                raise invalid(f"Unknown directive [{name}]; known are {', '.join(_READERS)}.")
            changes[name] = _READERS[name](name, value)
    if "after" in changes and "exception" not in changes:
        raise invalid("The directive [after] says when the exception comes, but there is none.")
    if "cut" in changes and "exception" in changes:
        raise invalid("The directives [cut] and [exception] exclude each other.")
    return _BRACKETS.sub("", said).strip(), replace(usual, **changes)


def _integer(name: str, value: str) -> int:
    if not _INTEGER.fullmatch(value):
        raise invalid(f"The directive [{name}] needs a whole number below 100000, not [{value}].")
    return int(value)


def _number(name: str, value: str) -> float:
    if not _NUMBER.fullmatch(value):
        raise invalid(f"The directive [{name}] needs a number below a million, not [{value}].")
    return float(value)


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
        "tool": _integer,
        "first_byte_ms": _number,
        "pace_ms": _number,
        "frames_per_write": _integer,
        "error": _one_of(CODES),
        "cut": _integer,
        "exception": _one_of(STREAM_EXCEPTIONS),
        "after": _integer,
    }
)
