"""What was measured of late, in one number."""

from __future__ import annotations

from typing import Final

_MEMORY: Final = 32
"""The samples that the average reaches back: at fewer it jumps with every long answer."""

_DEVIATIONS: Final = 3


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


class HighRatio:
    """About the most that comes of an estimate, as a factor. `value` is None before the first sample.

    Large estimates weigh more: of small ones a fixed overhead is the larger part, and large ones would be
    reckoned too small by their mean. To the mean come three mean deviations, as TCP reckons its timeouts:
    whoever reserves too little is throttled, whoever reserves too much gets it back at the end.
    """

    __slots__ = ("_actual", "_deviation", "_estimate")

    def __init__(self) -> None:
        self._estimate = MovingAverage()
        self._actual = MovingAverage()
        self._deviation = MovingAverage()

    @property
    def value(self) -> float | None:
        """What an estimate is to be multiplied by."""
        estimate, actual, deviation = self._estimate.value, self._actual.value, self._deviation.value
        if estimate is None or actual is None or deviation is None:
            return None
        return (actual + _DEVIATIONS * deviation) / estimate

    def add(self, estimate: float, actual: float) -> None:
        """Take one more sample; an estimate is above 0."""
        self._estimate.add(estimate)
        self._actual.add(actual)
        mean = (self._actual.value or 0.0) / (self._estimate.value or 1.0)
        self._deviation.add(abs(actual - mean * estimate))


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
