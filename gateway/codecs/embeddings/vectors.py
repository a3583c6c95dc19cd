"""Reading vectors out of upstream's JSON."""

from __future__ import annotations

from typing import Any

from gateway.codecs.shapes import malformed

FLOAT32_MAX = 3.4028234e38


def vector(value: Any) -> list[float]:
    """Return a list of numbers as one vector."""
    if type(value) is not list or not value or any(type(number) not in {float, int} for number in value):
        raise malformed("an embedding is not a list of numbers")
    if not -FLOAT32_MAX <= min(value) <= max(value) <= FLOAT32_MAX:
        raise malformed("an embedding has a number beyond 32 bits")
    return value


def one(vectors: list[list[float]], expected: int) -> list[list[float]]:
    """Return the vectors if there is one for each input."""
    if len(vectors) != expected:
        raise malformed(f"{len(vectors)} embeddings for {expected} inputs")
    return vectors
