"""Vectors, as JSON or base64."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Encoding: TypeAlias = Literal["float", "base64"]


def records(found: Sequence[Sequence[float]], encoding: Encoding) -> list[dict[str, Any]]:
    """Return the vectors as records; base64 packs little-endian 32-bit floats, as OpenAI clients read it."""
    return [
        {"index": number, "embedding": _packed(vector) if encoding == "base64" else vector}
        for number, vector in enumerate(found)
    ]


def _packed(vector: Sequence[float]) -> str:
    packed = array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()
