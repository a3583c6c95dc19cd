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
from gateway.ledger.ask import Ask
from gateway.ledger.charges import Grant, Granted, Refused
from gateway.ledger.holdings import Holdings, release
from gateway.ledger.link import LinkError
from gateway.ledger.local import LocalLedger, grant_ids
from gateway.ledger.remote import BATCH, BEHIND_S, Lost, Remote, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.ledger.charges import Charge, Order, State, Verdict
    from gateway.ledger.measures import Cause
    from gateway.ledger.remote import Rules
    from gateway.ledger.scripts import Asked

REFUSED_S: Final = 1.0
"""When to ask again where nothing is given out without Redis."""


class SharedLedger:
    """Counts in Redis; `clock` gives seconds for what is counted here."""

    def __init__(self, remote: Remote, rules: Rules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._loop = asyncio.get_running_loop()
        self._ids = grant_ids()
        self._here = LocalLedger(clock, share=rules.replicas)
        self.measures = self._here.measures
        self._remote = remote
        self._holdings = Holdings(remote.replica)
        self._state: State = "degraded"
        self._outbox: deque[Asked] = deque()
        self._waiting: deque[Ask] = deque()
        self._sent: deque[Ask] = deque()
        self._wake = asyncio.Event()
        self._tried = asyncio.Event()
        self._renewals: deque[Asked] = deque()
        self._apart = self._closing = False
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
        began = self._loop.time()
        ask = Ask(next(self._ids), order, self._rules.timeout_s, self._overdue)
        self._waiting.append(ask)
        self._wake.set()
        try:
            verdict = await ask.answer
        except asyncio.CancelledError:
            ask.leave()
            if not ask.answer.cancelled() and isinstance(verdict := ask.answer.result(), Granted):
                self._give_back(verdict.grant)
            raise
        self.measures.waits.observe(self._loop.time() - began)
        if verdict is None:
            return self._decide(order)
        self.measures.decided["redis"] += 1
        return verdict

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
            await asyncio.wait([self._task], timeout=BEHIND_S)
        self._task.cancel()
        await asyncio.wait([self._task])
        self._state = "degraded"
        self._drop()

    def _decide(self, order: Order) -> Verdict:
        self.measures.decided["here"] += 1
        if self._rules.refuse and order.common:
            return Refused(order.common[0], REFUSED_S)
        verdict = self._here.decide(order)
        if isinstance(verdict, Granted):
            self._apart = True
            self._holdings.enter(verdict.grant, verdict.alternative)
        return verdict

    def _give_back(self, grant: Grant) -> None:
        self.settle(grant, [0] * len(grant.common), [0] * len(grant.lane))

    def _send(self, asked: Sequence[Asked]) -> None:
        if asked:
            self._outbox.extend(asked)
            self._wake.set()

    def _overdue(self) -> None:
        self._degrade("timeout", f"no answer within {round(self._rules.timeout_s * 1000)} ms")
        self._remote.interrupt()

    # ── what goes on behind them ──────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while True:
            try:
                await self._begin()
                await self._serve()
            except Lost:
                self._degrade("lost", "Redis has lost what it knew")
                continue
            except LinkError as error:
                self._degrade(error.cause, str(error))
            except Exception as error:  # noqa: BLE001 - no fault of ours may keep requests waiting
                self._degrade("defect", f"{type(error).__name__}: {error}")
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
        if self._apart or lost:
            await remote.raise_to(here.levels())  # before what was spent here is added to it
            if lost:
                self._outbox.extend(self._holdings.restore())
            self._tell_all()
            await self._flush()
            await remote.renew(self._holdings.leases())
            await asyncio.sleep(self._rules.grace_s)
            await remote.raise_to(here.levels())
        self._count(await remote.renew(self._holdings.leases()))
        self._tell_all()
        self._apart = False
        self._state = "shared"
        self._tried.set()
        structlog.get_logger().info("ledger", state="shared", replicas=self.measures.replicas)

    def _count(self, replicas: int) -> None:
        self.measures.replicas = replicas
        self._here.share = max(self._rules.replicas, replicas)

    def _tell_all(self) -> None:
        self._outbox.extend(self._holdings.adopt())
        self._here.absorb()

    async def _serve(self) -> None:
        renewal = self._loop.time() + self._rules.renew_s
        while self._state == "shared" and (self._outbox or not self._closing):
            self._wake.clear()
            if not (self._outbox or self._waiting or self._renewals):
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(renewal):
                        await self._wake.wait()
            if self._loop.time() >= renewal:
                renewal = self._loop.time() + self._rules.renew_s
                self._renewals += self._remote.renewals(self._holdings.leases())
            await self._trip()

    async def _flush(self) -> None:
        while self._outbox:
            await self._trip()

    async def _trip(self) -> None:
        """Send what waits, and hand out what comes back."""
        changes = list(islice(self._outbox, BATCH))
        taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        self._sent = sent = deque(ask for ask in taken if not ask.answer.done())
        renewal = [self._renewals.popleft()] if self._renewals else []
        if not (changes or sent or renewal):
            return
        replies = await self._remote.run([*changes, *renewal, *(ask.asked for ask in sent)])
        if self._sent is not sent:
            raise LinkError("timeout", "no answer in time")
        told = len(changes) + len(renewal)
        errors = list(map(failure, replies[:told]))
        for reply in replies[told:]:
            errors.append(self._granted(sent[0], reply))
            sent.popleft()  # only now: whoever was not answered will be, whatever goes wrong
        for error in filter(None, errors):
            raise error
        for _ in changes:
            self._outbox.popleft()
        if renewal:
            self._count(int(replies[told - 1][0]))

    def _granted(self, ask: Ask, reply: Any) -> Exception | None:
        if (error := failure(reply)) is not None or reply[0] == b"late":
            ask.give(None)
            return error
        if reply[0] != b"granted":
            ask.give(scripts.refusal(reply, ask.order))
            return None
        number, levels = int(reply[1]), reply[2:]
        lane = ask.order.alternatives[number] if ask.order.alternatives else ()
        grant = Grant(ask.grant_id, ask.order.caller, ask.order.common, lane, shared=True)
        self._here.learn(grant, levels)
        self._holdings.enter(grant, number)
        if not ask.give(Granted(grant, number)):
            self._give_back(grant)
        return None

    def _degrade(self, cause: Cause, reason: str) -> None:
        """Decide here from now on, also for all that wait."""
        self._apart = True
        if self._state == "shared" or not self._tried.is_set():
            self._state = "degraded"
            self.measures.outages[cause] += 1
            structlog.get_logger().warning("ledger", state="degraded", cause=cause, reason=reason)
        self._drop()

    def _drop(self) -> None:
        """Answer all that wait; what Redis granted or grants them nevertheless is given back."""
        for ask in self._sent:
            self._outbox.extend(release(ask.grant_id, ask.order))
        for ask in (*self._sent, *self._waiting):
            ask.give(None)
        self._sent = deque()
        self._waiting.clear()
        self._renewals.clear()
