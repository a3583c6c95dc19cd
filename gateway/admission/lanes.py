"""Lanes: what Bedrock limits apart from one another, which is each model of each account and region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.admission.aimd import AdaptiveLimit
from gateway.admission.averages import MovingAverage, QuickestOfLate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.admission.aimd import Adaptive

_STALE_S: Final = 60.0
"""Seconds of idleness after which a limit is forgotten: whoever used up the quota has gone, or moved on."""
_KEPT_IDLE: Final = 256
"""Idle lanes whose limit is remembered, at most: model ids come from callers."""
_FEW: Final = 512
"""Below this many lanes nobody looks for idle ones."""
_PROBE_S: Final = 1.0
"""Seconds at least from one call that goes by whatever is expected to the next."""


class LaneState(NamedTuple):
    """A lane as readiness and metrics see it; `limit` is None where none is in force, times in seconds."""

    name: str
    running: int
    waiting: int
    limit: float | None
    first_byte: float | None


class Lane:
    """The calls to one model at one target."""

    __slots__ = ("_first_byte", "_probed", "held", "idle_since", "limit", "name", "running", "waiting")

    def __init__(self, name: str | None, adaptive: Adaptive | None) -> None:
        self.name = name
        self.running = 0
        self.waiting = 0
        """Waiters that name this lane; each may name others too."""
        self.limit = AdaptiveLimit(adaptive)
        self.held = MovingAverage()
        """Seconds for which a slot is in use here."""
        self.idle_since = 0.0
        self._first_byte = QuickestOfLate()
        """Not the mean: of a short prompt and a long one in the same lane the mean says nothing, and whoever
        gives a short one the time that it needs would be refused because others ask long ones."""
        self._probed = 0.0

    @property
    def idle(self) -> bool:
        """Whether nobody runs here or wants to."""
        return not self.running and not self.waiting

    def has_room(self, now: float) -> bool:
        """Say whether one more may run; what was learnt long ago does not count."""
        limit = self.limit
        if limit.value is None:
            return True
        if self.idle and now - self.idle_since > _STALE_S:
            limit.forget()
        return limit.has_room(self.running)

    def answered(self, first_byte: float, now: float) -> None:
        """Take note of the seconds that a first byte took."""
        if self._first_byte.value is None:
            self._probed = now
        self._first_byte.add(first_byte)

    @property
    def expected_first_byte(self) -> float:
        """The seconds until a call's first byte at best; 0 where that is not known."""
        return self._first_byte.value or 0.0

    def lets_one_try(self, now: float) -> bool:
        """Say whether a call may go whose caller has less time than a first byte is expected to take.

        Where all of those were refused, nothing new would ever be learnt. So one in a while goes by.
        """
        if now - self._probed <= max(_PROBE_S, 2 * self.expected_first_byte):
            return False
        self._probed = now
        return True

    def expected_wait(self, ahead: int) -> float | None:
        """Return the seconds until one more than `ahead` have had their turn; None where not known."""
        if self.limit.value is None or self.held.value is None:
            return None
        return (ahead + 1) * self.held.value / self.limit.value

    def state(self) -> LaneState:
        """Return what others may see."""
        return LaneState(
            self.name or "", self.running, self.waiting, self.limit.value, self._first_byte.value
        )


class Lanes:
    """The lanes that are in use, and a bounded number of those that were."""

    def __init__(self, adaptive: Adaptive | None) -> None:
        self._adaptive = adaptive
        self._lanes: dict[str, Lane] = {}
        self._sweep_at = _FEW
        self._unnamed = (Lane(None, None),)  # where those run who name no lane: it has no limit

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def named(self, names: Sequence[str]) -> Sequence[Lane]:
        """Return the lanes of these names, new ones if need be; the unnamed one for no name."""
        if not names:
            return self._unnamed
        if len(self._lanes) >= self._sweep_at:  # before any of these is looked up, which may be idle too
            self._sweep()
        return [self._lanes.get(name) or self._new(name) for name in names]

    def _new(self, name: str) -> Lane:
        lane = self._lanes[name] = Lane(name, self._adaptive)
        return lane

    def _sweep(self) -> None:
        """Forget idle lanes, of those with a limit the longest idle: as many steps as lanes came since."""
        idle = [lane for lane in self if lane.idle]
        learnt = sorted(
            (lane for lane in idle if lane.limit.value is not None), key=lambda lane: -lane.idle_since
        )
        kept = {id(lane) for lane in learnt[:_KEPT_IDLE]}
        for lane in idle:
            if id(lane) not in kept and lane.name is not None:
                del self._lanes[lane.name]
        self._sweep_at = max(_FEW, 2 * len(self._lanes))
