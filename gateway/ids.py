"""Names for one request and one answer: nobody guesses them, and no two are alike."""

from __future__ import annotations

import os


def new_id(prefix: str) -> str:
    """Return a fresh id with 128 bits of chance from the kernel, which workers cannot come to share."""
    return f"{prefix}_{os.urandom(16).hex()}"
