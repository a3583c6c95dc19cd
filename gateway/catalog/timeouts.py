"""The four clocks of one model, where the operator gives it clocks of its own (reliability.md R19)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds; None: the general setting holds."""

    connect: float | None = None
    first_byte: float | None = None
    gap: float | None = None
    total: float | None = None

    def over(self, weaker: Timeouts) -> Timeouts:
        """Return mine, and the weaker ones where I say nothing."""
        return Timeouts(
            connect=weaker.connect if self.connect is None else self.connect,
            first_byte=weaker.first_byte if self.first_byte is None else self.first_byte,
            gap=weaker.gap if self.gap is None else self.gap,
            total=weaker.total if self.total is None else self.total,
        )


GENERAL = Timeouts()
