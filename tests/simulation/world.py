"""One seed: the real pipeline with all that it stands on, among random callers and random faults.

The invariants are checked by accounts of their own, kept by the far end and by the callers.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from gateway.abandoned import AbandonedAnswers
from gateway.admission.aimd import Adaptive
from gateway.admission.queue import ConcurrencyLimiter
from gateway.catalog.model import Model
from gateway.domain import TextDelta
from gateway.errors import GatewayError
from gateway.pipeline import CompletionStream, OpenCompletion
from gateway.retries.attempts import Retries
from gateway.retries.trail import Trail
from gateway.timing import Timing
from gateway.upstream import UpstreamCall
from tests import virtual_clock
from tests.simulation.far_end import NO_WORK, FarEnd, Sent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.upstream import Upstream

Mode: TypeAlias = Literal["safety", "liveness"]

CALLERS: Final = 40
ARRIVALS_S: Final = 40.0
HEALING_S: Final = 100.0
"""From the end of the faults until all must be well: the clocks of a call, and a breaker that is open."""
MODELS: Final = (
    Model(id="one", base_id="one", provider="anthropic", native_family="claude", api="invoke"),
    Model(id="two", base_id="two", provider="amazon", native_family=None, api="converse"),
)
LANES: Final = [(model, target) for model in MODELS for target in ("east", "west")]


class Violation(AssertionError):
    """What must never be so is so."""


def demand(truth: object, what: str) -> None:
    """Raise unless it is true."""
    if not truth:
        raise Violation(what)


@dataclass(eq=False)
class Request:
    """One caller's account of what happened."""

    number: int
    calls: list[UpstreamCall]
    began: float
    expires: float | None
    allow_fallback: bool
    end: str = ""
    """`done`, an error's code, or `left`."""
    text: str = ""
    seen: bool = False
    finished: float | None = None
    attempts: list[Sent] = field(default_factory=list)


def _paid_retries(request: Request) -> int:
    """Count the retries that the budget has to allow."""
    return sum(_is_paid(request, number) for number in range(1, len(request.attempts)))


def _is_paid(request: Request, number: int) -> bool:
    """Say whether this attempt is a retry that the budget has to allow, for there was work before."""
    tried = [sent.lane for sent in request.attempts[:number]]
    others = {call.lane for call in request.calls if call.fallback}
    lane = request.attempts[number].lane
    return lane in tried or lane in others or request.attempts[number - 1].fault not in NO_WORK


class World:
    """Everything of one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a replay needs the same numbers, not good ones
        self.loop = asyncio.get_running_loop()
        self.far = FarEnd(self.chance)
        self.far.on_call.append(self._on_call)
        self.limiter = ConcurrencyLimiter(
            max_running=self.chance.choice([2, 5, 20]),
            max_waiting=self.chance.choice([0, 5, 50]),
            queue_timeout=self.chance.choice([0.5, 5.0]),
            order=self.chance.choice(["fifo", "newest_first"]),
            adaptive=self.chance.choice([None, Adaptive()]),
        )
        self.retries = Retries(
            clock=self.loop.time,
            random=self.chance.random,
            max_attempts=self.chance.choice([1, 2, 3, 3, 5]),
        )
        self.abandoned = AbandonedAnswers(max_running=self.chance.choice([0, 2]), seconds=5.0)
        self.requests: list[Request] = []
        self.coverage: Counter[tuple[str, str]] = Counter()
        self._running_before = 0
        self._probes: dict[tuple[str, int], int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # ── what happens ──────────────────────────────────────────────────────────────────────────────────

    async def run(self, mode: Mode) -> None:
        """Let it all happen, and end it."""
        chaos = self.loop.create_task(self._chaos())
        for number in range(CALLERS):
            await asyncio.sleep(self.chance.expovariate(CALLERS / ARRIVALS_S))
            self._tasks.append(self.loop.create_task(self._caller(number)))
            self.check()
        chaos.cancel()
        await asyncio.gather(chaos, return_exceptions=True)
        if mode == "liveness":
            await self._heal()
        else:
            await asyncio.gather(*self._tasks)
        await self.abandoned.aclose()
        self._at_rest()

    async def _chaos(self) -> None:
        """Now and then the weather changes, and the operator changes his mind."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.5, 8))
            self.far.capacity = self.chance.choice([1, 3, 8, 1000])
            lanes = [f"{target}/{model.id}" for model, target in LANES]
            self.far.ill = {lane for lane in lanes if self.chance.random() < 0.2}
            if self.chance.random() < 0.3:
                self.limiter.resize(
                    max_running=self.chance.choice([1, 5, 20]),
                    max_waiting=self.chance.choice([0, 5, 50]),
                    queue_timeout=self.chance.choice([0.5, 5.0]),
                )
            self.check()

    async def _heal(self) -> None:
        """No more faults: whoever was there comes to an end, and then every lane serves again."""
        self.far.heal()
        self.limiter.resize(max_running=20, max_waiting=50, queue_timeout=5.0)
        _, late = await asyncio.wait(self._tasks, timeout=HEALING_S)
        demand(not late, f"{len(late)} requests have not ended {HEALING_S:g} s after the last fault")
        await asyncio.gather(*self._tasks)
        await asyncio.sleep(HEALING_S)
        for model, target in LANES:
            request = Request(10_000, [UpstreamCall(model, b"10000", {}, target=target)], 0, None, True)  # noqa: FBT003 - a record
            self.requests = [request]
            await self._ask(request, AbandonedAnswers(max_running=0, seconds=0))
            demand(
                request.end == "done", f"{target}/{model.id} ends in {request.end} long after the last fault"
            )

    async def _caller(self, number: int) -> None:
        request = self._request(number)
        self.requests.append(request)
        task = asyncio.current_task()
        assert task is not None
        timers: list[asyncio.TimerHandle] = []
        if self.chance.random() < 0.25:
            timers.append(self.loop.call_later(self.chance.expovariate(0.5), task.cancel))
        if request.expires is not None:
            timers.append(self.loop.call_at(request.expires, task.cancel))
        try:
            await self._ask(request, self.abandoned)
        except asyncio.CancelledError:
            demand(not request.end, "two ends")
            request.end = "left"
        finally:
            for timer in timers:
                timer.cancel()
            request.finished = self.loop.time()
        self._judge(request)
        self.check()

    def _request(self, number: int) -> Request:
        first = self.chance.choice(MODELS)
        lanes = [lane for lane in LANES if lane[0] is first] + [
            lane for lane in LANES if lane[0] is not first
        ]
        lanes = lanes[: self.chance.choice([1, 2, 3, 4])]
        body = str(number).encode()
        calls = [UpstreamCall(m, body, {}, target=target, fallback=m is not first) for m, target in lanes]
        now = self.loop.time()
        expires = now + self.chance.expovariate(0.3) if self.chance.random() < 0.3 else None
        return Request(number, calls, now, expires, self.chance.random() < 0.8)

    async def _ask(self, request: Request, abandoned: AbandonedAnswers) -> None:
        """Do what the server does with a request."""
        trail = Trail()
        pace = self.chance.choice([0.0, 0.0, 0.5])
        try:
            opening = OpenCompletion(
                request.calls,
                upstream=cast("Upstream", self.far),  # it formats nothing
                limiter=self.limiter,
                retries=self.retries,
                timing=Timing(),
                expires=request.expires,
                allow_fallback=request.allow_fallback,
                trail=trail,
            )
            stream = await opening.__aenter__()
            adopted = False
            try:
                await self._read(request, stream, pace)
            except asyncio.CancelledError:
                adopted = abandoned.adopt(stream, opening, self.check)
                raise
            finally:
                if not adopted:
                    await opening.aclose()
        except GatewayError as fault:
            demand(not request.end, "two ends")
            request.end = fault.code
        demand(len(trail.lanes) == len(request.attempts), "the trail tells of other attempts than were made")

    async def _read(self, request: Request, stream: CompletionStream, pace: float) -> None:
        while (batch := await stream.next_batch()) is not None:
            request.seen = True
            demand(batch, "an empty batch")
            request.text += "".join(event.text for event in batch if isinstance(event, TextDelta))
            if pace:
                await asyncio.sleep(pace * self.chance.random())
        demand(not request.end, "two ends")
        demand(stream.stop is not None, "done without the model's own end")
        request.end = "done"
        demand(await stream.next_batch() is None, "something after the end")

    # ── what must be so ───────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """Look at everything that holds at any time."""
        running, most = self.limiter.running, self.limiter.max_running
        demand(running >= 0, "a slot was released twice")
        demand(running <= max(most, self._running_before), f"{running} running, {most} allowed")
        self._running_before = running
        demand(self.far.open <= running, f"{self.far.open} open answers in {running} slots")
        demand(sum(lane.running for lane in self.limiter.lanes) == running, "lanes and slots disagree")
        demand(self.limiter.waiting <= 50, "more wait than may")
        demand(
            self.abandoned.running <= self.abandoned.max_running, "more abandoned answers than may be read"
        )

    def _on_call(self, sent: Sent) -> None:
        """Look at a call at the moment in which it is made."""
        request = next(request for request in self.requests if request.number == sent.request)
        request.attempts.append(sent)
        attempts = request.attempts
        demand(not request.seen, "sent again after the caller had seen something")
        demand(not request.end, "sent after the end")
        demand(sum(other.open for other in attempts) == 1, "two attempts of one request at once")
        demand(len(attempts) <= self.retries.max_attempts, "too many attempts")
        demand(request.expires is None or sent.at <= request.expires, "sent when the caller's time was over")
        lanes = [call.lane for call in request.calls if request.allow_fallback or call is request.calls[0]]
        demand(sent.lane in lanes, f"sent to {sent.lane}, not to one of {lanes}")
        breaker = self.retries.breakers.of(sent.lane)
        demand(breaker.state != "open", "sent through an open breaker")
        if breaker.state == "probing":
            probe = (sent.lane, breaker.era)
            self._probes[probe] = self._probes.get(probe, 0) + 1
            demand(self._probes[probe] == 1, "two probes at once")
        if len(attempts) > 1 and _is_paid(request, len(attempts) - 1):
            self._look_at_budget()
        self.check()

    def _look_at_budget(self) -> None:
        """Count again: at least what ended 9 s ago counts, at most what ended 12 s ago."""
        now = self.loop.time()

        def lately(seconds: float) -> Iterator[Request]:
            return (r for r in self.requests if r.finished is None or now - r.finished <= seconds)

        retries = sum(_paid_retries(request) for request in lately(8))
        requests = sum(1 for _ in lately(12))
        # a drained answer counts until its drain ends, its request here only until the caller left
        demand(
            retries <= max(3, 0.2 * (requests + self.abandoned.running)),
            f"{retries} retries of {requests} requests",
        )

    def _judge(self, request: Request) -> None:
        """Look at how a request ended."""
        demand(request.end, "no end")
        last = request.attempts[-1] if request.attempts else None
        self.coverage[last.fault if last is not None else "not sent", request.end] += 1
        if last is None:
            demand(not request.text, "text from nowhere")
            return
        if request.end == "left":
            demand(last.known_text.startswith(request.text), "what the caller had is not what was sent")
            return
        demand(request.text == last.known_text, f"{request.text!r} is not {last.known_text!r}")
        demand((request.end == "done") <= last.whole, "done, though the answer was not whole")
        demand(not last.open, "an answer was not given back")

    def _at_rest(self) -> None:
        """Look at what must be so when everybody has gone."""
        demand(self.limiter.running == 0, f"{self.limiter.running} slots are lost")
        demand(self.limiter.waiting == 0, "somebody waits still")
        demand(self.far.open == 0, "an answer is open still")
        demand(self.abandoned.running == 0, "somebody drains still")
        demand(all(lane.running == 0 for lane in self.limiter.lanes), "a lane has not got its slot back")
        states = self.retries.breakers.states()
        demand("probing" not in states.values(), f"a probe was never settled: {states}")
        budget = self.retries.budget
        budget.begin()
        budget.end(0)
        demand(budget.requests >= 0 and budget.retries >= 0, "the budget counts below zero")
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        demand(not left, f"tasks are left: {left}")


def simulate(seed: int, mode: Mode) -> Counter[tuple[str, str]]:
    """Run one seed; return how often each fault of the last attempt met each end.

    Raises whatever is wrong.
    """

    async def main() -> Counter[tuple[str, str]]:
        world = World(seed)
        await world.run(mode)
        return world.coverage

    return virtual_clock.run(main())
