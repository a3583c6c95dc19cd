"""Those who wait, and how they come to their turn: in the line, for a bounded time, in a bounded number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from gateway.admission.caller import ANONYMOUS
from gateway.admission.expectations import Expectations
from gateway.admission.lanes import open_lanes
from gateway.admission.line import Turn, WaitingLine
from gateway.admission.pool import SlotPool
from gateway.admission.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.admission.aimd import Adaptive
    from gateway.admission.caller import Caller
    from gateway.admission.demand import Ticket
    from gateway.admission.lanes import Lane
    from gateway.admission.line import Waiter
    from gateway.admission.quotas import Quotas

_A_MOMENT: Final = 0.001
"""Seconds: the lane opens before anybody is sent away for it."""

Order: TypeAlias = Literal["fifo", "newest_first"]


class WaitingRoom:
    """At most `max_waiting` requests, each for `queue_timeout` seconds at most; and what they wait for.

    But for who stands first, and has only to wait until its quota has room: at a moment that is known, and no
    more than as long again. Others are not let in meanwhile; under overload all have waited nearly to the end
    when they stand first, and whoever needs much room would never come to it.
    """

    def __init__(
        self,
        *,
        max_running: int,
        max_waiting: int,
        queue_timeout: float,
        order: Order,
        adaptive: Adaptive | None,
        quotas: Quotas | None,
    ) -> None:
        self.max_waiting = max_waiting
        self.queue_timeout = queue_timeout
        self.order = order
        self.line = WaitingLine()
        self.pool = SlotPool(
            max_running=max_running, adaptive=adaptive, quotas=quotas, hand_over=self.hand_over
        )
        self.now = self.pool.now
        self.expectations = Expectations(self, self.pool, self.line)

    @property
    def newest_first(self) -> bool:
        """Whether the youngest goes first at present."""
        return self.order == "newest_first" and len(self.line) > self.pool.max_running / 2

    def hand_over(self) -> None:
        """Give what is free to those who wait; who has to ask the ledger keeps its place until then."""
        pool, line = self.pool, self.line
        while line and pool.running < pool.max_running:
            now = pool.now()
            head = line.first(now, newest=self.newest_first)
            if head is None:
                return
            waiter, lane = head
            if waiter.counted:
                waiter.busy = True
                waiter.tried = open_lanes(waiter.lanes, lane, now)
                pool.doors.try_out(waiter.tried)
            else:
                line.leave(waiter)
            waiter.turn.set_result(pool.slot_in(lane, now))

    def join(
        self, lanes: Sequence[Lane], ticket: Ticket | None, now: float, *, counted: bool = False
    ) -> Waiter:
        """Stand in the line, if need be in the place of somebody who has less claim to it."""
        caller, cost = ANONYMOUS, 1.0
        if ticket is not None:
            caller, lane = ticket.caller, lanes[0]
            cost = lane.expected_tokens(ticket.demand(ticket.call_in(lane.name)))
            newest = self.newest_first
            ticket.position = self.line.ahead(caller, now, with_room=False, newest=newest)
            ticket.expected_wait = self.expectations.wait(lanes, caller, now, newest=newest)
        if len(self.line) >= self.max_waiting:
            self._make_place(lanes, caller, now)
        waiter = self.line.join(lanes, caller, cost, now, counted=counted)
        waiter.turn = Turn(waiter, self.leave)
        return waiter

    def _make_place(self, lanes: Sequence[Lane], caller: Caller, now: float) -> None:
        shed = self.line.least_claim(caller) if self.max_waiting else None
        if shed is None:
            cause = self.expectations.cause(lanes, now)
            message = f"{cause} and the queue of {self.max_waiting} is full."
            raise self.expectations.overloaded(message, lanes, caller)
        self.leave(shed)
        shed.turn.set_result("shed")

    async def turn_of(self, waiter: Waiter, latest: float) -> Slot:
        """Wait for a slot, until `latest` and no longer than anybody does.

        Raises:
            Overloaded: none came in time, or others have a better claim to the place.
        """
        turn, patience = waiter.turn, self.queue_timeout
        until = waiter.came + patience
        turn.timer = turn.get_loop().call_at(min(until, latest), self._send_away, waiter, latest)
        try:
            result = await turn
        finally:
            turn.timer.cancel()
        if isinstance(result, Slot):
            return result
        if result == "shed":
            message = f"The queue of {self.max_waiting} is full, and others have more claim to a place in it."
        else:
            within = f"within {patience:g} s" if until <= latest else "in the time that the caller gives"
            message = f"No slot came free {within}."
        raise self.expectations.overloaded(message, waiter.lanes, waiter.caller)

    def _send_away(self, waiter: Waiter, latest: float) -> None:
        """Tell who waits that the time is up, unless a slot was handed over at this very instant."""
        turn = waiter.turn
        if turn.done():
            return
        room = self.pool.doors.opening_for(waiter)
        if room is not None and self.now() < room <= min(latest, waiter.came + 2 * self.queue_timeout):
            turn.timer = turn.get_loop().call_at(room + _A_MOMENT, self._send_away, waiter, latest)
            return
        self.leave(waiter)
        turn.set_result("late")

    def leave(self, waiter: Waiter) -> None:
        """Let somebody go, wherever it stands."""
        if self.line.leave(waiter) and self.pool.doors.left(waiter):
            self.hand_over()
