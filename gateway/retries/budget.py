"""How many retries there may be in all: a share of the requests, so that retries never make an outage worse.

Requests and their retries count from their start until some time after their end (go-zero #5011 counts at the
end, and lets everything through while a wave of long calls is failing).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SLICES: Final = 10
"""The memory goes in slices: what ended is forgotten a tenth of the memory at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRules:
    """`share`: retries per request. `least`: retries allowed in any case. `memory`: seconds that ended
    requests still count."""  # noqa: D205, D209 - one sentence each

    share: float = 0.2
    least: int = 3
    memory: float = 10.0


class RetryBudget:
    """Counts requests and retries, in flight and lately ended."""

    __slots__ = ("_clock", "_ended", "_rules", "_slice", "requests", "retries")

    def __init__(self, rules: BudgetRules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._slice = rules.memory / _SLICES
        self._ended: deque[list[int]] = deque()
        self.requests = 0
        """Those in flight, and those that ended a short time ago."""
        self.retries = 0

    def begin(self) -> None:
        """A request begins; it needs an `end`."""
        self.requests += 1

    def take(self) -> bool:
        """Take a retry for a request that is in flight; False: there is none left."""
        retries, most = self.state()
        if retries + 1 > most:
            return False
        self.retries += 1
        return True

    def state(self) -> tuple[int, float]:
        """Return how many retries there are, and how many there may be."""
        self._forget(self._now())
        return self.retries, max(self._rules.least, self._rules.share * self.requests)

    def end(self, retries: int) -> None:
        """A request ends that took so many retries."""
        now = self._now()
        if self._ended and self._ended[-1][0] == now:
            self._ended[-1][1] += 1
            self._ended[-1][2] += retries
        else:
            self._forget(now)
            self._ended.append([now, 1, retries])

    def _now(self) -> int:
        return int(self._clock() / self._slice)

    def _forget(self, now: int) -> None:
        while self._ended and self._ended[0][0] < now - _SLICES:
            _, requests, retries = self._ended.popleft()
            self.requests -= requests
            self.retries -= retries
