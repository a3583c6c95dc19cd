"""What of these tests can run here."""

from __future__ import annotations

from importlib.util import find_spec

NEEDS_PYJWT = ["test_issuers.py", "test_jwks.py", "test_tokens.py"]

# for environments made before it was locked; where the lock is installed, `test_supply_chain` misses it
collect_ignore = NEEDS_PYJWT if find_spec("jwt") is None else []
