"""A token bucket in whole numbers, which never drifts; nor does it in Redis, whose numbers are floats.

The level counts `ticks` for each unit, and falls by `limit` with each tick of the clock: what refills the
bucket in one period, without a fraction. `prelude.lua` computes the same with the same numbers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from gateway.ledger.charges import Charge

MAX_FULL: Final = 2**50
"""Of a full bucket's level: debts of eight times as much are still exact in a float."""
MAX_LEVEL: Final = 2**53
"""Whole numbers are exact in a float up to here; a debt grows no further."""
MICRO: Final = 1_000_000


class Scale(NamedTuple):
    """How a bucket counts: `ticks` of `tick_us` microseconds make its period."""

    ticks: int
    tick_us: int


@lru_cache(maxsize=4096)
def scale_of(limit: int, period_s: float) -> Scale:
    """Return the finest scale on which a full bucket's level is exact."""
    period_us = max(1, round(period_s * MICRO))
    tick_us = 1
    while max(1, limit) * (period_us // tick_us) > MAX_FULL:
        tick_us *= 10
    return Scale(max(1, period_us // tick_us), tick_us)


class Bucket:
    """What one rate has been used of, as of the last tick that it was asked in."""

    __slots__ = ("_at", "_level", "_limit", "_scale")

    def __init__(self, charge: Charge, now_us: int) -> None:
        self._limit = charge.limit
        self._scale = scale_of(charge.limit, charge.period_s)
        self._level = 0
        self._at = now_us - now_us % self._scale.tick_us

    def level(self, charge: Charge, now_us: int) -> int:
        """Return the level now, by the limit that the charge names."""
        scale = scale_of(charge.limit, charge.period_s)
        if scale != self._scale:
            self._level = self._level * scale.ticks // self._scale.ticks
            self._scale = scale
        self._limit = charge.limit
        return self._drained(now_us)

    def set(self, level: int) -> None:
        """Take this for the level, as of when it was asked for last."""
        self._level = min(max(0, level), MAX_LEVEL)

    def wait(self, charge: Charge, now_us: int, share: int) -> float:
        """Return in how many seconds the charge fits, if each unit counts `share` times; 0: it does now.

        The charge is no more than the limit. A bucket at rest takes what is more than its share, and owes it.
        """
        level, ticks = self.level(charge, now_us), self._scale.ticks
        excess = level - max(0, charge.limit - charge.amount * share) * ticks
        if excess <= 0:
            return 0.0
        tick_us = self._scale.tick_us
        return (-(-excess // charge.limit) * tick_us - now_us % tick_us) / MICRO

    def add(self, charge: Charge, units: int, now_us: int) -> None:
        """Add so many units, which may be less than none, whether there is room or not."""
        self.set(self.level(charge, now_us) + units * self._scale.ticks)

    def as_charge(self, key: str, now_us: int) -> Charge:
        """Return its limit, with its level now, in ticks, as the amount."""
        period_s = self._scale.ticks * self._scale.tick_us / MICRO
        return Charge("rate", key, self._limit, self._drained(now_us), period_s)

    def idle(self, now_us: int) -> bool:
        """Say whether it holds nothing any more, and so is as good as forgotten."""
        return not self._drained(now_us)

    def _drained(self, now_us: int) -> int:
        tick_us = self._scale.tick_us
        now_us -= now_us % tick_us
        if now_us > self._at:
            self._level = max(0, self._level - (now_us - self._at) // tick_us * self._limit)
        self._at = now_us  # also where a clock went back: it drains on from there
        return self._level
