"""Those who wait: in the order in which they came, apart by the lanes that would do for them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING

from gateway.admission.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.admission.lanes import Lane


class Turn(asyncio.Future[Slot | None]):
    """One who waits: its result is a slot, or None where the time ran out.

    A cancelled task cancels what it awaits in that very moment, long before it runs itself: that is when
    this leaves the line, so that no slot is handed to who has gone and no place is held for it (R36).
    """

    def __init__(self, group: Group, number: int, left: Callable[[Turn], None]) -> None:
        super().__init__()
        self.group = group
        self.number = number
        self._left = left

    def cancel(self, msg: object = None) -> bool:
        """Leave the line at once."""
        self._left(self)
        return super().cancel(msg)


class Group:
    """Those who would take a slot in any of these lanes, the oldest first."""

    __slots__ = ("lanes", "turns")

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes
        self.turns: OrderedDict[int, Turn] = OrderedDict()

    def lane_with_room(self, now: float) -> Lane | None:
        """Return the first lane that takes one more."""
        for lane in self.lanes:
            if lane.has_room(now):
                return lane
        return None


class WaitingLine:
    """Everybody who waits. Whoever finds no room in a lane is passed by those of other lanes only."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, ...], Group] = {}
        self._numbers = count()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def join(self, lanes: Sequence[Lane]) -> Turn:
        """Stand at the end."""
        key = tuple(map(id, lanes))  # a lane is kept as long as somebody waits for it
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(lanes)
        turn = Turn(group, next(self._numbers), self.leave)
        group.turns[turn.number] = turn
        self._length += 1
        for lane in lanes:
            lane.waiting += 1
        return turn

    def leave(self, turn: Turn) -> None:
        """Go, wherever one stands; does nothing for who has left."""
        group = turn.group
        if group.turns.pop(turn.number, None) is None:
            return
        self._length -= 1
        for lane in group.lanes:
            lane.waiting -= 1
        if not group.turns:
            del self._groups[tuple(map(id, group.lanes))]

    def able_to_run(self, now: float) -> int:
        """Return how many only lack a slot, not room in a lane."""
        return sum(len(group.turns) for group in self._groups.values() if group.lane_with_room(now))

    def first(self, now: float, *, newest: bool) -> tuple[Turn, Lane] | None:
        """Return who may run first of those who find room, and where; None if nobody does."""
        best: tuple[Turn, Lane] | None = None
        for group in self._groups.values():
            number = next(reversed(group.turns)) if newest else next(iter(group.turns))
            if best is not None and (number > best[0].number) is not newest:
                continue
            lane = group.lane_with_room(now)
            if lane is not None:
                best = group.turns[number], lane
        return best
