"""What one who comes may expect: how long until a slot, and whether that is of any use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from gateway.errors import DeadlineExceeded, Overloaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.admission.caller import Caller
    from gateway.admission.lanes import Lane
    from gateway.admission.line import WaitingLine
    from gateway.admission.pool import SlotPool


class Rules(Protocol):
    """How it is waited."""

    queue_timeout: float

    @property
    def newest_first(self) -> bool:
        """Whether the youngest goes first at present."""


class Expectations:
    """Reckons with the rates of late."""

    def __init__(self, rules: Rules, pool: SlotPool, line: WaitingLine) -> None:
        self._rules = rules
        self._pool = pool
        self._line = line

    def latest_start(self, lanes: Sequence[Lane], caller: Caller, deadline: float, now: float) -> float:
        """Return when a slot is of use at the latest.

        Raises:
            DeadlineExceeded: the deadline has passed, or no answer can come so fast.
            Overloaded: it would come too late.
        """
        if deadline <= now:
            raise DeadlineExceeded("The time that the caller gave has passed.")
        left, first_byte = deadline - now, min(lane.expected_first_byte for lane in lanes)
        wait = self.wait(lanes, caller, now, newest=self._rules.newest_first) or 0.0
        if first_byte > left >= wait and any(lane.lets_one_try(now) for lane in lanes):
            return deadline
        if wait + first_byte <= left:
            return deadline - first_byte
        if not wait:
            raise DeadlineExceeded(
                f"{left * 1000:.1f} ms are too short for any answer: "
                f"the first byte took {first_byte * 1000:.0f} ms or more of late."
            )
        raise self.overloaded(
            f"{left * 1000:.1f} ms are too short for an answer now: a slot takes about {wait * 1000:.0f} ms, "
            f"the first byte {first_byte * 1000:.0f} ms or more.",
            lanes,
            caller,
        )

    def wait(
        self, lanes: Sequence[Lane], caller: Caller, now: float, *, newest: bool = False
    ) -> float | None:
        """Return the seconds until one more of this caller would get a slot, by the rates of late.

        Slots come free as often as there are slots in the mean time for which one is held. None: no slot
        has come back yet, so nobody knows.
        """
        in_lane = self._wait_in_lane(lanes, caller, now, newest=newest)
        if self._pool.running < self._pool.max_running:
            return in_lane
        if self._pool.held.value is None:
            return None
        ahead = self._line.ahead(caller, now, with_room=True, newest=newest)
        return max((ahead + 1) * self._pool.held.value / self._pool.max_running, in_lane or 0.0)

    def _wait_in_lane(
        self, lanes: Sequence[Lane], caller: Caller, now: float, *, newest: bool
    ) -> float | None:
        if any(lane.has_room(now) for lane in lanes):
            return 0.0
        turns = self._line.ahead(caller, now, with_room=False, newest=newest)
        waits = [lane.expected_wait(min(turns, lane.waiting), now) for lane in lanes]
        return min((wait for wait in waits if wait is not None), default=None)

    def overloaded(self, message: str, lanes: Sequence[Lane], caller: Caller) -> Overloaded:
        """Return the refusal, with the time that one of this caller who comes now would wait."""
        wait = self.wait(lanes, caller, self._pool.now())
        return Overloaded(
            message, retry_after=max(1, math.ceil(self._rules.queue_timeout if wait is None else wait))
        )

    def cause(self, lanes: Sequence[Lane], now: float) -> str:
        """Return why somebody cannot run."""
        if any(lane.has_room(now) for lane in lanes):
            return f"All {self._pool.max_running} slots are in use"
        if any(lane.opening is not None for lane in lanes):
            return "Bedrock's quota for this model has no room at present"
        return "Bedrock takes no more calls to this model at present"
