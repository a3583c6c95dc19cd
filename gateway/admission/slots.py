"""A slot: the right to have one call to Bedrock under way, and what that call teaches about its lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    from gateway.admission.demand import Used
    from gateway.admission.lanes import Lane
    from gateway.admission.reservations import Reservation


class SlotOwner(Protocol):
    """Where slots come from."""

    def now(self) -> float:
        """Return the loop's clock."""

    def taken_back(self, lane: Lane, held: float, held_in_lane: float) -> None:
        """A slot came back, after so many seconds in all and in its last lane."""

    def put_back(self, lane: Lane) -> None:
        """A slot came back that was not used."""

    def reseat(self, lane: Lane, other: Lane) -> None:
        """A slot that has not been used yet is for another lane."""

    def moved(self, lane: Lane, name: str, held: float) -> Lane | None:
        """Move a slot out of a lane into the named one, if that has room."""

    def throttled(self, lane: Lane, sent_in: int) -> None:
        """Bedrock throttled a call of this lane."""

    def answered(self, lane: Lane, first_byte: float) -> None:
        """Bedrock began to answer a call of this lane."""


class Slot:
    """Held for as long as the upstream stream lives; a context manager that gives it back.

    The process has so many of them in all, and each lane a limit of its own (`aimd`). What was reserved for
    the call is settled with the release. Everything here is synchronous: nothing can be cancelled half way
    (R35).
    """

    __slots__ = ("_entered", "_lane", "_owner", "_released", "_round", "_since", "counted", "reservation")

    def __init__(self, owner: SlotOwner, lane: Lane, now: float) -> None:
        self._owner = owner
        self._lane = lane
        self._round = lane.limit.round
        self._since = self._entered = now
        self._released = False
        self.counted = False
        """Whether anybody wants to know what the call used."""
        self.reservation: Reservation | None = None

    def __repr__(self) -> str:
        return f"<Slot in {self.lane}{', released' if self._released else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    @property
    def lane(self) -> str | None:
        """The lane in which the call is to be sent: the first of those asked for that had room."""
        return self._lane.name

    @property
    def seat(self) -> Lane:
        """The lane itself."""
        return self._lane

    def reserve(self, reservation: Reservation) -> None:
        """Hold this too; it may be for another lane."""
        self.reservation, self.counted = reservation, True
        if (lane := reservation.lane) is not None and lane is not self._lane:
            self._owner.reseat(self._lane, lane)
            self._lane, self._round = lane, lane.limit.round

    def put_back(self) -> None:
        """Give it back unused; it taught nothing. More than once does no more."""
        if not self._released:
            self._released = True
            self._owner.put_back(self._lane)

    def used(self, used: Used) -> None:
        """Tell what the call took, before the release, which settles it; untold, it took nothing."""
        if self.reservation is not None:
            self.reservation.used = used

    def release(self) -> None:
        """Give it back: to a waiter, or to nobody. More than once does no more."""
        if not self._released:
            self._released = True
            try:
                if self.reservation is not None:
                    self.reservation.settle()
            finally:
                now = self._owner.now()
                self._owner.taken_back(self._lane, now - self._since, now - self._entered)

    def move(self, lane: str) -> bool:
        """Go over to another lane, at failover; say whether it had room. At once or not at all."""
        if self._released:
            raise RuntimeError("this slot has been released")
        now = self._owner.now()
        found = self._owner.moved(self._lane, lane, now - self._entered)
        if found is None:
            return False
        if self.reservation is not None and found is not self._lane:
            self.reservation.move(found)
        self._lane, self._round, self._entered = found, found.limit.round, now
        return True

    def throttled(self) -> None:
        """Take note that Bedrock throttled the call; the slot is still held and may be used for a retry."""
        self._owner.throttled(self._lane, self._round)
        self._round = self._lane.limit.round

    def succeeded(self, first_byte: float) -> None:
        """Take note that the first byte of an answer came, so many seconds after the call was sent."""
        self._owner.answered(self._lane, first_byte)
