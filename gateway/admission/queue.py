"""The one queue of the process: bounded in count and in time, fair, and blocked by no single lane.

A slot stands for one upstream stream and lives exactly as long as it does. Everything here happens on one
event loop, and where a check and its change have an `await` between them, what was found is held before.

The law that keeps it simple: nobody waits who could run. So whoever comes and finds room overtakes nobody.
Where something is counted (a caller's limits, a lane's quota) there is one question more, to the ledger,
which is asked with a slot in hand. Who finds no room in a lane's quota closes the lane and waits in the one
queue; when it opens, whose turn it is asks, and nobody else meanwhile.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gateway.admission.caller import ANONYMOUS
from gateway.admission.lanes import open_lanes
from gateway.admission.line import Turn
from gateway.admission.reservations import Reservation, utc_now
from gateway.admission.waiting import Order, WaitingRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from gateway.admission.aimd import Adaptive
    from gateway.admission.demand import Ticket
    from gateway.admission.lanes import Lane, LaneState
    from gateway.admission.quotas import Quotas
    from gateway.admission.slots import Slot
    from gateway.ledger.charges import Ledger


class ConcurrencyLimiter:
    """`max_running` slots; at most `max_waiting` requests wait, each for at most `queue_timeout` seconds.

    A released slot is handed to a waiter directly. Priorities are strict, callers have it in turn by their
    weights (`line`), and of one caller the oldest goes first; or with `newest_first`, while more wait than
    half of the slots, the youngest: under overload the oldest has the least time left to make use of an
    answer, and first come, first served would make everybody late (S35, R38).

    `adaptive` gives each lane a limit that follows Bedrock's throttles; None: none. `quotas` are those of
    Bedrock that are known; `ledger` counts them and the callers' limits, and without one nothing is counted.
    `today` gives the time in UTC, by which budgets are those of a day.
    """

    def __init__(
        self,
        *,
        max_running: int,
        max_waiting: int,
        queue_timeout: float,
        order: Order = "fifo",
        adaptive: Adaptive | None = None,
        ledger: Ledger | None = None,
        quotas: Quotas | None = None,
        today: Callable[[], datetime] = utc_now,
    ) -> None:
        self._room = WaitingRoom(
            max_running=max_running,
            max_waiting=max_waiting,
            queue_timeout=queue_timeout,
            order=order,
            adaptive=adaptive,
            quotas=quotas,
        )
        self._pool = self._room.pool
        self._has_quotas = bool(quotas)
        self._ledger = ledger
        self._today = today
        self.now = self._pool.now
        if ledger is not None:
            ledger.on_room(self._pool.doors.room)

    def __repr__(self) -> str:
        return (
            f"<ConcurrencyLimiter {self.running} of {self.max_running} running, "
            f"{self.waiting} of {self.max_waiting} waiting>"
        )

    @property
    def running(self) -> int:
        """Slots in use, those just handed to a waiter included."""
        return self._pool.running

    @property
    def max_running(self) -> int:
        """How many slots there are."""
        return self._pool.max_running

    @property
    def order(self) -> Order:
        """Who goes first of those of one caller."""
        return self._room.order

    @property
    def max_waiting(self) -> int:
        """How many may wait."""
        return self._room.max_waiting

    @property
    def waiting(self) -> int:
        """Requests in the queue that have neither a slot nor given up."""
        return len(self._room.line)

    @property
    def lanes(self) -> list[LaneState]:
        """The lanes that are known at present."""
        return self._pool.states()

    async def acquire(
        self, lanes: Sequence[str] = (), *, deadline: float | None = None, ticket: Ticket | None = None
    ) -> Slot:
        """Take a slot in the first of `lanes` that has room, waiting for one if need be.

        `deadline` is on the loop's clock. Who cannot keep it, by what slots and first bytes took of late,
        is refused now instead of being served too late (R34). `ticket` says whose request it is and what it
        may use, and is told of its wait.

        Raises:
            Overloaded: the queue is full, no slot came free in time, or there is too little time left.
            DeadlineExceeded: the deadline has passed.
            RateLimited, BudgetExhausted: the caller has used up what it has of its own.
            InvalidRequest: the request may use more than there ever is.
        """
        pool = self._pool
        now = pool.now()
        wanted = pool.lanes.named(lanes)
        caller = ANONYMOUS if ticket is None else ticket.caller
        latest = math.inf
        if deadline is not None:
            latest = self._room.expectations.latest_start(wanted, caller, deadline, now)
        if ticket is not None and (self._has_quotas or caller is not ANONYMOUS):
            reservation = self._reservation(ticket, wanted)
            if reservation is not None:
                wanted = reservation.fitting(wanted)
                return await self._admit(pool.take(wanted, now), wanted, latest, reservation)
        slot = pool.take(wanted, now)
        return await self._wait(wanted, latest, ticket) if slot is None else slot

    def try_acquire(self, lanes: Sequence[str] = ()) -> Slot | None:
        """Take a slot if there is room for it now; what is done with it has been reserved with another."""
        return self._pool.take(self._pool.lanes.named(lanes), self.now())

    def resize(self, *, max_running: int, max_waiting: int, queue_timeout: float) -> None:
        """Change the limits: nobody who runs or waits is refused, whoever comes later finds the new ones."""
        room = self._room
        self._pool.max_running, room.max_waiting, room.queue_timeout = max_running, max_waiting, queue_timeout
        room.hand_over()

    def put(self, quotas: Quotas) -> None:
        """Put other quotas in force; what has been reserved is settled as it was reserved."""
        self._has_quotas = bool(quotas)
        self._pool.put(quotas)

    def free_share(self, lane: str) -> float:
        """Return how much of a lane is free, from 0 to 1, as far as this process knows."""
        return self._pool.free_share(lane)

    async def _wait(self, lanes: Sequence[Lane], latest: float, ticket: Ticket | None) -> Slot:
        now = self.now()
        waiter = self._room.join(lanes, ticket, now)
        try:
            return await self._room.turn_of(waiter, latest)
        except BaseException:
            self._room.leave(waiter)
            if (slot := waiter.turn.slot) is not None:
                slot.release()
            raise

    # ── what is counted ───────────────────────────────────────────────────────────────────────────────

    def _reservation(self, ticket: Ticket, lanes: Sequence[Lane]) -> Reservation | None:
        """Return what a request reserves with, None where nothing of it is counted."""
        if self._ledger is None:
            return None
        if ticket.caller.rules.counted or any(lane.quota is not None for lane in lanes):
            return Reservation(self._ledger, ticket, self.now, self._today)
        return None

    async def _admit(
        self, slot: Slot | None, lanes: Sequence[Lane], latest: float, reservation: Reservation
    ) -> Slot:
        """Reserve with this slot, or with one that comes free."""
        try:
            if slot is None:
                return await self._wait_counted(lanes, latest, reservation)
            tried = open_lanes(lanes, slot.seat, self.now())
            seconds = await self._try(slot, tried, reservation)
            return await self._wait_counted(lanes, latest, reservation, tried, seconds) if seconds else slot
        except BaseException:
            reservation.settle()
            self._room.hand_over()
            raise

    async def _try(self, slot: Slot, lanes: Sequence[Lane], reservation: Reservation) -> float:
        """Reserve in one of these; return 0.0, or in how many seconds to try again: the slot is back then."""
        try:
            seconds = await reservation.of_lanes(lanes)
        except BaseException:
            slot.put_back()
            raise
        if seconds:
            slot.put_back()
        else:
            slot.reserve(reservation)
        return seconds

    async def _wait_counted(
        self,
        lanes: Sequence[Lane],
        latest: float,
        reservation: Reservation,
        closed: Sequence[Lane] = (),
        seconds: float = 0.0,
    ) -> Slot:
        """Wait for a slot and for quota; `closed` had none for it, and may have in so many `seconds`."""
        doors, now = self._pool.doors, self.now()
        waiter = self._room.join(lanes, reservation.ticket, now, counted=True)
        doors.close(closed, seconds, waiter)
        try:
            if reservation.lacks_caller:
                self._room.hand_over()
                await reservation.of_caller(lanes[0])
            doors.overtaken(waiter)
            while True:
                waiter.busy = False
                self._room.hand_over()
                slot = await self._room.turn_of(waiter, latest)
                seconds = await self._try(slot, waiter.tried, reservation)
                doors.tried(waiter.tried)
                if not seconds:
                    self._room.leave(waiter)
                    self._room.hand_over()
                    return slot
                doors.close(waiter.tried, seconds, waiter)
                self._room.line.put_back(waiter)
                waiter.turn = Turn(waiter, self._room.leave)
        except BaseException:
            self._room.leave(waiter)
            if (left := waiter.turn.slot) is not None:
                left.put_back()
            doors.tried(waiter.tried)
            raise
