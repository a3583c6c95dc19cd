"""How many connections there are, and who is let in when there are too many.

aiohttp has no cap (reliability.md R12). Beyond ours some more connections are taken, whose request gets a 503
and nobody's connection is kept; only the probes are answered there, or a crowd of callers would look to the
orchestrator like a process that hangs, and the restart would cut every stream.
"""

from __future__ import annotations

from typing import Final, Protocol

SURPLUS: Final = 64
"""Connections beyond the cap, each for one answer; for one more, the one that waits longest is closed."""


class Connection(Protocol):
    """What `Connections` must be able to do to one."""

    def turn_away(self) -> None:
        """Close it, with a word if it waits for a request."""


class Connections:
    """Counts connections. `open` is how many there are within the cap."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0
        self._surplus: dict[Connection, None] = {}

    def __repr__(self) -> str:
        return f"<Connections {self.open} of {self.limit}, {len(self._surplus)} beyond>"

    @property
    def surplus(self) -> int:
        """How many there are beyond the cap."""
        return len(self._surplus)

    def add(self, connection: Connection) -> bool:
        """Count a new connection in, and return whether it is within the cap."""
        if self.open < self.limit:
            self.open += 1
            return True
        if len(self._surplus) >= SURPLUS:
            longest = next(iter(self._surplus))
            del self._surplus[longest]
            longest.turn_away()
        self._surplus[connection] = None
        return False

    def remove(self, *, within: bool, connection: Connection) -> None:
        """Count a connection out that `add` let in `within` the cap or not."""
        if within:
            self.open -= 1
        else:
            self._surplus.pop(connection, None)
