"""Lanes that are closed for a while: who found no room in a quota waits, and nobody small passes it by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.admission.lanes import Lane
    from gateway.admission.line import Waiter


class Doors:
    """The lanes that are closed. `opened` is called when one opens by itself."""

    def __init__(self, opened: Callable[[], None]) -> None:
        self._opened = opened
        self._loop = asyncio.get_running_loop()
        self._for_want_of_room: set[Lane] = set()

    def close(self, lanes: Iterable[Lane], seconds: float, by: Waiter | None = None) -> None:
        """Close those with a quota. `by` found no room in them; None: they rest, whatever comes free."""
        for lane in lanes:
            if lane.quota is not None:
                self._clear(lane)
                lane.shut, lane.closed_by = True, by
                lane.opening = self._loop.call_later(seconds, self._open_by_itself, lane)
                if by is not None:
                    self._for_want_of_room.add(lane)

    def try_out(self, lanes: Iterable[Lane]) -> None:
        """Keep others out while one asks for its quota."""
        for lane in lanes:
            lane.shut = lane.quota is not None

    def tried(self, lanes: Iterable[Lane]) -> None:
        """Let others in again."""
        for lane in lanes:
            lane.shut = lane.opening is not None

    def open(self, lanes: Iterable[Lane]) -> None:
        """Open those that are closed; not one that is just tried."""
        for lane in lanes:
            if lane.opening is not None:
                self._clear(lane)
                lane.shut = False

    def left(self, waiter: Waiter) -> bool:
        """Open what one has closed who has gone, for the next may need less; say whether there was any."""
        closed = [lane for lane in waiter.lanes if lane.closed_by is waiter]
        self.open(closed)
        return bool(closed)

    def opening_for(self, waiter: Waiter) -> float | None:
        """Return when there will be room for who has closed a lane, on the loop's clock; None for others."""
        timers = (lane.opening for lane in waiter.lanes if lane.closed_by is waiter)
        return min((timer.when() for timer in timers if timer is not None), default=None)

    def overtaken(self, waiter: Waiter) -> None:
        """One has come: it need not wait for a lane that a less urgent one closed."""
        rank = waiter.queue.rank
        lanes = waiter.lanes
        self.open([lane for lane in lanes if lane.closed_by is not None and lane.closed_by.queue.rank > rank])

    def room(self) -> None:
        """Something has come free: whose turn it is may find it enough."""
        if self._for_want_of_room:
            self.open([*self._for_want_of_room])
            self._opened()

    def _clear(self, lane: Lane) -> None:
        self._for_want_of_room.discard(lane)
        if lane.opening is not None:
            lane.opening.cancel()
        lane.opening = lane.closed_by = None

    def _open_by_itself(self, lane: Lane) -> None:
        self.open((lane,))
        self._opened()
