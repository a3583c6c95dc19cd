"""What is said of fairness, in figures."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

PERCENTILE = 95
MOST_WAIT = 2.0
LEAST_INDEX = 0.95
SHARE = 3.0
SHARE_TOLERANCE = 0.1


def jain(shares: Collection[float]) -> float:
    """Return Jain's index of fairness: 1 where all have the same, 1/n where one has all (R37)."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def p95(waits: Sequence[float]) -> float:
    """Return the wait that 19 of 20 do not exceed."""
    return statistics.quantiles(waits, n=100)[PERCENTILE - 1]
