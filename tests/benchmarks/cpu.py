"""Which core a process runs on, and the line through what was measured."""

from __future__ import annotations

import os
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Line(NamedTuple):
    """Cost in CPU µs: of a request without any delta, and of each delta."""

    per_request: float
    per_delta: float


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Run this thread, and the processes that it starts, on these cores for as long as the block runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """Return the line of least squares through (deltas of a request, its CPU µs).

    Squares are of relative errors: noise grows with what is measured, and in absolute terms the longest
    answers alone would decide what a request costs.

    Raises:
        ValueError: there are not two different numbers of deltas, or a cost is not positive.
    """
    if len({deltas for deltas, _ in points}) <= 1 or min(cost for _, cost in points) <= 0:
        raise ValueError("a line needs positive costs at different numbers of deltas")
    weights = [1 / cost**2 for _, cost in points]
    deltas = fmean([x for x, _ in points], weights)
    cost = fmean([y for _, y in points], weights)
    weighted = list(zip(weights, points, strict=True))
    slope = sum(w * (x - deltas) * (y - cost) for w, (x, y) in weighted) / sum(
        w * (x - deltas) ** 2 for w, (x, _) in weighted
    )
    return Line(cost - slope * deltas, slope)
