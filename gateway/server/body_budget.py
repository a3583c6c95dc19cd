"""How much memory the bodies of all requests may take together."""

from __future__ import annotations

from typing import Final

from gateway.errors import Overloaded

DEFAULT_BYTES: Final = 256 * 1024 * 1024
RETRY_AFTER: Final = 1
"""Seconds after which there may be room."""


class BodyBudget:
    """Counts what has arrived: a caller who announces much and sends nothing takes no room."""

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self.limit = limit
        self.held = 0

    def __repr__(self) -> str:
        return f"<BodyBudget {self.held} of {self.limit} bytes>"

    def check(self, size: int) -> None:
        """Raise `Overloaded` where there is no room for so many bytes at this moment."""
        if self.held + size > self.limit:
            raise Overloaded(
                f"The requests being answered hold {self.held} of the {self.limit} bytes for bodies.",
                retry_after=RETRY_AFTER,
            )

    def take(self, size: int) -> None:
        """Hold so many bytes; raises as `check` does, and then holds nothing more."""
        self.check(size)
        self.held += size

    def give_back(self, size: int) -> None:
        """Hold so many bytes less."""
        self.held -= size
