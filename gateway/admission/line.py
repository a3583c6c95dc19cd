"""Those who wait: the more urgent before the others, callers in turn by weighted deficit round robin.

Each caller has a queue of its own, within it the oldest goes first. Of the queues in which somebody finds
room, each is credited in proportion to its weight until the first can pay what its next one costs (in tokens,
as far as that is known): deficit round robin (Shreedhar and Varghese, 1995) with a quantum as small as it
can be, so that nobody's turn is a burst. A queue that runs empty loses its credit.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from gateway.admission.caller import PRIORITIES
from gateway.admission.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.admission.caller import Caller
    from gateway.admission.lanes import Lane

Dismissal: TypeAlias = Literal["late", "shed"]
"""Why somebody is sent away: the time is up · others have a better claim to the place."""
_RANK: Final = {priority: rank for rank, priority in enumerate(PRIORITIES)}


class Turn(asyncio.Future["Slot | Dismissal"]):
    """What one who waits waits for: a slot, or to be sent away.

    A cancelled task cancels what it awaits in that very moment, long before it runs itself: that is when
    it leaves the line, so that no slot is handed to who has gone and no place is held for it (R36).
    """

    def __init__(self, waiter: Waiter, left: Callable[[Waiter], None]) -> None:
        super().__init__()
        self.timer: asyncio.TimerHandle
        """What sends it away."""
        self._waiter = waiter
        self._left = left

    @property
    def slot(self) -> Slot | None:
        """The slot that was handed over, if one was."""
        result = self.result() if self.done() and not self.cancelled() else None
        return result if isinstance(result, Slot) else None

    def cancel(self, msg: object = None) -> bool:
        """Leave the line at once."""
        self._left(self._waiter)
        return super().cancel(msg)


class Waiter:
    """One who waits, in the place where it came.

    `counted`: it has to ask the ledger. While it does, it is `busy`, and passed over; `tried` are the lanes
    that it asks for.
    """

    __slots__ = ("busy", "caller", "came", "cost", "counted", "group", "number", "queue", "tried", "turn")

    def __init__(
        self,
        queue: Queue,
        group: Group,
        caller: Caller,
        *,
        number: int,
        cost: float,
        came: float,
        counted: bool,
    ) -> None:
        self.queue = queue
        self.group = group
        self.number = number
        self.caller = caller
        self.cost = cost
        self.came = came
        self.counted = self.busy = counted
        self.tried: Sequence[Lane] = ()
        self.turn: Turn

    @property
    def lanes(self) -> Sequence[Lane]:
        """Where it would run, the best first."""
        return self.group.lanes


class Group:
    """Those of one caller who would take a slot in any of these lanes, the oldest first."""

    __slots__ = ("lanes", "waiters")

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes
        self.waiters: OrderedDict[int, Waiter] = OrderedDict()

    def lane_with_room(self, now: float) -> Lane | None:
        """Return the first lane that takes one more."""
        for lane in self.lanes:
            if lane.has_room(now):
                return lane
        return None

    def next(self, *, newest: bool) -> Waiter | None:
        """Return the next that is not busy."""
        waiters = self.waiters.values()
        return next((each for each in (reversed(waiters) if newest else waiters) if not each.busy), None)


class Head(NamedTuple):
    """Who may run first of a queue, and where."""

    waiter: Waiter
    lane: Lane


class Queue:
    """Those who wait of one caller."""

    __slots__ = ("credit", "groups", "length", "name", "rank", "weight")

    def __init__(self, caller: Caller, rank: int) -> None:
        self.name = caller.name
        self.rank = rank
        self.weight = caller.rules.weight
        self.credit = 0.0
        self.length = 0
        self.groups: dict[tuple[int, ...], Group] = {}

    def head(self, now: float, *, newest: bool) -> Head | None:
        """Return the first of those who find room; None if nobody does."""
        best: Head | None = None
        for group in self.groups.values():
            waiter = group.next(newest=newest)
            if waiter is None or (best is not None and (waiter.number > best.waiter.number) is not newest):
                continue
            lane = group.lane_with_room(now)
            if lane is not None:
                best = Head(waiter, lane)
        return best

    def newest(self) -> Waiter | None:
        """Return the newest that is only waiting."""
        found = [each for group in self.groups.values() if (each := group.next(newest=True)) is not None]
        return max(found, key=lambda each: each.number, default=None)

    def lacks(self, waiter: Waiter) -> float:
        """Return the credit, for a weight of 1, that it lacks until this one can go."""
        return max(0.0, waiter.cost - self.credit) / self.weight


class WaitingLine:
    """Everybody who waits. Whoever finds no room in a lane is passed by those of other lanes only."""

    def __init__(self) -> None:
        self._ranks: list[OrderedDict[str, Queue]] = [OrderedDict() for _ in PRIORITIES]
        """By priority; in each the queues in the order of their turns."""
        self._numbers = count()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def join(
        self, lanes: Sequence[Lane], caller: Caller, cost: float, now: float, *, counted: bool
    ) -> Waiter:
        """Stand at the end of the caller's own queue."""
        rank = _RANK[caller.rules.priority]
        queue = self._ranks[rank].get(caller.name)
        if queue is None:
            queue = self._ranks[rank][caller.name] = Queue(caller, rank)
        queue.weight = caller.rules.weight  # the last that was said counts
        key = tuple(map(id, lanes))  # a lane is kept as long as somebody waits for it
        group = queue.groups.get(key)
        if group is None:
            group = queue.groups[key] = Group(lanes)
        waiter = Waiter(
            queue, group, caller, number=next(self._numbers), cost=cost, came=now, counted=counted
        )
        group.waiters[waiter.number] = waiter
        queue.length += 1
        self._length += 1
        for lane in lanes:
            lane.waiting += 1
        return waiter

    def leave(self, waiter: Waiter) -> bool:
        """Go, wherever one stands; does nothing, and says so, for who has left."""
        queue, group = waiter.queue, waiter.group
        if group.waiters.pop(waiter.number, None) is None:
            return False
        queue.length -= 1
        self._length -= 1
        for lane in group.lanes:
            lane.waiting -= 1
        if not group.waiters:
            del queue.groups[tuple(map(id, group.lanes))]
        if not queue.length:
            del self._ranks[queue.rank][queue.name]
        return True

    def first(self, now: float, *, newest: bool) -> Head | None:
        """Return who is to run next of those who find room, and where; None if nobody does. It has paid."""
        for queues in self._ranks:
            heads = [head for queue in queues.values() if (head := queue.head(now, newest=newest))]
            if heads:
                best = min(heads, key=lambda head: head.waiter.queue.lacks(head.waiter))
                credit = best.waiter.queue.lacks(best.waiter)
                for head in heads:
                    queue = head.waiter.queue
                    queue.credit += credit * queue.weight
                best.waiter.queue.credit -= best.waiter.cost
                queues.move_to_end(best.waiter.queue.name)
                return best
        return None

    def put_back(self, waiter: Waiter) -> None:
        """Give back what it paid: it did not run, and is next again."""
        queue = waiter.queue
        if queue.length:
            queue.credit += waiter.cost
            self._ranks[queue.rank].move_to_end(queue.name, last=False)

    def least_claim(self, caller: Caller) -> Waiter | None:
        """Return who has less claim to a place than this caller, where all are taken; None: nobody has.

        That is the newest of the least urgent, if those are less urgent; else the newest of the caller that
        has most waiting for its weight, if that is more than this one would have then.
        """
        rank = _RANK[caller.rules.priority]
        last = next((number for number in (2, 1, 0) if self._ranks[number]), rank)
        if last < rank:
            return None
        queues = self._ranks[last]
        if last > rank:
            newest = [each for queue in queues.values() if (each := queue.newest()) is not None]
            return max(newest, key=lambda each: each.number, default=None)
        own = queues.get(caller.name)
        mine = ((0 if own is None else own.length) + 1) / caller.rules.weight
        longest = max(queues.values(), key=lambda queue: queue.length / queue.weight, default=own)
        if longest is None or longest is own or longest.length / longest.weight <= mine:
            return None
        return longest.newest()

    # ── what is to be expected ────────────────────────────────────────────────────────────────────────

    def ahead(self, caller: Caller, now: float, *, with_room: bool, newest: bool = False) -> int:
        """Return about how many have their turn before one more of this caller; costs count as equal.

        `with_room`: of those only who lack a slot, not room in a lane. `newest`: it goes first of its own.
        """
        rank, weight = _RANK[caller.rules.priority], caller.rules.weight
        own = self._ranks[rank].get(caller.name)
        mine = 0 if own is None or newest else _length(own, now, with_room=with_room)
        found = mine
        for queues in self._ranks[:rank]:
            found += sum(_length(queue, now, with_room=with_room) for queue in queues.values())
        for queue in self._ranks[rank].values():
            if queue is not own:
                turns = -(-(mine + 1) * queue.weight // weight)
                found += int(min(turns, _length(queue, now, with_room=with_room)))
        return found


def _length(queue: Queue, now: float, *, with_room: bool) -> int:
    if not with_room:
        return queue.length
    return sum(len(group.waiters) for group in queue.groups.values() if group.lane_with_room(now))
