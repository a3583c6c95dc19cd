"""Counters of our own, which cost an increment in a list or a dict; `exposition` makes the text of them.

`prometheus_client`'s take a lock at each increment, and look up their labels: what one request needs costs
16 µs with them, 6 with every child kept, and 1.6 here. They belong to one event loop, which needs no lock.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Distribution:
    """A histogram: how many values came up to each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        """The upper ends of the buckets, which contain them; above the last there is one more bucket."""
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[int]:
        """Return how many values there were up to each bound, as Prometheus wants them."""
        return list(accumulate(self.counts))

    @classmethod
    def joined(cls, parts: Iterable[Distribution]) -> Distribution:
        """Return what all of these, which have the same bounds, have counted together."""
        first, *others = parts
        whole = cls(first.bounds)
        for part in (first, *others):
            whole.counts = [one + other for one, other in zip(whole.counts, part.counts, strict=True)]
            whole.total += part.total
        return whole
