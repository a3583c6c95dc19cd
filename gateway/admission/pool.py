"""The slots and the lanes: who runs, where, and what that teaches. Who waits is the queue's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from gateway.admission.averages import MovingAverage
from gateway.admission.doors import Doors
from gateway.admission.lanes import Lanes
from gateway.admission.quotas import Quotas
from gateway.admission.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.admission.aimd import Adaptive
    from gateway.admission.lanes import Lane, LaneState

_REST_S: Final = 0.5
"""How long a lane is closed that Bedrock throttles although its quota seems to have room."""
_TELL_S: Final = 60.0
"""Seconds at least from one log line about that to the next, for each lane."""


class SlotPool:
    """`max_running` slots, in lanes. `hand_over` is called when somebody might find room who found none."""

    def __init__(
        self,
        *,
        max_running: int,
        adaptive: Adaptive | None,
        quotas: Quotas | None,
        hand_over: Callable[[], None],
    ) -> None:
        self.max_running = max_running
        self.running = 0
        """Slots in use, those just handed to a waiter included."""
        self.lanes = Lanes(adaptive, quotas or Quotas())
        self.doors = Doors(hand_over)
        self.held = MovingAverage()
        """Seconds for which a slot is in use."""
        self.now = asyncio.get_running_loop().time
        self._hand_over = hand_over

    def take(self, lanes: Sequence[Lane], now: float) -> Slot | None:
        """Take a slot in the first lane that has room, None where there is none."""
        if self.running < self.max_running:
            for lane in lanes:
                if lane.has_room(now):
                    self.running += 1
                    lane.running += 1
                    return Slot(self, lane, now)
        return None

    def slot_in(self, lane: Lane, now: float) -> Slot:
        """Take a slot in a lane that has room."""
        self.running += 1
        lane.running += 1
        return Slot(self, lane, now)

    def put_back(self, lane: Lane) -> None:
        """Take back a slot that was not used."""
        self.running -= 1
        self._leave(lane)

    def reseat(self, lane: Lane, other: Lane) -> None:
        """A slot that has not been used yet is for another lane."""
        if other is not lane:
            other.running += 1
            self._leave(lane)

    def _leave(self, lane: Lane) -> None:
        lane.running -= 1
        if not lane.running:
            lane.idle_since = self.now()

    def put(self, quotas: Quotas) -> None:
        """Put other quotas in force; what has been reserved is settled as it was reserved."""
        self.lanes.put(quotas)
        self.doors.open([*self.lanes])
        self._hand_over()

    # ── what slots tell ───────────────────────────────────────────────────────────────────────────────

    def taken_back(self, lane: Lane, held: float, held_in_lane: float) -> None:
        """A slot came back, after so many seconds in all and in its last lane."""
        self.held.add(held)
        lane.held.add(held_in_lane)
        self.running -= 1
        lane.running -= 1
        if not lane.running:
            lane.idle_since = self.now()
        self._hand_over()

    def moved(self, lane: Lane, name: str, held: float) -> Lane | None:
        """Move a slot out of a lane into the named one, if that has room."""
        (target,) = self.lanes.named((name,))
        if target is lane:
            return lane
        if not target.has_room(self.now()):
            return None
        lane.held.add(held)
        self.reseat(lane, target)
        self._hand_over()
        return target

    def throttled(self, lane: Lane, sent_in: int) -> None:
        """Bedrock throttled a call of this lane; where its quota is known, it was thought to have room."""
        lane.limit.throttled(lane.running, sent_in)
        if lane.quota is None:
            return
        now = self.now()
        if not lane.shut:
            self.doors.close((lane,), _REST_S)
        if lane.told is None or now - lane.told > _TELL_S:
            lane.told = now
            quota = lane.quota
            structlog.get_logger().warning(
                "quota_differs",
                lane=lane.name,
                tokens_per_minute=quota.tokens_per_minute,
                requests_per_minute=quota.requests_per_minute,
                tokens_per_day=quota.tokens_per_day,
                reason="Bedrock throttled a call for which the configured quota had room: others use it too, "
                "or it is smaller",
            )

    def answered(self, lane: Lane, first_byte: float) -> None:
        """Bedrock began to answer a call of this lane."""
        lane.answered(first_byte, self.now())
        if lane.limit.succeeded(lane.running, self.max_running):
            self._hand_over()

    # ── what others may see ───────────────────────────────────────────────────────────────────────────

    def states(self) -> list[LaneState]:
        """Return the lanes that are known at present."""
        return [lane.state() for lane in self.lanes]

    def free_share(self, name: str) -> float:
        """Return how much of a lane is free, from 0 to 1, as far as this process knows."""
        lane = self.lanes.known(name)
        return 1.0 if lane is None else lane.free_share(self.now(), self.max_running)
