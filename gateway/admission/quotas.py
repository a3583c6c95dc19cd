"""What Bedrock gives a lane, and what callers have of their own, as charges of the ledger.

Bedrock's formula: at its start a request takes the tokens of its input (those read from the cache too) and
`max_tokens`; at its end fresh input, what was written to the cache, and output times the model's burndown.
(AWS, "How tokens are counted in Amazon Bedrock".) AWS tells no shape of its minute: a bucket that fills up
continuously admits in no minute more than twice the quota, and no more than the quota on the whole.
"""

from __future__ import annotations

from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from gateway.ledger.charges import Charge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from gateway.admission.caller import Caller
    from gateway.admission.demand import Demand

MINUTE: Final = 60.0
DAY: Final = 86_400.0
_ON_THE_WAY_S: Final = 0.5
"""Seconds that a call may take to Bedrock, connection and all."""
MICRO: Final = 1_000_000
_KEPT: Final = {"day": 2 * DAY, "month": 33 * DAY}
"""How long a budget's counter is kept from when it was last added to: beyond the end of its period."""

THOUSAND: Final = 1_000

Measure: TypeAlias = Literal["requests", "streams", "tokens", "calls", "day", "month"]
"""What a charge counts: requests · requests at a time · tokens · thousandths of calls to Bedrock, so that a
part of one can be kept free · micro-dollars of the day, of the month."""


class Quota(NamedTuple):
    """What Bedrock gives one model at one target; None: no such quota, or none that is known.

    `output_burndown`: None for the model's own.
    """

    tokens_per_minute: int | None = None
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None
    output_burndown: int | None = None


class QuotaRule(NamedTuple):
    """The quota of each model whose id, as it is called, fits `pattern`, at targets that fit `targets`."""

    pattern: str
    targets: tuple[str, ...]
    quota: Quota


class Quotas:
    """The quotas that are known. The first rule that fits counts; each lane has all of it to itself."""

    def __init__(self, rules: Iterable[QuotaRule] = ()) -> None:
        self._rules = tuple(rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def of(self, lane: str) -> Quota | None:
        """Return the quota of a lane, None where none is known."""
        target, _, model = lane.partition("/")
        for rule in self._rules:
            if fnmatchcase(model, rule.pattern) and any(fnmatchcase(target, name) for name in rule.targets):
                return rule.quota
        return None


class Counted(NamedTuple):
    """Charges, and what each of them counts."""

    charges: tuple[Charge, ...]
    measures: tuple[Measure, ...]


UNCOUNTED: Final = Counted((), ())


class Amounts(NamedTuple):
    """What a request took, by what is counted; tokens as they count here."""

    requests: int
    tokens: int
    cost: int

    def of(self, measures: Sequence[Measure]) -> tuple[int, ...]:
        """Return the amount for each charge; what is held comes free whatever its amount."""
        if not measures:
            return ()
        requests, tokens, cost = self
        by = {
            "requests": requests,
            "streams": 0,
            "tokens": tokens,
            "calls": THOUSAND * requests,
            "day": cost,
            "month": cost,
        }
        return tuple([by[measure] for measure in measures])


def _rate(key: str, limit: int, amount: int, period_s: float) -> Charge:
    """Return the charge of a quota of Bedrock's, whose bucket is not filled to the brim.

    What is reserved here comes to Bedrock later, so that its bucket, once empty, has run for less long than
    this one: at the brim that is a throttle for every other request. The bucket fills up as fast as ever, so
    that this costs half a second of the first burst. What is larger than that has the whole bucket.
    """
    less = limit - max(1, round(limit * _ON_THE_WAY_S / period_s))
    if amount > less:
        return Charge("rate", key, limit, amount, period_s)
    return Charge("rate", key, less, amount, period_s * less / limit)


def of_lane(quota: Quota, lane: str, demand: Demand) -> Counted:
    """Return what a request takes from a lane's quota at its start; `demand` has the input as corrected."""
    found: list[tuple[Charge, Measure]] = []
    limit = quota.tokens_per_minute
    if limit is not None and (tokens := demand.tokens(limit)):
        found.append((_rate(f"quota/{lane}/tokens", limit, tokens, MINUTE), "tokens"))
    limit = quota.requests_per_minute
    if limit is not None:
        calls = min(limit, demand.calls)  # an embedding of many calls waits for as many as there can be
        charge = _rate(f"quota/{lane}/requests", limit * THOUSAND, calls * THOUSAND, MINUTE)
        found.append((charge, "calls"))
    limit = quota.tokens_per_day
    if limit is not None and (tokens := demand.tokens(limit)):
        found.append((_rate(f"quota/{lane}/day", limit, tokens, DAY), "tokens"))
    return _counted(found)


def of_caller(caller: Caller, demand: Demand, now: datetime) -> Counted:
    """Return what a request takes of its caller's own limits; `now` in UTC, `demand` as in `of_lane`."""
    rules, name, cost = caller.rules, caller.name, demand.cost
    found: list[tuple[Charge, Measure]] = []
    if rules.requests_per_minute is not None:
        found.append(
            (Charge("rate", f"caller/{name}/requests", rules.requests_per_minute, 1, MINUTE), "requests")
        )
    if rules.max_streams is not None:
        found.append((Charge("held", f"caller/{name}/streams", rules.max_streams, 1), "streams"))
    if (limit := rules.tokens_per_minute) is not None:
        tokens = demand.tokens(limit)
        found.append((Charge("rate", f"caller/{name}/tokens", limit, tokens, MINUTE), "tokens"))
    if rules.budget_usd_per_day is not None:
        found.append((_budget(name, "day", rules.budget_usd_per_day, cost, now), "day"))
    if rules.budget_usd_per_month is not None:
        found.append((_budget(name, "month", rules.budget_usd_per_month, cost, now), "month"))
    return _counted(found)


def _budget(name: str, period: Literal["day", "month"], usd: float, cost: int, now: datetime) -> Charge:
    day = now.date().isoformat()
    date = day if period == "day" else day[:7]
    return Charge("spent", f"caller/{name}/usd/{date}", round(usd * MICRO), cost, _KEPT[period])


def renewed_in(period: Literal["day", "month"], now: datetime) -> float:
    """Return the seconds until a budget's period ends, in UTC."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        end = today + timedelta(days=1)
    else:
        end = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return (end - now).total_seconds()


def _counted(found: list[tuple[Charge, Measure]]) -> Counted:
    return Counted(*zip(*found, strict=True)) if found else UNCOUNTED
