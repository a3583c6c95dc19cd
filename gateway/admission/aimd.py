"""How many calls Bedrock takes at once, found out by asking: additive increase, multiplicative decrease.

Pure arithmetic. The signal is the throttle and nothing else: total latency measures the length of answers,
not the load (reliability.md R39 and §3). The constants are what converged best in `tests/overload`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_CAUTION: Final = 2.0
"""How much slower the one step is that leads back to where the last throttle came: at a capacity of 10 each
such probe costs a throttle, and without this one call in 20 would be one."""
_BOLDNESS: Final = 2.0
"""How fast the steps grow beyond that point, for there the capacity is another one, and nobody knows how far
it has gone: with streams of 4 s this finds 60 after 20 within 30 s, where steps of 1 need three minutes."""


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
    """The limit of one lane; `value` is None while none is in force, as before the first throttle.

    Increase: about 1 for as many successes as the limit is wide, and only while it is what holds calls back.

    Decrease: once per round. A call that was sent before the last decrease was sent by the old limit, so
    that its throttle says only that it was one too many: of a hundred sent at once to a capacity of 20 the
    first throttle decreases, and the others take the limit down to the 20 that are left, not to nothing.
    (Rounds are not counted in time: throttled calls end at once, and within a window of the time to first
    byte one would follow the other.)
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
        if self._adaptive is None:
            return
        if self.value is not None and running > self.value:
            return  # the lane has not come down to the limit yet: a retry beside too many proves nothing
        reached = float(running) if self.value is None else min(self.value, running)
        if sent_in == self.round:
            self.round += 1
            self._throttled_at = reached
            reached *= self._adaptive.decrease
        else:
            reached = min(reached, running - 1)
        self.value = max(float(self._adaptive.floor), reached)

    def succeeded(self, running: int, ceiling: int) -> bool:
        """Take note that Bedrock took a call; say whether there is room now that was not there before."""
        if self.value is None or self.has_room(running):
            return False
        beyond = self.value - self._throttled_at
        step = 1.0 if beyond < -1 else 1 / _CAUTION if beyond < 0 else 1.0 + _BOLDNESS * beyond
        self.value += step / self.value
        if self.value >= ceiling:
            self.value = None
        return self.has_room(running)

    def forget(self) -> None:
        """Limit nothing until the next throttle."""
        self.value = None
