"""What can be wrong with an answer, as functions on the frames that were meant to be sent.

Two kinds. An *edit* sends something else than Bedrock would: a damaged, a doubled, an unknown frame. A
*break* sends nothing more from some place on, and ends the answer, or does not, in one of four ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from gateway.emulator.errors import invalid
from gateway.emulator.frames import UNKNOWN_EVENT, encode_error, encode_exception

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Ending: TypeAlias = Literal["cut", "stall", "close", "reset"]
"""`cut`: the transfer ends properly, too early. `stall`: it never ends. `close`: the connection is closed
inside it. `reset`: the connection is reset inside it."""

Frames: TypeAlias = "list[tuple[bytes, bool]]"
"""Each frame with whether it carries a delta, which pacing spreads over time."""

GARBAGE: Final = b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>not a frame</html>"
"""No frame: what a broken proxy between here and there might mix in."""

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
_HEADS: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "garbage": b"\x16\x03\x01 this is no HTTP\r\n\r\n",
        "flip": b"HTUP" + _HEAD[4:] + b"\r\n",
        "unknown_event": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    }
)
"""What an edit sends instead of, or in the last row before, the head."""


class Place(NamedTuple):
    """So many whole frames, and so many bytes of what follows them; 0 frames where an answer has none."""

    frames: int
    extra: int = 0


BEFORE_THE_HEAD: Final = Place(-1)
"""Not even the status line has been sent; what is `extra` then counts in a head."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one answer; `member` is the exception that comes."""

    kind: str
    place: Place
    member: str = ""

    @property
    def head(self) -> bytes:
        """What is sent before the head, or in its stead."""
        if self.place.frames >= 0:
            return b""
        return _HEADS.get(self.kind, _HEAD[: self.place.extra])

    @property
    def headless(self) -> bool:
        """Whether no good head comes."""
        return self.place.frames < 0 and self.kind != "unknown_event"

    @property
    def ending(self) -> Ending | None:
        """How the answer ends; None for as it should."""
        return BREAKS.get(self.kind, "close" if self.headless else None)


def apply(fault: Fault, frames: Frames) -> None:
    """Damage `frames` in place.

    Raises:
        BedrockError: the answer has no such place: the fault would do nothing, and a test prove nothing.
    """
    if fault.place.frames < 0:
        frames[:] = [] if fault.headless else frames
        return
    if fault.place.frames > len(frames):
        raise invalid(f"The directive [{fault.kind}] needs {fault.place.frames} frames, not {len(frames)}.")
    if fault.place.frames == len(frames) and (fault.kind in _OF_A_FRAME or fault.place.extra):
        frames.append((UNKNOWN_EVENT, False))  # behind the last frame it is one more that is damaged
    if fault.kind in BREAKS:
        _truncate(frames, fault.place)
    else:
        EDITS[fault.kind](frames, fault)


def _truncate(frames: Frames, place: Place) -> None:
    behind = b"".join(data for data, _ in frames[place.frames :])
    if place.extra > len(behind):
        raise invalid(f"There are only {len(behind)} bytes behind {place.frames} frames of this answer.")
    frames[place.frames :] = [(behind[: place.extra], False)] if place.extra else []


def _except(frames: Frames, fault: Fault) -> None:
    frames[fault.place.frames :] = [(encode_exception(fault.member), False)]


def _error(frames: Frames, fault: Fault) -> None:
    frames[fault.place.frames :] = [(encode_error("InternalError", "Something failed."), False)]


def _flip(frames: Frames, fault: Fault) -> None:
    data, delta = frames[fault.place.frames]
    middle = len(data) // 2  # in the payload of any frame there is: only the checksum can tell
    frames[fault.place.frames] = (data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], delta)


def _double(frames: Frames, fault: Fault) -> None:
    frames.insert(fault.place.frames, frames[fault.place.frames])


def _insert(data: bytes) -> Callable[[Frames, Fault], None]:
    def insert(frames: Frames, fault: Fault) -> None:
        frames.insert(fault.place.frames, (data, False))

    return insert


EDITS: Final[Mapping[str, Callable[[Frames, Fault], None]]] = MappingProxyType(
    {
        "exception": _except,
        "error_frame": _error,
        "flip": _flip,
        "duplicate": _double,
        "garbage": _insert(GARBAGE),
        "unknown_event": _insert(UNKNOWN_EVENT),
    }
)
BREAKS: Final[Mapping[str, Ending]] = MappingProxyType(
    {"cut": "cut", "stall": "stall", "close": "close", "reset": "reset"}
)
_OF_A_FRAME: Final = frozenset({"flip", "duplicate"})
