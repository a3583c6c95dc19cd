"""What an embedding has used, where Bedrock does not count for every call."""

from __future__ import annotations

from gateway.admission.demand import Used
from gateway.domain import Embedded
from gateway.embedding import _used
from tests.admission.asking import SONNET


def test_what_was_not_told() -> None:
    """It counts as reckoned, not as nothing: such a model would be free of every limit."""
    told, untold = Embedded([[0.5]], 1_000), Embedded([[0.5]], None)
    assert _used(SONNET, [told, told], whole=True) == Used(2_000, 0, 0, 0, 0.006)
    assert _used(SONNET, [told, untold], whole=True) == Used(None, 0, 0, 0, None)
    assert _used(SONNET, [], whole=False) == Used(0, 0, 0, 0, 0.0, whole=False)
