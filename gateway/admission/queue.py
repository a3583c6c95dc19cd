"""The one queue of the process: bounded in count and in time, and blocked by no single lane.

A slot stands for one upstream stream and lives exactly as long as it does. Everything here happens on one
event loop and no check is separated from its change by an `await`, so no lock is needed.

The law that keeps it simple: nobody waits who could run. So whoever comes and finds room overtakes nobody.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.admission.averages import MovingAverage
from gateway.admission.lanes import Lanes
from gateway.admission.line import WaitingLine
from gateway.admission.slots import Slot
from gateway.errors import DeadlineExceeded, Overloaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.admission.aimd import Adaptive
    from gateway.admission.demand import Ticket
    from gateway.admission.lanes import Lane, LaneState
    from gateway.admission.line import Turn

Order: TypeAlias = Literal["fifo", "newest_first"]


class ConcurrencyLimiter:
    """`max_running` slots; at most `max_waiting` requests wait, each for at most `queue_timeout` seconds.

    A released slot is handed to a waiter directly: to the oldest, or with `newest_first`, while more wait
    than half of the slots, to the youngest. Under overload the oldest has the least time left to make use of
    an answer, and first come, first served would make everybody late (S35, R38).

    `adaptive` gives each lane a limit that follows Bedrock's throttles; None: none.
    """

    def __init__(
        self,
        *,
        max_running: int,
        max_waiting: int,
        queue_timeout: float,
        order: Order = "fifo",
        adaptive: Adaptive | None = None,
    ) -> None:
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.queue_timeout = queue_timeout
        self.order = order
        self.running = 0
        """Slots in use, those just handed to a waiter included."""
        self._lanes = Lanes(adaptive)
        self._line = WaitingLine()
        self._held = MovingAverage()
        self.now = asyncio.get_running_loop().time

    def __repr__(self) -> str:
        return (
            f"<ConcurrencyLimiter {self.running} of {self.max_running} running, "
            f"{self.waiting} of {self.max_waiting} waiting>"
        )

    @property
    def waiting(self) -> int:
        """Requests in the queue that have neither a slot nor given up."""
        return len(self._line)

    @property
    def lanes(self) -> list[LaneState]:
        """The lanes that are known at present."""
        return [lane.state() for lane in self._lanes]

    async def acquire(
        self,
        lanes: Sequence[str] = (),
        *,
        deadline: float | None = None,
        ticket: Ticket | None = None,  # noqa: ARG002 - counting comes
    ) -> Slot:
        """Take a slot in the first of `lanes` that has room, waiting for one if need be.

        `deadline` is on the loop's clock. Who cannot keep it, by what slots and first bytes took of late,
        is refused now instead of being served too late (R34).

        Raises:
            Overloaded: the queue is full, no slot came free in time, or there is too little time left.
            DeadlineExceeded: the deadline has passed.
        """
        now = self.now()
        wanted = self._lanes.named(lanes)
        latest = math.inf if deadline is None else self._latest_start(wanted, deadline, now)
        slot = self._take(wanted, now)
        return await self._wait(wanted, latest, now) if slot is None else slot

    def try_acquire(self, lanes: Sequence[str] = ()) -> Slot | None:
        """Take a slot if there is room for it now."""
        return self._take(self._lanes.named(lanes), self.now())

    def resize(self, *, max_running: int, max_waiting: int, queue_timeout: float) -> None:
        """Change the limits: nobody who runs or waits is refused, whoever comes later finds the new ones."""
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.queue_timeout = queue_timeout
        self._hand_over()

    # ── what slots tell ───────────────────────────────────────────────────────────────────────────────

    def taken_back(self, lane: Lane, held: float, held_in_lane: float) -> None:
        """A slot came back, after so many seconds in all and in its last lane."""
        self._held.add(held)
        self.running -= 1
        self._leave_lane(lane, held_in_lane)
        if self._line:
            self._hand_over()

    def moved(self, lane: Lane, name: str, held: float) -> Lane | None:
        """Move a slot out of a lane into the named one, if that has room."""
        (target,) = self._lanes.named((name,))
        if target is lane:
            return lane
        if not target.has_room(self.now()):
            return None
        target.running += 1
        self._leave_lane(lane, held)
        self._hand_over()
        return target

    def throttled(self, lane: Lane, sent_in: int) -> None:
        """Bedrock throttled a call of this lane."""
        lane.limit.throttled(lane.running, sent_in)

    def answered(self, lane: Lane, first_byte: float) -> None:
        """Bedrock began to answer a call of this lane."""
        lane.answered(first_byte, self.now())
        if lane.limit.succeeded(lane.running, self.max_running):
            self._hand_over()

    # ── running and waiting ───────────────────────────────────────────────────────────────────────────

    def _take(self, lanes: Sequence[Lane], now: float) -> Slot | None:
        if self.running < self.max_running:
            for lane in lanes:
                if lane.has_room(now):
                    self.running += 1
                    lane.running += 1
                    return Slot(self, lane, now)
        return None

    def _leave_lane(self, lane: Lane, held: float) -> None:
        lane.held.add(held)
        lane.running -= 1
        if not lane.running:
            lane.idle_since = self.now()

    def _hand_over(self) -> None:
        """Give what is free to those who wait."""
        now = self.now()
        while self.running < self.max_running:
            first = self._line.first(now, newest=self._newest_first)
            if first is None:
                return
            turn, lane = first
            self._line.leave(turn)
            self.running += 1
            lane.running += 1
            turn.set_result(Slot(self, lane, now))

    async def _wait(self, lanes: Sequence[Lane], latest: float, now: float) -> Slot:
        if self.waiting >= self.max_waiting:
            raise self._overloaded(
                f"{self._cause(lanes, now)} and the queue of {self.max_waiting} is full.", lanes
            )
        patience = self.queue_timeout
        turn = self._line.join(lanes)
        timer = turn.get_loop().call_at(min(now + patience, latest), self._send_away, turn)
        try:
            slot = await turn
        except BaseException:
            self._give_up(turn)
            raise
        finally:
            timer.cancel()
        if slot is not None:
            return slot
        within = f"within {patience:g} s" if now + patience <= latest else "in the time that the caller gives"
        raise self._overloaded(f"No slot came free {within}.", lanes)

    def _send_away(self, turn: Turn) -> None:
        """Tell who waits that the time is up, unless a slot was handed over at this very instant."""
        if not turn.done():
            self._line.leave(turn)
            turn.set_result(None)

    def _give_up(self, turn: Turn) -> None:
        """Leave the queue; a slot that was handed over at this very instant goes on to the next waiter."""
        self._line.leave(turn)
        if turn.done() and not turn.cancelled():
            slot = turn.result()
            if slot is not None:
                slot.release()

    # ── what is to be expected ────────────────────────────────────────────────────────────────────────

    @property
    def _newest_first(self) -> bool:
        return self.order == "newest_first" and self.waiting > self.max_running / 2

    def _latest_start(self, lanes: Sequence[Lane], deadline: float, now: float) -> float:
        """Return when a slot is of use at the latest, or refuse who would come too late even so."""
        if deadline <= now:
            raise DeadlineExceeded("The time that the caller gave has passed.")
        left, first_byte = deadline - now, min(lane.expected_first_byte for lane in lanes)
        wait = self._expected_wait(lanes, now, newest=self._newest_first) or 0.0
        if first_byte > left >= wait and any(lane.lets_one_try(now) for lane in lanes):
            return deadline
        if wait + first_byte <= left:
            return deadline - first_byte
        if not wait:
            raise DeadlineExceeded(
                f"{left * 1000:.1f} ms are too short for any answer: "
                f"the first byte took {first_byte * 1000:.0f} ms or more of late."
            )
        raise self._overloaded(
            f"{left * 1000:.1f} ms are too short for an answer now: a slot takes about {wait * 1000:.0f} ms, "
            f"the first byte {first_byte * 1000:.0f} ms or more.",
            lanes,
        )

    def _expected_wait(self, lanes: Sequence[Lane], now: float, *, newest: bool = False) -> float | None:
        """Return the seconds until one more would get a slot, by the rate at which they came free of late.

        Slots come free as often as there are slots in the mean time for which one is held. None: no slot
        has come back yet, so nobody knows.
        """
        waits = [
            0.0 if lane.has_room(now) else lane.expected_wait(0 if newest else lane.waiting) for lane in lanes
        ]
        in_lane = min((wait for wait in waits if wait is not None), default=None)
        if self.running < self.max_running:
            return in_lane
        if self._held.value is None:
            return None
        ahead = 0 if newest else self._line.able_to_run(now)
        return max((ahead + 1) * self._held.value / self.max_running, in_lane or 0.0)

    def _cause(self, lanes: Sequence[Lane], now: float) -> str:
        if any(lane.has_room(now) for lane in lanes):
            return f"All {self.max_running} slots are in use"
        return "Bedrock takes no more calls to this model at present"

    def _overloaded(self, message: str, lanes: Sequence[Lane]) -> Overloaded:
        """Return the refusal, with the time that whoever comes now would wait."""
        wait = self._expected_wait(lanes, self.now())
        return Overloaded(
            message, retry_after=max(1, math.ceil(self.queue_timeout if wait is None else wait))
        )
