"""What happens beside the ends of requests, counted where it happens."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Events:
    """Counts of the whole life of a process, whoever reads them."""

    heartbeats: int = 0
    """Sent into silent streams (reliability.md R6)."""
    slow_readers: int = 0
    """Callers that were given up because they took nothing (R5)."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Connections that were reset, by our own word for the reason."""

    def drop(self, reason: str) -> None:
        """A connection has been reset; `reason` is one of a few literals, never a caller's text."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
