"""What a ledger holds for one request, from its admission to the end of its slot."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from gateway.admission.demand import Used, micro_dollars
from gateway.admission.quotas import MICRO, MINUTE, UNCOUNTED, Amounts, of_caller, of_lane, renewed_in
from gateway.domain import Usage
from gateway.errors import BudgetExhausted, InvalidRequest, RateLimited
from gateway.ledger.charges import Granted, Order, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.admission.demand import Demand, Ticket
    from gateway.admission.lanes import Lane
    from gateway.admission.quotas import Counted
    from gateway.errors import GatewayError
    from gateway.ledger.charges import Charge, Grant, Ledger

_SETTINGS: Final = {
    "requests": "requests_per_minute", "streams": "max_streams", "tokens": "tokens_per_minute",
    "day": "budget_usd_per_day", "month": "budget_usd_per_month",
}  # fmt: skip
_AWAY: Final = " Redis is away: until it is back, this replica gives out at most its share of that."


def utc_now() -> datetime:
    """Return the time by which days and months are told."""
    return datetime.now(UTC)


class Reservation:
    """What one request has reserved: of its caller's limits, and of a lane's quota; both or one at a time.

    `today` gives the time in UTC. What was reserved is settled once.
    """

    __slots__ = (
        "_by_caller", "_by_lane", "_clock", "_ledger", "_of_caller", "_of_lane", "_today",
        "caller_is_counted", "lane", "ticket", "used",
    )  # fmt: skip

    def __init__(
        self,
        ledger: Ledger,
        ticket: Ticket,
        clock: Callable[[], float],
        today: Callable[[], datetime],
    ) -> None:
        self.ticket = ticket
        self.caller_is_counted = ticket.caller.rules.counted
        self.lane: Lane | None = None
        self.used: Used | None = None
        self._ledger = ledger
        self._clock = clock
        self._today = today
        self._by_caller: Grant | None = None
        self._by_lane: Grant | None = None
        self._of_caller: Counted = UNCOUNTED
        self._of_lane: Counted = UNCOUNTED

    @property
    def lacks_caller(self) -> bool:
        """Whether the caller's limits count and have not been asked yet."""
        return self.caller_is_counted and self._by_caller is None

    def fitting(self, lanes: Sequence[Lane]) -> Sequence[Lane]:
        """Return those of these lanes whose quota is ever large enough; all, where none is."""
        if len(lanes) == 1:
            return lanes
        found = [lane for lane in lanes if not _too_small(self._charges_of_lane(lane))]
        return found or lanes

    async def of_caller(self, lane: Lane) -> None:
        """Reserve of the caller's limits alone, before a wait for this lane or another.

        Raises:
            RateLimited, BudgetExhausted, InvalidRequest: a limit has no room for it; it says which, and when.
        """
        counted = self._charges_of_caller(lane)
        verdict = await self._ledger.reserve(Order(self.ticket.caller.name, counted.charges))
        if isinstance(verdict, Refused):
            raise self._refusal(verdict, counted)
        if isinstance(verdict, Granted):
            self._by_caller, self._of_caller = verdict.grant, counted

    async def of_lanes(self, lanes: Sequence[Lane]) -> float:
        """Reserve of the first of these lanes that has what it takes, and of the caller where that lacks.

        `lane` is which one it was. Returns 0.0; else the seconds until one of them may have it.

        Raises:
            RateLimited, BudgetExhausted, InvalidRequest: as `of_caller`, or no lane ever has so much.
        """
        caller = self._charges_of_caller(lanes[0]) if self.lacks_caller else UNCOUNTED
        counted = [self._charges_of_lane(lane) for lane in lanes]
        if not caller.charges and not counted[0].charges and self._by_caller is not None:
            self._enter(lanes[0])  # all that counts has been reserved
            return 0.0
        order = Order(self.ticket.caller.name, caller.charges, tuple([each.charges for each in counted]))
        verdict = await self._ledger.reserve(order)
        if isinstance(verdict, Granted):
            self._by_lane, self._of_lane = verdict.grant, counted[verdict.alternative]
            if caller.charges:
                self._by_caller, self._of_caller = verdict.grant, caller
            self._enter(lanes[verdict.alternative])
            return 0.0
        if isinstance(verdict, Refused):
            raise self._refusal(verdict, caller)
        if verdict.wait_s == math.inf:
            raise _never_fits(counted, self._param)
        return max(verdict.wait_s, 0.001)

    def move(self, lane: Lane) -> None:
        """Charge another lane in place of the one it is in: the call goes there, whatever there is left."""
        counted = self._charges_of_lane(lane)
        self._leave(self._reserved_tokens())
        grant = self._by_lane or self._by_caller
        if grant is not None:
            moved = self._ledger.move(grant, counted.charges)
            if self._by_caller is grant:
                self._by_caller = moved
            self._by_lane, self._of_lane = moved, counted
        self._enter(lane)

    def settle(self) -> None:
        """Put what was used in the place of what was reserved; if nobody said what, then nothing was."""
        amounts, in_lane = self._amounts(self.used)
        caller, lane, self._by_caller, self._by_lane = self._by_caller, self._by_lane, None, None
        self._leave(in_lane.tokens)
        of_caller, of_lane = amounts.of(self._of_caller.measures), in_lane.of(self._of_lane.measures)
        if lane is not None and caller is lane:
            self._ledger.settle(lane, of_caller, of_lane)
            return
        if caller is not None:
            self._ledger.settle(caller, of_caller, ())
        if lane is not None:
            self._ledger.settle(lane, (), of_lane)

    # ── from demand to charges ────────────────────────────────────────────────────────────────────────

    def _demand(self, lane: Lane) -> Demand:
        return lane.corrected(self.ticket.demand(self.ticket.call_in(lane.name)))

    def _charges_of_caller(self, lane: Lane) -> Counted:
        return of_caller(self.ticket.caller, self._demand(lane), self._today())

    def _charges_of_lane(self, lane: Lane) -> Counted:
        if lane.quota is None or lane.name is None:
            return UNCOUNTED
        return of_lane(lane.quota, lane.name, self._demand(lane))

    def _enter(self, lane: Lane) -> None:
        self.lane = lane
        lane.reserved(self._reserved_tokens(), self._clock())

    def _leave(self, tokens: int) -> None:
        if self.lane is not None:
            self.lane.settled(tokens, self._reserved_tokens(), self._clock())

    def _reserved_tokens(self) -> int:
        for charge, measure in zip(*self._of_lane, strict=True):
            if measure == "tokens":
                return charge.amount
        return 0

    # ── from use to amounts ───────────────────────────────────────────────────────────────────────────

    def _amounts(self, used: Used | None) -> tuple[Amounts, Amounts]:
        """Return what the caller took, and what it took of the lane's quota."""
        call = self.ticket.call_in(None if self.lane is None else self.lane.name)
        demand = self.ticket.demand(call)
        if used is None:
            return Amounts(1, 0, 0), Amounts(demand.calls, 0, 0)
        lane = self.lane
        read = used.input_tokens
        if read is None:  # Bedrock has not told yet: it has read the prompt all the same
            read = demand.input_tokens if lane is None else lane.corrected(demand).input_tokens
        written, fresh = used.output_tokens or 0, read + (used.cache_write or 0)
        burndown = call.model.output_burndown
        if lane is not None:
            if used.whole and used.input_tokens is not None:
                lane.learn(demand, fresh + (used.cache_read or 0), written)
            if lane.quota is not None and lane.quota.output_burndown is not None:
                burndown = lane.quota.output_burndown
        cost = used.cost_usd
        if cost is None:
            cost = call.model.cost_usd(Usage(read, written, used.cache_read, used.cache_write))
        return (
            Amounts(1, fresh + written, micro_dollars(cost)),
            Amounts(demand.calls, fresh + written * burndown, 0),
        )

    # ── refusals ──────────────────────────────────────────────────────────────────────────────────────

    def _refusal(self, refused: Refused, counted: Counted) -> GatewayError:
        """Return what the caller is told: which of its limits, how much of it, and when to come again."""
        measure = counted.measures[counted.charges.index(refused.charge)]
        if measure in ("day", "month"):
            error = self._exhausted(refused.charge, measure)
        else:
            error = self._limited(refused, measure)
        error.limit = _SETTINGS[measure]
        return error

    def _limited(self, refused: Refused, measure: str) -> GatewayError:
        (charge, wait), name = refused, self.ticket.caller.name
        retry_after = None if wait == math.inf else max(1, math.ceil(wait))
        if measure == "tokens" and wait == math.inf:
            return InvalidRequest(
                f"This request may use up to {charge.amount:,} tokens, and caller '{name}' may use "
                f"{charge.limit:,} a minute (tokens_per_minute): ask for less.",
                param=self._param,
            )
        said = {
            "requests": f"may send {_requests(charge.limit)} a minute (requests_per_minute), and has",
            "streams": f"may have {_requests(charge.limit)} at a time (max_streams), and has",
            "tokens": f"may use {charge.limit:,} tokens a minute (tokens_per_minute); this request needs up "
            f"to {charge.amount:,}{self._left(refused)}",
        }[measure]
        return RateLimited(
            f"Caller '{name}' {said}.{self._away} Come again in {retry_after} s.", retry_after=retry_after
        )

    def _left(self, refused: Refused) -> str:
        """Say how much of a bucket is left, by the time that the rest takes to come."""
        charge, wait = refused
        if self._away:  # a share fills more slowly, and its size is not known here
            return ", and fewer are left"
        return f", and {max(0, charge.amount - math.ceil(wait * charge.limit / charge.period_s)):,} are left"

    @property
    def _away(self) -> str:
        return _AWAY if self._ledger.state == "degraded" else ""

    @property
    def _param(self) -> str:
        """The field that makes a request large."""
        return "input" if self.ticket.vectors else "max_tokens"

    def _exhausted(self, charge: Charge, period: Literal["day", "month"]) -> GatewayError:
        budget = (
            f"The budget of caller '{self.ticket.caller.name}' is {_usd(charge.limit)} USD a {period} "
            f"({_SETTINGS[period]})"
        )
        cost = f"this request, which may cost up to {_usd(charge.amount)} USD"
        if charge.amount > charge.limit:
            return InvalidRequest(f"{budget}, less than {cost}: ask for less.", param=self._param)
        seconds = renewed_in(period, self._today())
        return BudgetExhausted(
            f"{budget} and has no room for {cost}.{self._away} The {period} ends in "
            f"{math.ceil(seconds)} s (UTC).",
            retry_after=math.ceil(seconds),
        )


def _too_small(counted: Counted) -> bool:
    return any(charge.amount > charge.limit for charge in counted.charges)


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count:,} requests"


def _usd(micro: int) -> str:
    return f"{micro / MICRO:,.6f}".rstrip("0").rstrip(".")


def _never_fits(counted: Sequence[Counted], param: str) -> InvalidRequest:
    # by what was asked, not by the lanes: their quotas may have been reloaded since
    charge = next(it for each in counted for it in each.charges if it.amount > it.limit)
    minute = charge.period_s <= MINUTE
    return InvalidRequest(
        f"This request may use up to {charge.amount:,} tokens, and Bedrock's quota for this model is "
        f"{charge.limit:,} {'a minute' if minute else 'a day'} here: ask for less.",
        param=param,
    )
