"""The ledger of one process: exact, without a wait, and forgetful of what is at rest.

It is the whole ledger where there is no Redis, and what stands in for Redis while that is away
(`gateway/ledger/shared.py`).
"""

from __future__ import annotations

import math
import secrets
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.ledger.buckets import MICRO, Bucket
from gateway.ledger.charges import Charge, Full, Grant, Granted, Refused
from gateway.ledger.measures import Measures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gateway.ledger.charges import Order, State, Verdict

HELD_WAIT_S: Final = 1.0
"""When to ask again for what is held: nobody knows when the first of them ends."""
_SWEEP: Final = 1024
"""Keys from which on those at rest are looked for."""


def grant_ids() -> Iterator[str]:
    """Yield ids that no other process yields."""
    mine = secrets.token_hex(6)
    return (f"{mine}-{number}" for number in count(1))


class _Spent:
    """What was spent under one key. `known`: by all, as Redis said last. `own`: here, behind its back."""

    __slots__ = ("forget_us", "known", "own")

    def __init__(self) -> None:
        self.known = self.own = self.forget_us = 0


class _Open(NamedTuple):
    """A grant that is not settled; each unit counts `share` times, 0: once, and Redis knows of it."""

    common: tuple[Charge, ...]
    lane: tuple[Charge, ...]
    share: int


class LocalLedger:
    """Counts in this process. `clock` gives seconds; each unit counts `share` times, for as many replicas.

    `share` may change at any time: what was charged before keeps its weight.
    """

    def __init__(self, clock: Callable[[], float], *, share: int = 1) -> None:
        self.share = share
        self.measures = Measures()
        self._clock = clock
        self._ids = grant_ids()
        self._rates: dict[str, Bucket] = {}
        self._held: dict[str, int] = {}
        self._spent: dict[str, _Spent] = {}
        self._open: dict[str, _Open] = {}
        self._listeners: list[Callable[[], None]] = []
        self._sweep_at = _SWEEP

    @property
    def state(self) -> State:
        """Always `local`."""
        return "local"

    async def open(self) -> None:
        """Nothing is to be opened."""

    async def reserve(self, order: Order) -> Verdict:
        """See `gateway.ledger.charges.Ledger`."""
        self.measures.decided["here"] += 1
        return self.decide(order)

    def decide(self, order: Order) -> Verdict:
        """Charge all of the order or nothing, at once."""
        now = self._now()
        waits = [self._wait(charge, now) for charge in order.common]
        if any(waits):
            longest = max(range(len(waits)), key=waits.__getitem__)
            return Refused(order.common[longest], waits[longest])
        soonest = math.inf
        for number, charges in enumerate(order.alternatives or ((),)):
            wait = max((self._wait(charge, now) for charge in charges), default=0.0)
            if not wait:
                grant = Grant(next(self._ids), order.caller, order.common, charges)
                self.enter(grant, self.share)
                return Granted(grant, number)
            soonest = min(soonest, wait)
        return Full(soonest)

    def enter(self, grant: Grant, share: int = 0) -> None:
        """Charge what was granted, whether it fits or not: each unit `share` times; 0: Redis granted it."""
        self._open[grant.id] = _Open(grant.common, grant.lane, share)
        for charge in (*grant.common, *grant.lane):
            self._add(charge, charge.amount, share)

    def learn(self, grant: Grant, levels: Sequence[int]) -> None:
        """Take over what Redis granted, and how much of each of its charges is used now, by all replicas."""
        self._open[grant.id] = _Open(grant.common, grant.lane, 0)
        now = self._now()
        for charge, level in zip((*grant.common, *grant.lane), levels, strict=True):
            if charge.kind == "rate":
                rate = self._rate(charge, now)
                rate.level(charge, now)
                rate.set(level)
            elif charge.kind == "spent":
                self._spending(charge, now).known = level
            else:
                self._add(charge, charge.amount, 0)

    def levels(self) -> list[Charge]:
        """Return how much is used of every rate, in ticks, and of every budget, as far as Redis said."""
        now = self._now()
        rates = [rate.as_charge(key, now) for key, rate in self._rates.items() if not rate.idle(now)]
        spent = [
            Charge("spent", key, 0, it.known, (it.forget_us - now) / MICRO)
            for key, it in self._spent.items() if it.known and it.forget_us > now
        ]  # fmt: skip
        return rates + spent

    def absorb(self) -> None:
        """Redis is being told of all that was spent behind its back."""
        for spent in self._spent.values():
            spent.known += spent.own
            spent.own = 0

    def move(self, grant: Grant, lane: tuple[Charge, ...]) -> Grant:
        """See `gateway.ledger.charges.Ledger`; of a grant that is settled nothing is charged."""
        moved = grant._replace(lane=lane)
        if (entry := self._open.get(grant.id)) is not None:
            self._open[grant.id] = entry._replace(lane=lane)
            for charge in entry.lane:
                self._add(charge, -charge.amount, entry.share)
            for charge in lane:
                self._add(charge, charge.amount, entry.share)
            self._tell()
        return moved

    def settle(self, grant: Grant, common: Sequence[int], lane: Sequence[int]) -> None:
        """See `gateway.ledger.charges.Ledger`."""
        if (entry := self._open.pop(grant.id, None)) is None:
            return
        charges = (*entry.common, *entry.lane)
        for charge, used in zip(charges, (*common, *lane), strict=True):
            self._add(charge, (0 if charge.kind == "held" else used) - charge.amount, entry.share)
        self._tell()

    def on_room(self, listener: Callable[[], None]) -> None:
        """See `gateway.ledger.charges.Ledger`."""
        self._listeners.append(listener)

    async def aclose(self) -> None:
        """Nothing is to be sent."""

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _now(self) -> int:
        now = round(self._clock() * MICRO)
        if len(self._rates) + len(self._spent) > self._sweep_at:
            self._rates = {key: rate for key, rate in self._rates.items() if not rate.idle(now)}
            self._spent = {key: spent for key, spent in self._spent.items() if spent.forget_us > now}
            self._sweep_at = max(_SWEEP, 2 * (len(self._rates) + len(self._spent)))
        return now

    def _wait(self, charge: Charge, now: int) -> float:
        if charge.amount > charge.limit:
            return math.inf
        if charge.kind == "rate":
            rate = self._rates.get(charge.key)
            return 0.0 if rate is None else rate.wait(charge, now, self.share)
        if charge.kind == "held":
            used, wait = self._held.get(charge.key, 0) * self.share, HELD_WAIT_S
        else:
            spent = self._spent.get(charge.key)
            used = 0 if spent is None else spent.known + spent.own * self.share
            wait = charge.period_s
        return 0.0 if not used or used + charge.amount * self.share <= charge.limit else wait

    def _add(self, charge: Charge, units: int, share: int) -> None:
        if charge.kind == "held":
            key = charge.key
            self._held[key] = held = self._held.get(key, 0) + units
            self.measures.leases += units
            if held <= 0:
                del self._held[key]
            return
        now = self._now()
        if charge.kind == "rate":
            self._rate(charge, now).add(charge, units * (share or 1), now)
            return
        spent = self._spending(charge, now)
        if share:
            spent.own = max(0, spent.own + units)
        else:
            spent.known = max(0, spent.known + units)

    def _rate(self, charge: Charge, now: int) -> Bucket:
        if (rate := self._rates.get(charge.key)) is None:
            rate = self._rates[charge.key] = Bucket(charge, now)
        return rate

    def _spending(self, charge: Charge, now: int) -> _Spent:
        if (spent := self._spent.get(charge.key)) is None:
            spent = self._spent[charge.key] = _Spent()
        spent.forget_us = now + round(charge.period_s * MICRO)
        return spent
