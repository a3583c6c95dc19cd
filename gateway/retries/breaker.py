"""Circuit breakers: a target that fails half of its calls gets none for a while, then one at a time.

Pure: the clock is given. A breaker is closed (calls go), open (none does) or probing (one does, and decides).
Each change of state begins a new era. A call remembers the era in which it was let through, and what it tells
later than that counts for nothing: those that were on their way when the breaker opened neither close it nor
keep it open.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

State: TypeAlias = Literal["closed", "open", "probing"]

_SLICES: Final = 10
"""The window moves a tenth of itself at a time."""
_JITTER: Final = 0.25
"""A breaker opens for up to this share less than its time, so that those of many processes do not probe in
step."""
_FEW: Final = 512
"""Below this many lanes nobody looks for idle ones; model ids come from callers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """Open at this `ratio` of failures among at least `least` calls of the last `window` seconds.

    Or when so many calls in a row were `unsent`: each costs its caller the wait for a connection, and until
    half of a window of good traffic has failed those would be many (R25).

    Then for `first` seconds, twice as long after each probe that fails, at most `longest`.
    """

    ratio: float = 0.5
    least: int = 10
    unsent: int = 5
    window: float = 30.0
    first: float = 5.0
    longest: float = 60.0


class Breaker:
    """The breaker of one lane."""

    __slots__ = (
        "_clock",
        "_failures",
        "_openings",
        "_random",
        "_rules",
        "_slice",
        "_slices",
        "_tell",
        "_total",
        "_unsent",
        "era",
        "state",
        "until",
        "used",
    )  # fmt: skip

    def __init__(
        self,
        rules: BreakerRules,
        clock: Callable[[], float],
        random: Callable[[], float],
        tell: Callable[[State], None] = lambda _state: None,
    ) -> None:
        """Make a closed breaker; `tell` is called with each state that it changes to."""
        self._rules = rules
        self._tell = tell
        self._slice = rules.window / _SLICES
        self._clock = clock
        self._random = random
        self._slices: deque[list[float]] = deque()
        self._total = self._failures = 0
        self._openings = self._unsent = 0
        self.state: State = "closed"
        self.era = 0
        self.until = 0.0
        """When an open breaker lets a probe through."""
        self.used = clock()
        """When it last had something to count."""

    def would_let(self) -> bool:
        """Say whether a call may go now; nothing is reserved for it."""
        return self.state == "closed" or (self.state == "open" and self._clock() >= self.until)

    def enter(self) -> int | None:
        """Let a call through and return its era, to be given back with how it went; None: it may not go."""
        if self.state == "closed":
            return self.era
        if self.state == "probing" or self._clock() < self.until:
            return None
        self._change("probing")
        return self.era

    def succeeded(self, era: int) -> None:
        """A call of this era was answered."""
        if era != self.era:
            return
        if self.state == "probing":
            self._openings = 0
            self._change("closed")
        else:
            self._unsent = 0
            self._count(0)

    def failed(self, era: int, *, unsent: bool = False) -> None:
        """A call of this era failed in a way that speaks against the lane; `unsent`: no way led there."""
        if era != self.era:
            return
        if self.state == "probing":
            self._open()
            return
        self._count(1)
        self._unsent = self._unsent + 1 if unsent else 0
        rules = self._rules
        too_many = self._total >= rules.least and self._failures >= rules.ratio * self._total
        if too_many or self._unsent >= rules.unsent:
            self._open()

    def abandoned(self, era: int) -> None:
        """A call of this era ended without telling anything: a probe's place is free for the next."""
        if era == self.era and self.state == "probing":
            self._change("open")  # `until` has passed: whoever comes next may probe

    def idle(self, now: float) -> bool:
        """Say whether nothing would be lost with this breaker."""
        return self.state != "probing" and now > max(self.until, self.used + self._rules.window)

    def _open(self) -> None:
        rules = self._rules
        time = min(rules.longest, rules.first * 2 ** min(self._openings, 32))
        self.until = self._clock() + time * (1 - _JITTER * self._random())
        self._openings += 1
        self._change("open")

    def _change(self, state: State) -> None:
        self.state = state
        self.era += 1
        self._slices.clear()
        self._total = self._failures = self._unsent = 0
        self._tell(state)

    def _count(self, failures: int) -> None:
        self.used = self._clock()
        now = self.used // self._slice
        slices = self._slices
        if not slices or slices[-1][0] != now:
            while slices and slices[0][0] <= now - _SLICES:
                _, total, failed = slices.popleft()
                self._total -= int(total)
                self._failures -= int(failed)
            slices.append([now, 0, 0])
        slices[-1][1] += 1
        slices[-1][2] += failures
        self._total += 1
        self._failures += failures


class Breakers:
    """The breakers of all lanes in use."""

    def __init__(
        self,
        rules: BreakerRules,
        clock: Callable[[], float],
        random: Callable[[], float],
        tell: Callable[[str, State], None] = lambda _lane, _state: None,
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._random = random
        self._tell = tell
        self._breakers: dict[str, Breaker] = {}
        self._sweep_at = _FEW

    def __len__(self) -> int:
        return len(self._breakers)

    def states(self) -> dict[str, State]:
        """Return the state of each lane that is known."""
        return {lane: breaker.state for lane, breaker in self._breakers.items()}

    def of(self, lane: str) -> Breaker:
        """Return the breaker of this lane."""
        found = self._breakers.get(lane)
        if found is None:
            if len(self._breakers) >= self._sweep_at:
                self._sweep()
            found = self._breakers[lane] = Breaker(
                self._rules, self._clock, self._random, partial(self._tell, lane)
            )
        return found

    def would_let(self, lane: str) -> bool:
        """Say whether a call may go to this lane now."""
        found = self._breakers.get(lane)
        return found is None or found.state == "closed" or found.would_let()

    def opens_in(self, lane: str) -> float:
        """Return the seconds until this lane lets a probe through; 0 where it does so now or probes."""
        found = self._breakers.get(lane)
        return 0.0 if found is None else max(0.0, found.until - self._clock())

    def _sweep(self) -> None:
        """Forget the idle, and where that is not enough the closed ones that were not used for longest."""
        now = self._clock()
        self._breakers = {lane: breaker for lane, breaker in self._breakers.items() if not breaker.idle(now)}
        closed = [lane for lane, breaker in self._breakers.items() if breaker.state == "closed"]
        closed.sort(key=lambda lane: self._breakers[lane].used)
        for lane in closed[: max(0, len(self._breakers) - _FEW // 2)]:
            del self._breakers[lane]
        self._sweep_at = max(_FEW, 2 * len(self._breakers))
