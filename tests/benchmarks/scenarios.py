"""What is asked of every subject, as a table. A new load is a new row; numbers come from `measure`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
"""Served natively: InvokeModelWithResponseStream, JSON inside base64 inside JSON inside frames."""
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
"""Served by ConverseStream: JSON inside frames."""


class Point(NamedTuple):
    """One run: so many requests, each answered with so many text deltas."""

    deltas: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A way in which Bedrock's answer arrives, and the runs through which a line is fitted.

    The directive table of the emulator says what `frames_per_write` and `pace_ms` do. `concurrency` streams
    are open at once, each on a connection of its own that is kept for the next request; paced streams begin
    evenly spread over one pace, so that their deltas do not come in step.
    """

    name: str
    model: str
    points: tuple[Point, ...]
    concurrency: int
    frames_per_write: int
    pace_ms: float = 0.0

    def prompt(self, point: Point) -> str:
        """Return what to say for an answer of this shape."""
        return (
            f"[[emulator deltas={point.deltas} frames_per_write={self.frames_per_write} "
            f"pace_ms={self.pace_ms:g}]] Hello"
        )


_BURST = (Point(16, 120), Point(96, 60), Point(384, 30))
_QUICK_BURST = (Point(16, 60), Point(96, 30), Point(384, 15))
_PACED = (Point(20, 50), Point(100, 50))
_QUICK_PACED = (Point(10, 50), Point(50, 50))


def _burst(name: str, model: str, points: tuple[Point, ...]) -> Scenario:
    return Scenario(name=name, model=model, points=points, concurrency=8, frames_per_write=0)


def _paced(name: str, model: str, points: tuple[Point, ...]) -> Scenario:
    return Scenario(name=name, model=model, points=points, concurrency=50, frames_per_write=1, pace_ms=20)


DEFAULT = (
    _burst("burst, Claude", CLAUDE, _BURST),
    _burst("burst, Converse", LLAMA, _BURST),
    _paced("one delta each 20 ms, Claude", CLAUDE, _PACED),
    _paced("one delta each 20 ms, Converse", LLAMA, _PACED),
)
QUICK = (
    _burst("burst, Claude", CLAUDE, _QUICK_BURST),
    _burst("burst, Converse", LLAMA, _QUICK_BURST),
    _paced("one delta each 20 ms, Claude", CLAUDE, _QUICK_PACED),
)
