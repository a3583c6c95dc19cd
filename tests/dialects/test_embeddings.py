"""The embeddings of the native API: what a hostile body costs; tests/e2e has what a good one gives."""

from __future__ import annotations

import pytest

from gateway.dialects.embeddings import parse
from gateway.errors import InvalidRequest


def test_the_first_wrong_item_ends_the_search() -> None:
    """Thousands of wrong items with unknown fields would hold the loop while each is listed (R24)."""
    wrong = [{"type": "text", "text": "a", "x": 1, "y": 2}]
    with pytest.raises(InvalidRequest) as refused:
        parse({"model": "m", "input": ["a", wrong, wrong, wrong, wrong]})
    assert refused.value.param == "input[1]"
    assert "input[2]" not in refused.value.message
    assert "more" not in refused.value.message
