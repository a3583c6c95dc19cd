"""Which call comes next, after which pause, and how it ends: the real pipeline over a scripted far end."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway.admission.aimd import Adaptive
from gateway.admission.queue import ConcurrencyLimiter
from gateway.catalog.model import Model
from gateway.domain import FinishReason, Stop, TextDelta
from gateway.errors import (
    GatewayError,
    InvalidRequest,
    Overloaded,
    UnknownModel,
    UpstreamDenied,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.pipeline import OpenCompletion
from gateway.retries.attempts import Retries
from gateway.retries.breaker import BreakerRules
from gateway.retries.budget import BudgetRules
from gateway.retries.trail import Trail
from gateway.timing import Timing
from gateway.upstream import UpstreamCall
from tests import virtual_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from gateway.upstream import Upstream

PRIMARY = Model(id="one", base_id="one", provider="p", native_family=None, api="converse")
OTHER = Model(id="two", base_id="two", provider="p", native_family=None, api="converse")
A = UpstreamCall(PRIMARY, b"", {}, target="a")
B = UpstreamCall(PRIMARY, b"", {}, target="b")
C = UpstreamCall(PRIMARY, b"", {}, target="c")
F = UpstreamCall(OTHER, b"", {}, target="a", fallback=True)
NAMES = {call.lane: name for name, call in (("A", A), ("B", B), ("C", C), ("F", F))}

Fault = GatewayError | None


class Answer:
    """An answer of two reads: text, and the end. Or a fault as the first thing that comes."""

    unknown: frozenset[str] = frozenset()
    at_end = False
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, request_id: str, fault: Fault) -> None:
        self.request_id = request_id
        self.reader = self
        self._reads = deque([b"text", b""])
        self._fault = fault

    async def read(self) -> bytes:
        """Give the next read."""
        return self._reads.popleft()

    async def forward(self, take: Callable[[bytes], bool]) -> None:
        """Push nothing."""

    def feed(self, _data: bytes, events: list[Any]) -> None:
        """Append a text."""
        if self._fault is not None:
            raise self._fault
        events.append(TextDelta("text"))

    def close(self, events: list[Any]) -> None:
        """Append the end."""
        events.append(Stop(FinishReason.STOP, "end"))


class Script:
    """Each call takes 1 s and then meets what its target's script says; without one it is answered."""

    def __init__(self, **faults: list[Fault]) -> None:
        self.faults = {name: deque(script) for name, script in faults.items()}
        self.after_the_head = False
        self.sent: list[tuple[str, float]] = []

    @property
    def order(self) -> str:
        """The calls that came, by their names."""
        return "".join(name for name, _ in self.sent)

    @asynccontextmanager
    async def invoke_stream(self, call: UpstreamCall) -> AsyncIterator[Answer]:
        """Answer this call."""
        name = NAMES[call.lane]
        self.sent.append((name, asyncio.get_running_loop().time()))
        script = self.faults.get(name)
        fault = script.popleft() if script else None
        await asyncio.sleep(1)
        if fault is not None and not self.after_the_head:
            raise fault
        yield Answer(f"id-{len(self.sent)}", fault)


class Set:
    """What the requests of one test share."""

    def __init__(self, script: Script, **rules: Any) -> None:
        self.script = script
        self.dice = 1.0
        self.limiter = ConcurrencyLimiter(
            max_running=100, max_waiting=100, queue_timeout=5, adaptive=rules.pop("adaptive", None)
        )
        self.retries = Retries(clock=asyncio.get_running_loop().time, random=lambda: self.dice, **rules)
        self.trail = Trail()
        self.timing = Timing()

    async def ask(self, *calls: UpstreamCall, **options: Any) -> str:
        """Ask one request; return the id of the answer, or raise."""
        self.trail, self.timing = Trail(), Timing()
        async with OpenCompletion(
            calls,
            upstream=cast("Upstream", self.script),
            limiter=self.limiter,
            retries=self.retries,
            timing=self.timing,
            trail=self.trail,
            **options,
        ) as stream:
            while await stream.next_batch() is not None:
                pass
            assert stream.model is (OTHER if self.trail.lanes[-1] == F.lane else PRIMARY)
            return str(stream.upstream_request_id)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in virtual time."""
    virtual_clock.run(main())


def fault(kind: type[GatewayError], code: str | None = None) -> GatewayError:
    """Return a failure."""
    return kind(kind.__name__, upstream_code=code)


THROTTLED, DENIED, INVALID = UpstreamThrottled, UpstreamDenied, InvalidRequest
UNAVAILABLE, TIMEOUT, FAILED = UpstreamUnavailable, UpstreamTimeout, UpstreamFailed

# the calls there are; what each meets; in which order they are sent; the failure that is told, if one is
ROUTES: list[tuple[str, dict[str, list[type[GatewayError] | None]], str, type[GatewayError] | None]] = [
    ("A", {}, "A", None),
    ("A", {"A": [THROTTLED]}, "AA", None),
    ("A", {"A": [THROTTLED] * 3}, "AAA", THROTTLED),
    ("AB", {"A": [THROTTLED]}, "AB", None),
    ("AB", {"A": [UNAVAILABLE], "B": [UNAVAILABLE]}, "ABA", None),
    ("ABC", {"A": [UNAVAILABLE], "B": [FAILED]}, "ABC", None),
    ("AB", {"A": [DENIED]}, "AB", None),
    ("AB", {"A": [DENIED], "B": [DENIED]}, "AB", DENIED),
    ("AB", {"A": [DENIED], "B": [THROTTLED]}, "ABB", None),
    ("AB", {"A": [THROTTLED], "B": [DENIED]}, "ABA", None),
    ("AB", {"A": [UnknownModel]}, "AB", None),
    ("AB", {"A": [TIMEOUT]}, "A", TIMEOUT),
    ("AB", {"A": [INVALID]}, "A", INVALID),
    ("ABF", {"A": [INVALID]}, "A", INVALID),
    ("AF", {"A": [TIMEOUT]}, "AF", None),
    ("AF", {"A": [THROTTLED, THROTTLED]}, "AAF", None),
    ("ABF", {"A": [THROTTLED], "B": [THROTTLED]}, "ABF", None),
    ("ABCF", {"A": [THROTTLED], "B": [THROTTLED], "C": [THROTTLED]}, "ABC", THROTTLED),
    ("AF", {"A": [DENIED]}, "A", DENIED),
    ("AF", {"A": [UNAVAILABLE, UNAVAILABLE], "F": [INVALID]}, "AAF", UNAVAILABLE),
    ("AF", {"A": [TIMEOUT], "F": [THROTTLED]}, "AFF", None),
    ("AF", {"A": [TIMEOUT], "F": [DENIED]}, "AF", TIMEOUT),
]


@pytest.mark.parametrize(("calls", "faults", "order", "told"), ROUTES)
def test_routes(
    calls: str,
    faults: dict[str, list[type[GatewayError] | None]],
    order: str,
    told: type[GatewayError] | None,
) -> None:
    """Other targets first, then the same again, then the fallback model, which has the last attempt."""

    async def main() -> None:
        scripts = {name: [None if k is None else fault(k) for k in kinds] for name, kinds in faults.items()}
        script = Script(**scripts)
        setting = Set(script)
        asked = setting.ask(*({"A": A, "B": B, "C": C, "F": F}[name] for name in calls))
        if told is None:
            assert await asked == f"id-{len(order)}"
        else:
            with pytest.raises(told, match=told.__name__):
                await asked
        assert script.order == order
        facts = setting.trail.facts()
        assert facts["attempts"] == len(order)
        assert facts["target"] == {"A": "a", "B": "b", "C": "c", "F": "a"}[order[-1]]
        met = [(faults.get(name, []) + [None] * 3)[order[:n].count(name)] for n, name in enumerate(order)]
        free = sum(
            kind in {DENIED, UnknownModel} and later not in f"{order[: n + 1]}F"
            for n, (kind, later) in enumerate(zip(met, order[1:], strict=False))
        )
        assert (setting.limiter.running, setting.retries.budget.retries) == (0, len(order) - 1 - free)

    run(main)


def test_after_the_head() -> None:
    """What breaks in the answer is not sent again; a frame that says that nothing was generated is."""

    async def main() -> None:
        script = Script(A=[fault(UpstreamProtocolError)])
        script.after_the_head = True
        setting = Set(script)
        with pytest.raises(UpstreamProtocolError):
            await setting.ask(A, B, F)
        assert (script.order, setting.timing.phase) == ("A", "stream")

        script.faults["A"] = deque([fault(THROTTLED, "ThrottlingException")])
        assert await setting.ask(A) == "id-3"
        assert script.order == "AAA"
        assert setting.timing.phase == "end"

    run(main)


def test_phase_of_the_last_attempt() -> None:
    """An attempt that got as far as its body says nothing about the next, which got no head."""

    async def main() -> None:
        script = Script(A=[fault(THROTTLED, "ThrottlingException")])

        class Mixed(Script):
            @asynccontextmanager
            async def invoke_stream(self, call: UpstreamCall) -> AsyncIterator[Answer]:
                script.after_the_head = not script.sent
                async with script.invoke_stream(call) as answer:
                    yield answer

        script.faults["A"].append(fault(INVALID))
        setting = Set(Mixed())
        with pytest.raises(InvalidRequest):
            await setting.ask(A)
        assert (script.order, setting.timing.phase) == ("AA", "head")

    run(main)


def test_pauses() -> None:
    """None before another target; before the same again jitter that doubles, on top of what was asked."""

    async def main() -> None:
        slow = fault(THROTTLED)
        slow.pause_s = 3.0
        script = Script(A=[fault(THROTTLED), slow, fault(THROTTLED)], B=[fault(THROTTLED)])
        await Set(script, max_attempts=9, budget=BudgetRules(least=9)).ask(A, B)
        assert script.order == "ABAAA"
        assert [at for _, at in script.sent] == pytest.approx([0.0, 1.0, 2.1, 6.3, 7.7])

    run(main)


def test_patience() -> None:
    """A pause that would outlive the caller is not begun, another target is still asked."""

    async def main() -> None:
        script = Script(A=[fault(THROTTLED)] * 2)
        setting = Set(script)
        with pytest.raises(UpstreamThrottled):
            await setting.ask(A, expires=1.05)
        assert await setting.ask(A, B, expires=asyncio.get_running_loop().time() + 1.05) == "id-3"
        assert script.order == "AAB"

        long = fault(THROTTLED)
        long.pause_s = 11.0
        script.faults["A"] = deque([long])
        with pytest.raises(UpstreamThrottled):
            await setting.ask(A)
        assert script.order == "AABA"

    run(main)


def test_no_fallback() -> None:
    """Only the first target and model; the same call may still be tried again."""

    async def main() -> None:
        script = Script(A=[fault(THROTTLED), fault(DENIED)])
        with pytest.raises(UpstreamThrottled):
            await Set(script).ask(A, B, F, allow_fallback=False)
        assert script.order == "AA"

    run(main)


def test_off() -> None:
    """One attempt means no second chance of any kind."""

    async def main() -> None:
        script = Script(A=[fault(THROTTLED)])
        with pytest.raises(UpstreamThrottled):
            await Set(script, max_attempts=1).ask(A, B, F)
        assert script.order == "A"

    run(main)


async def _open(setting: Set, call: UpstreamCall) -> None:
    breaker = setting.retries.breakers.of(call.lane)
    while breaker.would_let():
        breaker.failed(breaker.era)


def test_open_breakers() -> None:
    """Open targets are passed over; a fallback model stands in for all; without one no call is made."""

    async def main() -> None:
        script = Script(B=[fault(UNAVAILABLE)])
        setting = Set(script)
        await _open(setting, A)
        assert await setting.ask(A, B, F) == "id-2"
        assert script.order == "BB"
        await _open(setting, B)
        await setting.ask(A, B, F)
        assert script.order == "BBF"
        with pytest.raises(UpstreamUnavailable, match=r"one has failed .* \(targets: a, b\)") as refused:
            await setting.ask(A, B)
        assert refused.value.retry_after == 1
        assert setting.trail.facts() == {}
        with pytest.raises(UpstreamUnavailable):
            await setting.ask(A, F, allow_fallback=False)
        assert script.order == "BBF"

    run(main)


def test_opened_while_the_request_waited() -> None:
    """Whoever gets a slot when every breaker has just opened makes no call either."""

    async def main() -> None:
        script = Script()
        setting = Set(script)
        setting.limiter.resize(max_running=1, max_waiting=9, queue_timeout=9)
        slot = await setting.limiter.acquire()
        asked = asyncio.ensure_future(setting.ask(A))
        await asyncio.sleep(0.1)
        await _open(setting, A)
        slot.release()
        with pytest.raises(UpstreamUnavailable, match="circuit breaker"):
            await asked
        assert (script.order, setting.limiter.running) == ("", 0)

    run(main)


def test_opened_during_the_pause() -> None:
    """A breaker that opens while a retry waits stops it, and the failure that is told is the call's own."""

    async def main() -> None:
        script = Script(A=[fault(THROTTLED)])
        setting = Set(script)
        asked = asyncio.ensure_future(setting.ask(A))
        await asyncio.sleep(1.05)
        await _open(setting, A)
        with pytest.raises(UpstreamThrottled):
            await asked
        assert script.order == "A"

    run(main)


def test_a_probe_whose_caller_leaves() -> None:
    """It decides nothing: the next request is the probe."""

    async def main() -> None:
        script = Script()
        setting = Set(script)
        await _open(setting, A)
        await asyncio.sleep(5)
        asked = asyncio.ensure_future(setting.ask(A))
        await asyncio.sleep(0.5)
        with pytest.raises(UpstreamUnavailable):
            await setting.ask(A)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert setting.retries.breakers.states() == {A.lane: "open"}
        await setting.ask(A)
        assert setting.retries.breakers.states() == {A.lane: "closed"}

    run(main)


def test_the_limit_learns() -> None:
    """A throttle lowers the lane's limit at once; a lane without room is passed over at failover."""

    async def main() -> None:
        script = Script(A=[fault(THROTTLED)])
        setting = Set(script, adaptive=Adaptive())
        with await setting.limiter.acquire([B.lane]) as slot:
            slot.throttled()  # one at a time from now on
            await setting.ask(A, B)
            assert script.order == "AA"
            limits = {lane.name: lane.limit for lane in setting.limiter.lanes}
            assert limits[A.lane] is not None
        script.faults["A"] = deque([fault(THROTTLED)])
        await setting.ask(A, B)
        assert script.order == "AAAB"

    run(main)


def test_nothing_is_sent_again_for_what_never_was_sent() -> None:
    """The queue's own refusals are final."""

    async def main() -> None:
        setting = Set(Script())
        setting.limiter.resize(max_running=1, max_waiting=0, queue_timeout=1)
        with await setting.limiter.acquire(), pytest.raises(Overloaded):
            await setting.ask(A, B)
        assert setting.script.order == ""

    run(main)


def test_all_fail() -> None:
    """When every call fails, retries add at most a fifth, and soon hardly anything is sent (R40)."""

    async def main() -> None:
        chance = random.Random(1)  # noqa: S311 - arrivals, the same in every run
        script = Script(A=[fault(UNAVAILABLE) for _ in range(10_000)])
        setting = Set(script, budget=BudgetRules(), breaker=BreakerRules())
        ends: list[object] = []

        async def caller() -> None:
            try:
                await setting.ask(A)
            except GatewayError as error:
                ends.append(type(error))

        def share() -> float:
            return len(script.sent) / len(callers)

        callers = []
        for _ in range(60):
            callers.append(asyncio.ensure_future(caller()))
            await asyncio.sleep(chance.expovariate(50))
        assert share() <= 1.2
        for _ in range(3_000):
            callers.append(asyncio.ensure_future(caller()))
            await asyncio.sleep(chance.expovariate(50))
        await asyncio.gather(*callers)
        assert share() < 0.2
        assert set(ends) == {UpstreamUnavailable}

    run(main)


@pytest.mark.parametrize("kind", [THROTTLED])
def test_all_throttled(kind: type[GatewayError]) -> None:
    """Throttles open no breaker; the budget holds for them all the same."""

    async def main() -> None:
        script = Script(A=[fault(kind) for _ in range(10_000)])
        setting = Set(script)
        callers = []
        for _ in range(1_000):
            callers.append(asyncio.ensure_future(setting.ask(A)))
            await asyncio.sleep(0.02)
        ends = await asyncio.gather(*callers, return_exceptions=True)
        assert {type(end) for end in ends} == {kind}
        assert len(script.sent) <= 1_203
        assert setting.retries.breakers.states() == {A.lane: "closed"}

    run(main)
