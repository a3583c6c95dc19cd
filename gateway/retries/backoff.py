"""How long to wait before the same call is sent again: exponential, with full jitter.

Full jitter spreads those that failed together over the whole interval, which clears a jam with the fewest
calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Seconds. A pause longer than `longest_pause`, which only Bedrock can ask for, is left to the caller."""

    base: float = 0.1
    cap: float = 2.0
    longest_pause: float = 10.0

    def pause(self, number: int, asked: float | None, random: Callable[[], float]) -> float:
        """Return the pause before the retry of this number, from 0.

        `asked`: what Bedrock asked for. Jitter is added to it, never taken off. `random` is from 0 to 1.
        """
        return (asked or 0.0) + random() * min(self.cap, self.base * 2.0 ** min(number, 32))
