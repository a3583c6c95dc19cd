"""Lanes: what Bedrock limits apart from one another, which is each model of each account and region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.admission.aimd import AdaptiveLimit
from gateway.admission.averages import HighRatio, Level, MovingAverage, QuickestOfLate
from gateway.admission.quotas import MINUTE, Quotas

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

    from gateway.admission.aimd import Adaptive
    from gateway.admission.demand import Demand
    from gateway.admission.line import Waiter
    from gateway.admission.quotas import Quota

_STALE_S: Final = 60.0
"""Seconds of idleness after which a limit is forgotten: whoever used up the quota has gone, or moved on."""
_KEPT_IDLE: Final = 256
"""Idle lanes whose limit is remembered, at most: model ids come from callers."""
_FEW: Final = 512
"""Below this many lanes nobody looks for idle ones."""
_PROBE_S: Final = 1.0
"""Seconds at least from one call that goes by whatever is expected to the next."""
_FARTHEST: Final = 4.0
"""How far estimates of input are corrected, either way: one odd answer must not close a lane."""


class LaneState(NamedTuple):
    """A lane as readiness and metrics see it; `limit` is None where none is in force, times in seconds."""

    name: str
    running: int
    waiting: int
    limit: float | None
    first_byte: float | None


class Lane:
    """The calls to one model at one target."""

    __slots__ = (
        "_first_byte", "_input", "_level", "_output", "_probed", "_tokens", "closed_by", "held", "idle_since",
        "limit", "name", "opening", "quota", "running", "shut", "told", "waiting",
    )  # fmt: skip

    def __init__(self, name: str | None, adaptive: Adaptive | None, quota: Quota | None = None) -> None:
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
        self.shut = False
        """Whether nobody is let in: it is closed for want of quota, or one who waited is just trying."""
        self.opening: asyncio.TimerHandle | None = None
        """What opens it, where it is closed until a certain time."""
        self.closed_by: Waiter | None = None
        """Who found no room: when it goes, the next may find some."""
        self.told: float | None = None
        """When it was logged last that Bedrock throttles whom it should have room for."""
        self._input = HighRatio()
        self._output = MovingAverage()
        self._tokens = MovingAverage()
        self._level: Level | None
        self.put(quota)

    def put(self, quota: Quota | None) -> None:
        """Give it another quota."""
        self.quota = quota
        limit = None if quota is None else quota.tokens_per_minute
        self._level = None if limit is None else Level(limit, MINUTE)

    @property
    def idle(self) -> bool:
        """Whether nobody runs here or wants to."""
        return not self.running and not self.waiting

    def has_room(self, now: float) -> bool:
        """Say whether one more may run; what was learnt long ago does not count."""
        if self.shut:
            return False
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

    # ── tokens ────────────────────────────────────────────────────────────────────────────────────────

    def corrected(self, demand: Demand) -> Demand:
        """Return a demand with the input that its estimate has meant here of late, at most as a rule."""
        ratio = self._input.value
        if ratio is None:
            return demand
        read = demand.input_tokens
        return demand._replace(input_tokens=round(read * ratio), estimated=read)

    def expected_tokens(self, demand: Demand) -> float:
        """Return what a demand is likely to come to, at least 1: few answers are as long as they may be."""
        share = 1.0 if self._output.value is None else self._output.value
        return max(1.0, self.corrected(demand).input_tokens + share * demand.max_tokens)

    def learn(self, demand: Demand, read: int | None, written: int | None) -> None:
        """Take note of what came of a demand, of which the input is as estimated, not as corrected."""
        if read and demand.input_tokens:
            estimate = demand.input_tokens
            self._input.add(estimate, min(_FARTHEST * estimate, max(estimate / _FARTHEST, read)))
        if written is not None and demand.max_tokens:
            self._output.add(min(1.0, written / demand.max_tokens))

    def reserved(self, tokens: int, now: float) -> None:
        """Take note that so many tokens of its quota were reserved."""
        if self._level is not None:
            self._level.add(tokens, now)

    def settled(self, tokens: int, reserved: int, now: float) -> None:
        """Take note that so many were used, and what had been reserved is free."""
        if self._level is not None:
            self._level.add(tokens - reserved, now)
            self._tokens.add(tokens)

    # ── what is to be expected ────────────────────────────────────────────────────────────────────────

    def expected_wait(self, ahead: int, now: float) -> float | None:
        """Return the seconds until one more than `ahead` have had their turn; None where not known."""
        waits = []
        if self.limit.value is not None and self.held.value is not None:
            waits.append((ahead + 1) * self.held.value / self.limit.value)
        if self.opening is not None:
            waits.append(max(0.0, self.opening.when() - now) + ahead * self._pause())
        return max(waits, default=None)

    def _pause(self) -> float:
        """Return the seconds from one turn to the next at the pace of the quota."""
        quota, pause = self.quota, 0.0
        if quota is not None and quota.tokens_per_minute is not None:
            pause = (self._tokens.value or 0.0) * MINUTE / quota.tokens_per_minute
        if quota is not None and quota.requests_per_minute is not None:
            pause = max(pause, MINUTE / quota.requests_per_minute)
        return pause

    def free_share(self, now: float, slots: int) -> float:
        """Return how much of it is free, from 0 to 1, as far as this process knows."""
        if self.shut:
            return 0.0
        share = 1.0 - self.running / max(1.0, slots if self.limit.value is None else self.limit.value)
        if self._level is not None:
            share = min(share, self._level.free_share(now))
        return max(0.0, share)

    def state(self) -> LaneState:
        """Return what others may see."""
        return LaneState(
            self.name or "", self.running, self.waiting, self.limit.value, self._first_byte.value
        )


def open_lanes(lanes: Sequence[Lane], first: Lane, now: float) -> Sequence[Lane]:
    """Return those that have room, of which one is known to have it."""
    return [first, *(lane for lane in lanes if lane is not first and lane.has_room(now))]


class Lanes:
    """The lanes that are in use, and a bounded number of those that were."""

    def __init__(self, adaptive: Adaptive | None, quotas: Quotas | None = None) -> None:
        self._adaptive = adaptive
        self._quotas = quotas or Quotas()
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

    def known(self, name: str) -> Lane | None:
        """Return the lane of this name if there is one."""
        return self._lanes.get(name)

    @property
    def have_quotas(self) -> bool:
        """Whether quotas are known of any lane there may be."""
        return bool(self._quotas)

    def put(self, quotas: Quotas) -> None:
        """Put other quotas in force."""
        self._quotas = quotas
        for name, lane in self._lanes.items():
            if (quota := quotas.of(name)) != lane.quota:
                lane.put(quota)

    def _new(self, name: str) -> Lane:
        lane = self._lanes[name] = Lane(name, self._adaptive, self._quotas.of(name))
        return lane

    def _sweep(self) -> None:
        """Forget idle lanes, of those with a limit the longest idle: as many steps as lanes came since."""
        idle = [lane for lane in self if lane.idle and not lane.shut]
        learnt = sorted(
            (lane for lane in idle if lane.limit.value is not None), key=lambda lane: -lane.idle_since
        )
        kept = {id(lane) for lane in learnt[:_KEPT_IDLE]}
        for lane in idle:
            if id(lane) not in kept and lane.name is not None:
                del self._lanes[lane.name]
        self._sweep_at = max(_FEW, 2 * len(self._lanes))
