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


class Place(NamedTuple):
    """So many whole frames, and so many bytes of what follows them; 0 frames where an answer has none."""

    frames: int
    extra: int = 0


BEFORE_THE_HEAD: Final = Place(-1)
"""Not even the status line has been sent."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one answer; `member` is the exception that comes."""

    kind: str
    place: Place
    member: str = ""


def apply(fault: Fault, frames: Frames) -> None:
    """Damage `frames` in place.

    Raises:
        BedrockError: the answer has no such place: the fault would do nothing, and a test prove nothing.
    """
    if fault.kind in BREAKS:
        _truncate(frames, fault.place)
        return
    if fault.kind in _OF_A_FRAME and fault.place.frames >= len(frames):
        raise invalid(f"The directive [{fault.kind}] needs a frame {fault.place.frames} of {len(frames)}.")
    EDITS[fault.kind](frames, fault)


def _truncate(frames: Frames, place: Place) -> None:
    behind = b"".join(data for data, _ in frames[max(place.frames, 0) :])
    if place.extra > len(behind):
        raise invalid(f"There are only {len(behind)} bytes behind {place.frames} frames of this answer.")
    frames[max(place.frames, 0) :] = [(behind[: place.extra], False)] if place.extra else []


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
