"""What the encoding of a body costs in memory."""

from __future__ import annotations

import tracemalloc

import pytest

from gateway.codecs.parameters import encode


@pytest.mark.parametrize("characters", [100, 5_000, 1_100_000])
def test_a_body_takes_its_own_size(characters: int) -> None:
    """A body lives as long as its stream: nothing beside it is held, neither 4 KiB nor half as much again."""
    value = {"prompt": "x" * characters}
    encode(value)
    tracemalloc.start()
    body = encode(value)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < len(body) + 500
