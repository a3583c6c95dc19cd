"""Where the time of a request goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

Phase: TypeAlias = Literal["request", "queue", "head", "first_byte", "stream", "end"]
PHASES: tuple[Phase, ...] = get_args(Phase)
"""Reading and checking the request · waiting for a slot · until Bedrock's head · until the first byte of its
body · its stream · after its end."""


@dataclass(slots=True)
class Timing:
    """Where the time went, in monotonic seconds; the properties are milliseconds."""

    started: float = field(default_factory=time.monotonic)
    queued: float | None = None
    admitted: float | None = None
    answered: float | None = None
    first_byte: float | None = None
    ended: float | None = None

    def mark_queued(self) -> None:
        """The request wants a slot now."""
        self.queued = time.monotonic()

    def mark_admitted(self) -> None:
        """The slot has been taken."""
        self.admitted = time.monotonic()

    def mark_answered(self) -> None:
        """The head of the answer has come, with a good status."""
        self.answered = time.monotonic()

    def mark_first_byte(self) -> None:
        """The first bytes of the answer's body have been read."""
        self.first_byte = time.monotonic()

    def mark_sent_again(self) -> None:
        """What had come of an answer counts for nothing: another call is made."""
        self.answered = self.first_byte = None

    def mark_ended(self) -> None:
        """The answer was whole: all that is left is to give it to the caller."""
        self.ended = time.monotonic()

    @property
    def phase(self) -> Phase:
        """Where the request is, or where it ended."""
        marks = (self.queued, self.admitted, self.answered, self.first_byte, self.ended)
        return next((phase for phase, mark in zip(PHASES, marks, strict=False) if mark is None), "end")

    def milliseconds(self) -> dict[str, float | None]:
        """Return the wait for a slot, and first byte and end so far since the request came in, in ms.

        None is for what never happened: a request that was refused at the door was never in the queue.
        """
        now, started, queued, first_byte = time.monotonic(), self.started, self.queued, self.first_byte
        admitted = now if self.admitted is None else self.admitted
        return {
            "queue_ms": None if queued is None else round((admitted - queued) * 1_000_000) / 1000,
            "first_byte_ms": None if first_byte is None else round((first_byte - started) * 1_000_000) / 1000,
            "total_ms": round((now - started) * 1_000_000) / 1000,
        }
