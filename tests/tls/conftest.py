"""An authority of its own for each test, and what of these tests can run here."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tls.authority import Authority

# for environments made before it was locked; where the lock is installed, `test_supply_chain` misses it
collect_ignore = ["test_certificates.py", "test_connections.py"] if find_spec("cryptography") is None else []


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """One whose certificates the gateway takes."""
    from tests.tls.authority import Authority  # noqa: PLC0415 - see above

    return Authority(tmp_path)
