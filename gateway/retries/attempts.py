"""The attempts of one request: all that happens before its caller could have seen the first byte."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from gateway.errors import UpstreamThrottled, UpstreamUnavailable
from gateway.retries.backoff import Backoff
from gateway.retries.breaker import BreakerRules, Breakers
from gateway.retries.budget import BudgetRules, RetryBudget
from gateway.retries.policy import MODEL, SAME, TARGET, chances, most_telling, speaks_against, took_no_work
from gateway.retries.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from gateway.admission.slots import Slot
    from gateway.catalog.model import Model
    from gateway.errors import GatewayError
    from gateway.retries.breaker import Breaker, State
    from gateway.retries.policy import Again


class Call(Protocol):
    """What is to be sent: a completion's call or an embedding's."""

    @property
    def model(self) -> Model:
        """The model that it asks."""

    @property
    def target(self) -> str:
        """Where it is sent."""

    @property
    def lane(self) -> str:
        """Target and model in one."""

    @property
    def fallback(self) -> bool:
        """Whether it asks another model than the caller did."""


C = TypeVar("C", bound=Call)


class Retries:
    """What all requests of the process share: the budget of retries and the circuit breakers.

    `max_attempts`: calls for one request, the first included; 1: no second chances. `random` gives numbers
    from 0 to 1.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        max_attempts: int = 3,
        backoff: Backoff | None = None,
        budget: BudgetRules | None = None,
        breaker: BreakerRules | None = None,
        tell: Callable[[str, State], None] = lambda _lane, _state: None,
    ) -> None:
        """Make them; `tell` is called with the lane and the new state of a breaker that changes."""
        self.clock = clock
        self.random = random
        self.max_attempts = max_attempts
        self.backoff = backoff or Backoff()
        self.budget = RetryBudget(budget or BudgetRules(), clock)
        self.breakers = Breakers(breaker or BreakerRules(), clock, random, tell)

    def attempts(
        self,
        calls: Sequence[C],
        *,
        expires: float | None = None,
        allow_fallback: bool = True,
        trail: Trail | None = None,
    ) -> Attempts[C]:
        """Return the attempts of one request, which may send these calls, the best first.

        Not beyond `expires`, by the clock; without `allow_fallback` the first of them and nothing else.
        """
        return Attempts(self, calls if allow_fallback else calls[:1], expires, trail or Trail())


class Attempts(Generic[C]):
    """The attempts of one request: a context manager around them, and `call` is what is to be sent now.

    `begin` with the slot, then for each attempt `answered`, and `succeeded` or `failed`: the last call of all
    is `succeeded`, for from then on the caller may see something.
    """

    __slots__ = ("_answered", "_backoffs", "_breaker", "_calls", "_era", "_expires", "_retries", "_sent",
                 "_slot", "_taken", "_useless", "call", "trail")  # fmt: skip

    def __init__(self, retries: Retries, calls: Sequence[C], expires: float | None, trail: Trail) -> None:
        self._retries = retries
        self._calls = calls
        self._expires = expires
        self.trail = trail
        self.call = calls[0]
        self._taken = 0
        self._backoffs = 0
        self._useless: list[str] = []
        self._answered = False
        self._sent = 0.0
        self._era: int | None = None
        self._breaker: Breaker
        self._slot: Slot

    def __enter__(self) -> Self:
        self._retries.budget.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._retries.budget.end(self._taken)
        if self._era is not None:  # cancelled: it tells nothing of the target
            self._breaker.abandoned(self._era)

    def lanes(self) -> list[str]:
        """Return the lanes to ask a slot for: a fallback model's only where no other target is open.

        Raises:
            UpstreamUnavailable: every circuit breaker is open.
        """
        lets = self._retries.breakers.would_let
        wanted: list[str] = []
        fallbacks: list[str] = []
        for call in self._calls:
            if lets(lane := call.lane):
                (fallbacks if call.fallback else wanted).append(lane)
        if not wanted and not fallbacks:
            raise self._all_open()
        return wanted or fallbacks

    def begin(self, slot: Slot) -> None:
        """Choose the first call: the slot's lane says which.

        Raises:
            UpstreamUnavailable: every circuit breaker has opened while the request waited for the slot.
        """
        self._slot, mine = slot, slot.lane
        for call in self._calls:
            if call.lane == mine and self._go(call, mine):
                return
        if not any(map(self._go, self._calls)):
            raise self._all_open()

    def answered(self) -> None:
        """The head of the answer has come."""
        self._answered = True

    def succeeded(self) -> None:
        """The first events have come: whatever happens now, nothing is sent again."""
        self.trail.answered = True
        if self._era is not None:
            self._breaker.succeeded(self._era)
            self._era = None
        self._slot.succeeded(self._retries.clock() - self._sent)

    async def failed(self, fault: GatewayError) -> None:
        """Find the next call, and wait until it may be sent.

        Raises:
            GatewayError: there is none; it is the failure that says most of all attempts.
        """
        self._note(fault)
        if len(self.trail.lanes) < self._retries.max_attempts and not self.trail.given_up:
            paid = False
            for calls, pause in [plan for plan in self._plans(fault) if self._is_possible(*plan)]:
                if not self._costs_nobody(fault, calls):
                    paid = paid or self._take()
                    if not paid:
                        break
                if pause:
                    self._backoffs += 1
                    await asyncio.sleep(pause)
                if any(self._go(call) for call in calls):
                    return
        raise most_telling(self.trail.faults, fallback=self.call.fallback)

    def _note(self, fault: GatewayError) -> None:
        self.trail.faults.append(fault)
        if isinstance(fault, UpstreamThrottled):
            self._slot.throttled()
        if self._era is not None:
            if speaks_against(fault):
                self._breaker.failed(self._era, unsent=fault.unsent)
            else:
                self._breaker.abandoned(self._era)
            self._era = None

    def _plans(self, fault: GatewayError) -> Iterator[tuple[list[C], float]]:
        """Yield what may be sent next, the best first, and after which pause.

        Another target of the model at once; the same again after a pause, unless a fallback model would
        then never have its turn; a fallback model.
        """
        allowed, tried = chances(fault, answered=self._answered), self.trail.lanes
        if SAME not in allowed:
            self._useless.append(self.call.lane)
        mine = [call for call in self._calls if _same_model(call, self.call)]
        if TARGET in allowed:
            yield [call for call in mine if call.lane not in tried], 0.0
        others = self._fallbacks(allowed)
        if len(tried) + 1 == self._retries.max_attempts:
            yield others, 0.0
        if allowed & (SAME | TARGET):
            again = [call for call in mine if call.lane in tried and call.lane not in self._useless]
            yield again, self._retries.backoff.pause(self._backoffs, fault.pause_s, self._retries.random)
        yield others, 0.0

    def _fallbacks(self, allowed: Again) -> list[C]:
        if MODEL not in allowed:
            return []
        return [call for call in self._calls if call.fallback and call.lane not in self.trail.lanes]

    def _is_possible(self, calls: list[C], pause: float) -> bool:
        if not any(self._retries.breakers.would_let(call.lane) for call in calls):
            return False
        in_time = self._expires is None or self._retries.clock() + pause < self._expires
        return in_time and pause <= self._retries.backoff.longest_pause

    def _costs_nobody(self, fault: GatewayError, calls: list[C]) -> bool:
        """Say whether a retry needs no budget: what was no work yet goes to another target, once for each.

        Nobody has more work by it than one call. When a target dies, or its credentials do, every request is
        one of these, and a budget would let four fifths of them fail beside a target that is well.
        """
        tried = self.trail.lanes
        return took_no_work(fault) and not any(call.fallback or call.lane in tried for call in calls)

    def _take(self) -> bool:
        taken = self._retries.budget.take()
        self._taken += taken
        return taken

    def _go(self, call: C, inside: str | None = None) -> bool:
        """Make this the call to be sent, if its breaker lets it and its lane has room.

        `inside`: its lane, which the slot is in already.
        """
        lane = call.lane if inside is None else inside
        breaker = self._retries.breakers.of(lane)
        era = breaker.enter()
        if era is None:
            return False
        if inside is None and self._slot.lane != lane and not self._slot.move(lane):
            breaker.abandoned(era)
            return False
        self.call, self._breaker, self._era = call, breaker, era
        self._answered = False
        self._sent = self._retries.clock()
        self.trail.lanes.append(lane)
        return True

    def _all_open(self) -> UpstreamUnavailable:
        breakers = self._retries.breakers
        wait = max(1, math.ceil(min(breakers.opens_in(call.lane) for call in self._calls)))
        targets = ", ".join(dict.fromkeys(call.target for call in self._calls))
        return UpstreamUnavailable(
            f"{self._calls[0].model.id} has failed too often of late: its circuit breaker is open for "
            f"{wait} s more (targets: {targets}).",
            retry_after=wait,
        )


def _same_model(one: Call, other: Call) -> bool:
    """Say whether both ask the same model, which may have another id at each target."""
    same = not one.fallback or one.model.base_id == other.model.base_id
    return same and one.fallback == other.fallback
