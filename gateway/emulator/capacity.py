"""How much the far end takes at once: a limit that a test moves while it runs, and that nobody is told."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Capacity:
    """At most `limit` requests are answered at a time, and one more is throttled; None: any number."""

    def __init__(self) -> None:
        self.limit: int | None = None
        self.taken = 0
        self.throttled = 0

    @contextmanager
    def one_more(self) -> Iterator[bool]:
        """Count a request in while it is answered; False: there is no room, and it is not counted."""
        room = self.limit is None or self.taken < self.limit
        if not room:
            self.throttled += 1
            yield False
            return
        self.taken += 1
        try:
            yield True
        finally:
            self.taken -= 1
