"""Random lives of a limiter that counts: whatever is cancelled when, nothing reserved is lost (R35)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.admission.aimd import Adaptive
from gateway.admission.caller import ANONYMOUS
from gateway.admission.demand import Used
from gateway.admission.slots import Slot
from gateway.errors import GatewayError
from gateway.ledger.local import LocalLedger
from tests import virtual_clock
from tests.admission.asking import Desk, call, caller, quotas

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from gateway.admission.line import Waiter
    from gateway.ledger.charges import Order, Verdict

T = TypeVar("T")
Task: TypeAlias = asyncio.Task[Slot]

CALLERS = [
    ANONYMOUS,
    caller("plain", priority="batch"),
    caller("streams", max_streams=2, weight=3.0),
    caller("tokens", tokens_per_minute=2_000, requests_per_minute=20, priority="critical"),
    caller("budget", budget_usd_per_day=0.05, priority="batch"),
]
QUOTAS = [
    quotas(),
    quotas(tokens_per_minute=2_000),
    quotas(("here",), tokens_per_minute=1_000, requests_per_minute=10),
]


class DistantLedger(LocalLedger):
    """Takes its time to answer, as Redis does; who does not wait for the answer has reserved nothing."""

    async def reserve(self, order: Order) -> Verdict:
        """See `LocalLedger`."""
        await asyncio.sleep(0.01)
        return self.decide(order)


class CountedMachine(RuleBasedStateMachine):
    """Steps marked `now` leave the tasks no time to run, so that several things happen in one instant."""

    ledger = LocalLedger

    def __init__(self) -> None:
        super().__init__()
        self.loop = virtual_clock.VirtualClockLoop()
        self.desk = self.run(self.make())
        self.limiter = self.desk.limiter
        self.asking: list[Task] = []
        self.cancelled: list[Task] = []

    async def make(self) -> Desk:
        """Make the limiter on the machine's own loop."""
        return Desk(
            max_running=3,
            max_waiting=4,
            queue_timeout=30.0,
            adaptive=Adaptive(decrease=0.5),
            quotas=QUOTAS[1],
            ledger=self.ledger(self.loop.time),
        )

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a step on the machine's own loop."""
        return self.loop.run_until_complete(main)

    def waiters(self) -> Iterator[Waiter]:
        """Yield those who wait, whoever they are."""
        for queues in self.limiter._room.line._ranks:
            for queue in queues.values():
                for group in queue.groups.values():
                    yield from group.waiters.values()

    @property
    def holding(self) -> list[Slot]:
        """The slots that are held and known to be."""
        done = [task for task in self.asking if task.done() and not task.cancelled()]
        return [task.result() for task in done if task.exception() is None]

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────

    @rule(
        who=st.sampled_from(CALLERS),
        read=st.integers(1, 300),
        written=st.integers(1, 300),
        places=st.sampled_from([("here",), ("there",), ("here", "there")]),
        now=st.booleans(),
    )
    def ask(self, who: Any, read: int, written: int, places: tuple[str, ...], *, now: bool) -> None:
        """Somebody comes."""

        async def begin() -> None:
            calls = [call(read + 10, written, target) for target in places]
            self.asking.append(self.desk.later(who, *calls))
            await asyncio.sleep(0)

        self.run(begin())
        self.pass_time(0.0 if now else 0.1)

    @precondition(lambda self: self.asking)
    @rule(data=st.data(), now=st.booleans())
    def cancel(self, data: st.DataObject, *, now: bool) -> None:
        """Somebody leaves, wherever it is."""
        going = [task for task in self.asking if not task.done()]
        if going:
            task = data.draw(st.sampled_from(going))
            task.cancel()
            self.asking.remove(task)
            self.cancelled.append(task)
        if not now:
            self.pass_time(0.0)

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), used=st.none() | st.tuples(st.integers(0, 500), st.integers(0, 400)))
    def release(self, data: st.DataObject, used: tuple[int, int] | None) -> None:
        """A call ends."""
        slot = data.draw(st.sampled_from(self.holding))
        self.asking = [task for task in self.asking if not (task.done() and task.result() is slot)]
        if used is not None:
            slot.used(Used(*used, 0, 0, None))
        slot.release()
        slot.release()

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), place=st.sampled_from(["here", "there"]))
    def move(self, data: st.DataObject, place: str) -> None:
        """A call goes elsewhere."""
        data.draw(st.sampled_from(self.holding)).move(call(target=place).lane)

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def throttle(self, data: st.DataObject) -> None:
        """Bedrock refuses a call."""
        data.draw(st.sampled_from(self.holding)).throttled()

    @rule(number=st.sampled_from([0, 1, 2]))
    def reload(self, number: int) -> None:
        """Other quotas come in force."""
        self.limiter.put(QUOTAS[number])

    @rule(seconds=st.sampled_from([0.0, 0.005, 0.1, 1.0, 7.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        """Let everybody run, and time pass."""

        async def passing() -> None:
            for _ in range(20):
                await asyncio.sleep(0)
            if seconds:
                await asyncio.sleep(seconds)

        self.run(passing())
        for task in [*self.asking, *self.cancelled]:
            if task.done() and (task.cancelled() or task.exception() is not None):
                assert task.cancelled() or isinstance(task.exception(), GatewayError)
                (self.asking if task in self.asking else self.cancelled).remove(task)

    # ── what holds always ─────────────────────────────────────────────────────────────────────────────

    @invariant()
    def bounded(self) -> None:
        """There are never more than there may be."""
        assert 0 <= self.limiter.running <= 3
        assert len(list(self.waiters())) == self.limiter.waiting <= 4
        lanes = self.limiter._pool.lanes
        assert self.limiter.running == sum(lane.running for lane in lanes)
        assert all(lane.waiting == sum(lane in each.lanes for each in self.waiters()) for lane in lanes)

    @invariant()
    def nobody_waits_who_could_run(self) -> None:
        """The law."""
        if self.limiter.running < 3:
            for waiter in self.waiters():
                assert waiter.busy or waiter.turn.done() or not waiter.group.lane_with_room(self.loop.time())

    def teardown(self) -> None:
        """In the end all comes to rest, and nothing is held of anything."""
        for _ in range(60):
            self.pass_time(5.0)
            for slot in self.holding:
                slot.release()
            self.asking = [task for task in self.asking if not task.done()]
        assert not self.asking
        assert self.desk.is_at_rest()
        assert not any(lane.shut or lane.closed_by for lane in self.limiter._pool.lanes)
        self.loop.close()


class DistantMachine(CountedMachine):
    """The same with answers that take a while."""

    ledger = DistantLedger


for machine in (CountedMachine, DistantMachine):
    machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCounted = CountedMachine.TestCase
TestDistant = DistantMachine.TestCase
