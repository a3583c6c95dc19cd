"""Names for one request and one answer: nobody guesses them, and no two are alike."""

from __future__ import annotations

import os

_AT_ONCE = 64
"""How many are drawn: the system call is most of what one alone costs."""
_BYTES = 16
_drawn: list[str] = []


def new_id(prefix: str) -> str:
    """Return a fresh id with 128 bits of chance from the kernel, which workers cannot come to share."""
    try:
        return f"{prefix}_{_drawn.pop()}"
    except IndexError:
        digits, width = os.urandom(_AT_ONCE * _BYTES).hex(), 2 * _BYTES
        _drawn.extend([digits[at : at + width] for at in range(0, len(digits), width)])
        return f"{prefix}_{_drawn.pop()}"


os.register_at_fork(after_in_child=_drawn.clear)
