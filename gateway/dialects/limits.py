"""What a request may be at most, in every dialect that has no bounds of its own."""

from __future__ import annotations

from typing import Final

MAX_MODEL: Final = 2048
"""Characters of a model's name; the longest ARN has as many."""
MAX_TOKENS: Final = 10_000_000
"""Tokens that may be asked for."""
