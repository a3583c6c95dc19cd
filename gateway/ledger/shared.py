"""The ledger of many replicas: Redis counts, and while it does not, each replica gives out its share.

A request waits for Redis once, at most for `timeout_s`. The first failure of any kind ends that for all: from
then on a ledger of this process decides by itself, which knows what Redis said last and counts everything as
often as there are replicas (reliability.md R42-R45). Behind the requests' back one task connects, tells what
Redis does not know yet, and gives the counting back to it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import structlog

from gateway.ledger import scripts
from gateway.ledger.charges import Grant, Granted, Refused
from gateway.ledger.holdings import Holdings, release
from gateway.ledger.link import LinkError
from gateway.ledger.local import LocalLedger, grant_ids
from gateway.ledger.remote import BATCH, CONNECT_S, Lost, Remote, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.ledger.charges import Charge, Order, State, Verdict
    from gateway.ledger.remote import Rules
    from gateway.ledger.scripts import Asked

REFUSED_S: Final = 1.0
"""When to ask again where nothing is given out without Redis."""


class _Ask:
    """A request that waits for Redis; it gets None where it is to be decided here."""

    __slots__ = ("answer", "asked", "grant_id", "late", "order", "timer")

    def __init__(self, grant_id: str, order: Order, answer: asyncio.Future[Verdict | None]) -> None:
        self.grant_id = grant_id
        self.order = order
        self.asked = scripts.reserve(grant_id, order)
        self.answer = answer
        self.late = False
        self.timer: asyncio.TimerHandle | None = None

    def give(self, verdict: Verdict | None) -> bool:
        """Answer; says whether somebody is there to take it."""
        if self.timer is not None:
            self.timer.cancel()
        if self.answer.done():
            return False
        self.answer.set_result(verdict)
        return True


class SharedLedger:
    """Counts in Redis; `clock` gives seconds for what is counted here."""

    def __init__(self, remote: Remote, rules: Rules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._loop = asyncio.get_running_loop()
        self._ids = grant_ids()
        self._here = LocalLedger(clock, share=rules.replicas)
        self._remote = remote
        self._holdings = Holdings(remote.replica)
        self._state: State = "degraded"
        self._outbox: deque[Asked] = deque()
        self._waiting: deque[_Ask] = deque()
        self._sent: list[_Ask] = []
        self._wake = asyncio.Event()
        self._tried = asyncio.Event()
        self._alone = self._closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        """`shared`, or `degraded` while Redis does not answer."""
        return self._state

    async def open(self) -> None:
        """Begin; returns when Redis has answered, or has failed to for the first time."""
        self._task = asyncio.create_task(self._run())  # noqa: TID251 - ended by `aclose`
        await self._tried.wait()

    # ── what requests call ────────────────────────────────────────────────────────────────────────────

    async def reserve(self, order: Order) -> Verdict:
        """See `gateway.ledger.charges.Ledger`."""
        if self._state != "shared":
            return self._decide(order)
        ask = _Ask(next(self._ids), order, self._loop.create_future())
        ask.timer = self._loop.call_later(self._rules.timeout_s, self._overdue, ask)
        self._waiting.append(ask)
        self._wake.set()
        try:
            verdict = await ask.answer
        except asyncio.CancelledError:
            ask.timer.cancel()
            if not ask.answer.cancelled() and isinstance(verdict := ask.answer.result(), Granted):
                self._give_back(verdict.grant)
            raise
        return self._decide(order) if verdict is None else verdict

    def move(self, grant: Grant, lane: tuple[Charge, ...]) -> Grant:
        """See `gateway.ledger.charges.Ledger`."""
        moved = self._here.move(grant, lane)
        self._send(self._holdings.move(moved))
        return moved

    def settle(self, grant: Grant, common: Sequence[int], lane: Sequence[int]) -> None:
        """See `gateway.ledger.charges.Ledger`."""
        self._send(self._holdings.settle(grant, common, lane))
        self._here.settle(grant, common, lane)

    def on_room(self, listener: Callable[[], None]) -> None:
        """See `gateway.ledger.charges.Ledger`."""
        self._here.on_room(listener)

    async def aclose(self) -> None:
        """See `gateway.ledger.charges.Ledger`."""
        if self._task is None:
            return
        self._closing = True
        if self._state == "shared":
            self._send([scripts.leave(self._remote.replica)])
            await asyncio.wait([self._task], timeout=CONNECT_S)
        self._task.cancel()
        await asyncio.wait([self._task])
        self._degrade("closed")

    def _decide(self, order: Order) -> Verdict:
        if self._rules.refuse and order.common:
            return Refused(order.common[0], REFUSED_S)
        verdict = self._here.decide(order)
        if isinstance(verdict, Granted):
            self._alone = True
            self._holdings.enter(verdict.grant, verdict.alternative)
        return verdict

    def _give_back(self, grant: Grant) -> None:
        self.settle(grant, [0] * len(grant.common), [0] * len(grant.lane))

    def _send(self, asked: Sequence[Asked]) -> None:
        if asked:
            self._outbox.extend(asked)
            self._wake.set()

    def _overdue(self, ask: _Ask) -> None:
        """End the wait of all; but where this process itself is late, the answer may lie here already."""
        spare = self._rules.timeout_s / 5
        if not ask.late and ask.timer is not None and self._loop.time() > ask.timer.when() + spare:
            ask.late = True
            ask.timer = self._loop.call_later(spare, self._overdue, ask)
            return
        self._degrade(f"no answer within {round(self._rules.timeout_s * 1000)} ms")
        self._remote.interrupt()

    # ── what goes on behind them ──────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while True:
            try:
                await self._begin()
                await self._serve()
            except Lost:
                self._degrade("it has lost what it knew")
                continue
            except LinkError as error:
                self._degrade(str(error))
            except Exception as error:  # noqa: BLE001 - no fault of ours may keep requests waiting
                self._degrade(f"{type(error).__name__}: {error}")
            finally:
                await self._remote.close()
                self._tried.set()
            if self._closing:
                return
            await asyncio.sleep(self._rules.probe_s)

    async def _begin(self) -> None:
        """Connect, tell Redis what it does not know, and let it count."""
        remote, here = self._remote, self._here
        lost = await remote.connect()
        if self._alone or lost:
            if lost:
                await remote.raise_to(here.levels())
                self._outbox.extend(self._holdings.restore())
            await self._flush()
            await remote.raise_to(here.levels())
            self._tell_all()
            await self._flush()
            await asyncio.sleep(self._rules.grace_s)
            await remote.raise_to(here.levels())
        here.share = max(self._rules.replicas, await remote.renew(()))
        self._tell_all()
        self._alone = False
        self._state = "shared"
        self._tried.set()
        structlog.get_logger().info("ledger", state="shared", replicas=here.share)

    def _tell_all(self) -> None:
        self._outbox.extend(self._holdings.adopt())
        self._here.absorb()

    async def _serve(self) -> None:
        renewal = self._loop.time() + self._rules.renew_s
        while self._state == "shared" and (self._outbox or not self._closing):
            self._wake.clear()
            if not (self._outbox or self._waiting):
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(renewal):
                        await self._wake.wait()
            if self._loop.time() >= renewal:
                renewal = self._loop.time() + self._rules.renew_s
                replicas = await self._remote.renew(self._holdings.leases())
                self._here.share = max(self._rules.replicas, replicas)
            await self._trip()

    async def _flush(self) -> None:
        while self._outbox:
            await self._trip()

    async def _trip(self) -> None:
        """Send what waits, and hand out what comes back."""
        changes = list(islice(self._outbox, BATCH))
        taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        self._sent = sent = [ask for ask in taken if not ask.answer.done()]
        if not (changes or sent):
            return
        replies = await self._remote.run([*changes, *(ask.asked for ask in sent)])
        if self._sent is not sent:
            raise LinkError("no answer in time")
        self._sent = []
        failures = [self._granted(*pair) for pair in zip(sent, replies[len(changes) :], strict=True)]
        failures += map(failure, replies[: len(changes)])
        for error in failures:
            if error is not None:
                raise error
        for _ in changes:
            self._outbox.popleft()

    def _granted(self, ask: _Ask, reply: Any) -> Exception | None:
        if (error := failure(reply)) is not None or reply[0] == b"late":
            ask.give(None)
            return error
        if reply[0] != b"granted":
            ask.give(scripts.refusal(reply, ask.order))
            return None
        number, levels = int(reply[1]), reply[2:]
        lane = ask.order.alternatives[number] if ask.order.alternatives else ()
        grant = Grant(ask.grant_id, ask.order.caller, ask.order.common, lane, shared=True)
        self._holdings.enter(grant, number)
        self._here.learn(grant, levels)
        if not ask.give(Granted(grant, number)):
            self._give_back(grant)
        return None

    def _degrade(self, reason: str) -> None:
        """Decide here from now on, also for all that wait; what they were granted meanwhile is given back."""
        if self._state == "shared" or not self._tried.is_set():
            self._state = "degraded"
            structlog.get_logger().warning("ledger", state="degraded", reason=reason)
        for ask in self._sent:
            self._outbox.extend(release(ask.grant_id, ask.order))
        for ask in (*self._sent, *self._waiting):
            ask.give(None)
        self._sent = []
        self._waiting.clear()
