"""Random lives of a limiter beside the obvious model of it: lists, and a search from the front (R35, R36)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.admission.aimd import Adaptive
from gateway.admission.queue import ConcurrencyLimiter
from gateway.admission.slots import Slot
from gateway.errors import Overloaded
from tests import virtual_clock

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gateway.admission.waiting import Order

T = TypeVar("T")
Task: TypeAlias = asyncio.Task[Slot]

MAX_WAITING, QUEUE_TIMEOUT, STALE = 4, 10.0, 60.0
LANES = ("x", "y", "z")


@dataclass
class Waiter:
    """Who waits, for which lanes, and when it gives up."""

    task: Task
    lanes: tuple[str, ...]
    until: float


@dataclass
class Holder:
    """Who holds a slot, perhaps without knowing it yet, and in which lane."""

    task: Task
    lane: str | None


class LimiterMachine(RuleBasedStateMachine):
    """Steps marked `now` leave the tasks no time to run, so that several things happen in one instant.

    How far a lane's limit moves is not modelled here (`test_aimd.py` has that), but who may run by it is.
    """

    order: ClassVar[Order] = "fifo"

    def __init__(self) -> None:
        super().__init__()
        self.loop = virtual_clock.VirtualClockLoop()
        self.max_running = 3
        self.limiter = self.run(self.make())
        self.waiting: list[Waiter] = []
        self.holding: list[Holder] = []
        self.idle_since = dict.fromkeys(LANES, 0.0)
        self.served: list[Task] = []
        self.refused: list[Task] = []
        self.cancelled: list[Task] = []

    async def make(self) -> ConcurrencyLimiter:
        """Make the limiter on the machine's own loop."""
        return ConcurrencyLimiter(
            max_running=self.max_running,
            max_waiting=MAX_WAITING,
            queue_timeout=QUEUE_TIMEOUT,
            order=self.order,
            adaptive=Adaptive(decrease=0.5),
        )

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a step on the machine's own loop."""
        return self.loop.run_until_complete(main)

    # ── the model ─────────────────────────────────────────────────────────────────────────────────────

    def lane_for(self, lanes: tuple[str, ...]) -> tuple[bool, str | None]:
        """Say whether one of these has room, and which is the first; no name is a lane without a limit."""
        if not lanes:
            return True, None
        limits = {lane.name: lane.limit for lane in self.limiter.lanes}
        for lane in lanes:
            running = sum(holder.lane == lane for holder in self.holding)
            wanted = any(lane in waiter.lanes for waiter in self.waiting)
            stale = not running and not wanted and self.loop.time() - self.idle_since[lane] > STALE
            limit = None if stale else limits.get(lane)
            if limit is None or running + 1 <= limit:
                return True, lane
        return False, None

    def hand_over(self) -> None:
        """Give slots to whoever comes first of those who find room."""
        while len(self.holding) < self.max_running:
            newest = self.order == "newest_first" and len(self.waiting) > self.max_running / 2
            for waiter in reversed(self.waiting) if newest else self.waiting:
                found, lane = self.lane_for(waiter.lanes)
                if found:
                    self.waiting.remove(waiter)
                    self.holding.append(Holder(waiter.task, lane))
                    break
            else:
                return

    def leave_lane(self, lane: str | None) -> None:
        """A holder is no longer in this lane."""
        if lane is not None and not any(holder.lane == lane for holder in self.holding):
            self.idle_since[lane] = self.loop.time()

    def drop(self, holder: Holder) -> None:
        """A slot comes back."""
        self.holding.remove(holder)
        self.leave_lane(holder.lane)
        self.hand_over()

    def holder(self, data: st.DataObject, *, aware: bool = True) -> Holder:
        """Choose one who knows that it holds a slot, or does not know it yet."""
        return data.draw(st.sampled_from([each for each in self.holding if each.task.done() is aware]))

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────

    @initialize(lane=st.sampled_from(LANES))
    def a_lane_is_throttled(self, lane: str) -> None:
        """Begin with a limit of 1 somewhere."""

        async def step() -> None:
            with await self.limiter.acquire((lane,)) as slot:
                slot.throttled()

        self.run(step())

    @rule(lanes=st.lists(st.sampled_from(LANES), unique=True, max_size=3).map(tuple))
    def acquire(self, lanes: tuple[str, ...]) -> None:
        """A caller asks for a slot in one of these lanes."""

        async def step() -> Task:
            task = self.loop.create_task(self.limiter.acquire(lanes))
            await asyncio.sleep(0)
            return task

        found, lane = self.lane_for(lanes)
        full = len(self.waiting) >= MAX_WAITING
        task = self.run(step())
        if found and len(self.holding) < self.max_running:
            self.holding.append(Holder(task, lane))
        elif full:
            self.refused.append(task)
        else:
            self.waiting.append(Waiter(task, lanes, self.loop.time() + QUEUE_TIMEOUT))

    @precondition(lambda self: any(holder.task.done() for holder in self.holding))
    @rule(data=st.data())
    def release_now(self, data: st.DataObject) -> None:
        """A stream ends; its slot is handed over in the same instant, and a second release does nothing."""
        holder = self.holder(data)
        holder.task.result().release()
        holder.task.result().release()
        self.served.append(holder.task)
        self.drop(holder)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel_a_waiter_now(self, data: st.DataObject) -> None:
        """A caller leaves the queue."""
        waiter = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(waiter)
        waiter.task.cancel()
        self.cancelled.append(waiter.task)

    @precondition(lambda self: any(not holder.task.done() for holder in self.holding))
    @rule(data=st.data())
    def cancel_at_the_hand_over(self, data: st.DataObject) -> None:
        """A caller leaves who does not know yet that it has a slot: the slot goes on when its task runs."""
        holder = self.holder(data, aware=False)
        holder.task.cancel()
        self.settle()
        self.cancelled.append(holder.task)
        self.drop(holder)

    @precondition(lambda self: any(holder.task.done() for holder in self.holding))
    @rule(data=st.data(), lane=st.sampled_from(LANES))
    def move_now(self, data: st.DataObject, lane: str) -> None:
        """A call fails over to another lane, where there is room."""
        holder = self.holder(data)
        found, _ = self.lane_for((lane,))
        moved = holder.task.result().move(lane)
        assert moved == (found or holder.lane == lane)
        if moved and holder.lane != lane:
            left, holder.lane = holder.lane, lane
            self.leave_lane(left)
            self.hand_over()

    @precondition(lambda self: any(holder.task.done() for holder in self.holding))
    @rule(data=st.data())
    def throttled_now(self, data: st.DataObject) -> None:
        """Bedrock throttles a call."""
        self.holder(data).task.result().throttled()

    @precondition(lambda self: any(holder.task.done() for holder in self.holding))
    @rule(data=st.data())
    def succeeded_now(self, data: st.DataObject) -> None:
        """Bedrock begins to answer, which may make room for one more."""
        self.holder(data).task.result().succeeded(0.1)
        self.hand_over()

    @rule(max_running=st.integers(1, 5))
    def resize_now(self, max_running: int) -> None:
        """The operator changes the limit."""
        self.max_running = max_running
        self.limiter.resize(max_running=max_running, max_waiting=MAX_WAITING, queue_timeout=QUEUE_TIMEOUT)
        self.hand_over()

    @rule()
    def settle(self) -> None:
        """Everybody runs who can."""

        async def step() -> None:
            for _ in range(4):
                await asyncio.sleep(0)

        self.run(step())

    @rule(seconds=st.sampled_from([0.5, 3.0, QUEUE_TIMEOUT, STALE]))
    def time_passes(self, seconds: float) -> None:
        """Who has waited too long gives up."""
        self.run(asyncio.sleep(seconds + 0.25))  # never the instant of a timeout: `test_queue.py` has that
        self.settle()
        late = [waiter for waiter in self.waiting if waiter.until <= self.loop.time()]
        self.refused.extend(waiter.task for waiter in late)
        self.waiting = [waiter for waiter in self.waiting if waiter not in late]

    # ── what holds ────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def the_limiter_agrees_with_the_model(self) -> None:
        """At every instant, also before anybody has run."""
        assert (self.limiter.running, self.limiter.waiting) == (len(self.holding), len(self.waiting))
        assert len(self.waiting) <= MAX_WAITING
        for lane in self.limiter.lanes:
            assert lane.running == sum(holder.lane == lane.name for holder in self.holding)
            assert lane.waiting == sum(lane.name in waiter.lanes for waiter in self.waiting)
        for holder in self.holding:
            assert not holder.task.done() or holder.task.result().lane == holder.lane

    @invariant()
    def nobody_waits_who_could_run(self) -> None:
        """The law of the queue."""
        if len(self.holding) < self.max_running:
            assert not any(self.lane_for(waiter.lanes)[0] for waiter in self.waiting)

    def teardown(self) -> None:
        """Everybody ended as the model says, and when all have left, nothing is held."""
        try:
            self.settle()
            assert all(isinstance(task.exception(), Overloaded) for task in self.refused)
            assert all(task.cancelled() for task in self.cancelled)
            assert not any(waiter.task.done() for waiter in self.waiting)
            for waiter in self.waiting:
                waiter.task.cancel()
            self.settle()
            for task in (*(holder.task for holder in self.holding), *self.served):
                task.result().release()
            assert (self.limiter.running, self.limiter.waiting) == (0, 0)
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.settle()
            self.loop.close()


class NewestFirstMachine(LimiterMachine):
    """The same, in the other order."""

    order = "newest_first"


LimiterMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
NewestFirstMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestFirstComeFirstServed = LimiterMachine.TestCase
TestNewestFirst = NewestFirstMachine.TestCase
