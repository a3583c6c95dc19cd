"""Embeddings made of a text's hash: the same text has the same vector, another one is nearly orthogonal."""

from __future__ import annotations

import struct
from hashlib import shake_256
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

from gateway.emulator.families.native import LATENCY, counters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.emulator.answer import Answer

_BYTES: Final = 2
_SCALE: Final = 32_768
_LARGEST_INT8: Final = 127
_BITS: Final = 8
_HIGHEST_BIT: Final = 128


def vector(said: str, dimensions: int, *, unit: bool = True) -> list[float]:
    """Return the vector of `said`, of length one if `unit`; a shorter one is the start of a longer one."""
    digest = shake_256(said.encode()).digest(_BYTES * dimensions)
    numbers = struct.unpack(f">{dimensions}h", digest)
    length = sqrt(sum(number * number for number in numbers)) if unit else _SCALE
    return [number / length for number in numbers]


def typed(kind: str, values: Sequence[float]) -> list[Any]:
    """Return a vector as Cohere's type `kind`; the binary ones have eight signs in a number."""
    if kind == "float":
        return list(values)
    if kind in {"int8", "uint8"}:
        shift = _HIGHEST_BIT if kind == "uint8" else 0
        return [round(value * _LARGEST_INT8) + shift for value in values]
    packed = [
        sum(
            1 << (_BITS - 1 - place) for place, value in enumerate(values[start : start + _BITS]) if value > 0
        )
        for start in range(0, len(values), _BITS)
    ]
    return packed if kind == "ubinary" else [number - _HIGHEST_BIT for number in packed]


def embedding_counters(answer: Answer) -> dict[str, str]:
    """Return the headers of an embedding, which has no output tokens (recorded)."""
    given = counters(answer)
    return {name: given[name] for name in ("X-Amzn-Bedrock-Input-Token-Count", LATENCY)}
