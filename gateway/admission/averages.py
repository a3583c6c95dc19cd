"""What was measured of late, in one number."""

from __future__ import annotations

from typing import Final

_MEMORY: Final = 32
"""The samples that the average reaches back: at fewer it jumps with every long answer."""


class MovingAverage:
    """Exponentially weighted; the first samples weigh alike. `value` is None before the first."""

    __slots__ = ("_count", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self._count = 0

    def add(self, sample: float) -> None:
        """Take one more sample."""
        if self.value is None:
            self.value, self._count = sample, 1
            return
        if self._count < _MEMORY:
            self._count += 1
        self.value += (sample - self.value) / self._count


class QuickestOfLate:
    """About the least of the last samples: falls at once, rises slowly. `value` is None before the first."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None

    def add(self, sample: float) -> None:
        """Take one more sample."""
        value = self.value
        self.value = sample if value is None or sample < value else value + (sample - value) / _MEMORY


class Level:
    """How full a bucket is that holds `limit` and empties by as much in `period` seconds."""

    __slots__ = ("_at", "_limit", "_rate", "_value")

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._rate = limit / period
        self._value = 0.0
        self._at = 0.0

    def add(self, amount: int, now: float) -> None:
        """Put so much in, or take it out."""
        self._value = max(0.0, self._drained(now) + amount)
        self._at = now

    def free_share(self, now: float) -> float:
        """Return how much of it is free, from 0 to 1."""
        return max(0.0, 1.0 - self._drained(now) / self._limit)

    def _drained(self, now: float) -> float:
        return max(0.0, self._value - self._rate * (now - self._at))
