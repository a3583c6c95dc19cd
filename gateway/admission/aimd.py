"""How many calls Bedrock takes at once, found out by asking: additive increase, multiplicative decrease.

Pure arithmetic. The signal is the throttle and nothing else: total latency measures the length of answers,
not the load (reliability.md R39 and §3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_CAUTION: Final = 4.0
"""How much slower the one step is that leads back to where the last throttle came. At a capacity of 10 every
probe costs one throttle, and without this one call in 20 would be one."""


@dataclass(frozen=True, slots=True)
class Adaptive:
    """How a limit adapts.

    `floor`: calls at once that are always tried. `decrease`: what is left of the limit after a throttle; at
    0.8 the lowest point of the saw is still within 20 % of the capacity.
    """

    floor: int = 1
    decrease: float = 0.8

    def __post_init__(self) -> None:
        if self.floor < 1 or not 0 < self.decrease < 1:
            raise ValueError(f"floor must be at least 1 and decrease between 0 and 1: {self}")


class AdaptiveLimit:
    """The limit of one lane; `value` is None while none is in force: before the first throttle.

    Increase: about 1 for as many successes as the limit is wide, and only while it is what holds calls back.
    Past the point of the last throttle each round adds twice what the one before did, for there the
    capacity has grown and nobody knows how far.

    Decrease: once per round. A throttle counts only for a call that was sent after the last decrease: the
    others were sent by the old limit and say nothing about the new one. (Not once per time window: throttled
    calls end at once, so that within a window one would follow the other.)
    """

    __slots__ = ("_adaptive", "_throttled_at", "round", "value")

    def __init__(self, adaptive: Adaptive | None) -> None:
        """Make a limit that adapts; None: one that never limits."""
        self._adaptive = adaptive
        self._throttled_at = 0.0
        self.value: float | None = None
        self.round = 0
        """Counts the decreases; a call remembers the round in which it was sent."""

    def has_room(self, running: int) -> bool:
        """Say whether one more may run beside these."""
        return self.value is None or running + 1 <= self.value

    def throttled(self, running: int, sent_in: int) -> None:
        """Bedrock refused a call that was sent in this round, with so many running, itself included."""
        if self._adaptive is None or sent_in != self.round:
            return
        self.round += 1
        reached = float(running) if self.value is None else min(self.value, running)
        self._throttled_at = reached
        self.value = max(float(self._adaptive.floor), reached * self._adaptive.decrease)

    def succeeded(self, running: int, ceiling: int) -> bool:
        """Take note that Bedrock took a call; say whether there is room now that was not there before."""
        if self.value is None or self.has_room(running):
            return False
        if self.value >= self._throttled_at:
            step = 1.0 + self.value - self._throttled_at
        elif self.value + 1 >= self._throttled_at:
            step = 1 / _CAUTION
        else:
            step = 1.0
        self.value += step / self.value
        if self.value >= ceiling:
            self.value = None
        return self.has_room(running)

    def forget(self) -> None:
        """Limit nothing until the next throttle."""
        self.value = None
