"""What is asked of every subject, as tables. A new load is a new row; numbers come from `measure`."""

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
    evenly spread over one pace, so that their deltas do not come in step. `peers`: the other gateways run
    it too.
    """

    name: str
    model: str
    points: tuple[Point, ...]
    concurrency: int
    frames_per_write: int
    pace_ms: float = 0.0
    peers: bool = False

    def prompt(self, deltas: int) -> str:
        """Return what to say for an answer of this shape."""
        return (
            f"[[emulator deltas={deltas} frames_per_write={self.frames_per_write} "
            f"pace_ms={self.pace_ms:g}]] Hello"
        )


_BURST = (Point(16, 120), Point(128, 60), Point(512, 24))
_QUICK_BURST = (Point(16, 40), Point(128, 20), Point(512, 8))
_PACED = (Point(20, 50), Point(100, 50))
_QUICK_PACED = (Point(10, 50), Point(50, 50))
_FAST = (Point(60, 20), Point(300, 20))
_FEW = (Point(20, 4), Point(100, 4))

BURST_CLAUDE = "whole reply in one write, Claude"
BURST_CONVERSE = "whole reply in one write, Converse"
FRAMES_CLAUDE = "one write a frame, Claude"
FRAMES_CONVERSE = "one write a frame, Converse"
PACED_CLAUDE = "one delta each 20 ms, Claude"
PACED_CONVERSE = "one delta each 20 ms, Converse"
FAST_CLAUDE = "one delta each 5 ms, Claude"
FAST_CONVERSE = "one delta each 5 ms, Converse"
FEW_CONVERSE = "one delta each 20 ms, 4 streams, Converse"


def _burst(
    name: str, model: str, points: tuple[Point, ...], frames_per_write: int = 0, *, peers: bool = False
) -> Scenario:
    return Scenario(
        name=name,
        model=model,
        points=points,
        concurrency=8,
        frames_per_write=frames_per_write,
        peers=peers,
    )


def _paced(
    name: str, model: str, points: tuple[Point, ...], concurrency: int = 50, pace_ms: float = 20.0
) -> Scenario:
    return Scenario(
        name=name,
        model=model,
        points=points,
        concurrency=concurrency,
        frames_per_write=1,
        pace_ms=pace_ms,
    )


DEFAULT = (
    _burst(BURST_CLAUDE, CLAUDE, _BURST),
    _burst(BURST_CONVERSE, LLAMA, _BURST, peers=True),
    _burst(FRAMES_CLAUDE, CLAUDE, _BURST, 1),
    _burst(FRAMES_CONVERSE, LLAMA, _BURST, 1),
    _paced(PACED_CLAUDE, CLAUDE, _PACED),
    _paced(PACED_CONVERSE, LLAMA, _PACED),
    _paced(FAST_CLAUDE, CLAUDE, _FAST, 20, 5),
    _paced(FAST_CONVERSE, LLAMA, _FAST, 20, 5),
    _paced(FEW_CONVERSE, LLAMA, _FEW, 4),
)
QUICK = (
    _burst(BURST_CLAUDE, CLAUDE, _QUICK_BURST),
    _burst(BURST_CONVERSE, LLAMA, _QUICK_BURST, peers=True),
    _paced(PACED_CLAUDE, CLAUDE, _QUICK_PACED),
    _paced(PACED_CONVERSE, LLAMA, _QUICK_PACED),
)
