"""The quota of an account: tokens and requests per minute, reserved as a request comes, settled as it ends.

Each model has a pool of its own, and each inference profile too (bedrock-wire.md §7.2). A request reserves
all its input tokens, cached or not, and its `max_tokens`, the model's longest answer where it names none;
what does not fit is throttled and reserves nothing. At the end it has used
`input + cache writes + output × burndown`. That AWS "periodically adjusts" a reservation while the answer
runs is documented without a word on how, so it is left out: a reservation stands until the end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from gateway.emulator.errors import BedrockError
from gateway.emulator.limits import burndown, longest_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.emulator.ledger import Tokens
    from gateway.emulator.metering import Metered
    from gateway.emulator.models import ModelId

Shape: TypeAlias = Literal["bucket", "window"]
"""AWS does not say what its minute is. `bucket` fills up continuously, by a minute's worth in a minute;
`window` holds what was used in the last minute."""

TOO_MANY_TOKENS: Final = "Too many tokens, please wait before trying again."
TOO_MANY_REQUESTS: Final = "Too many requests, please wait before trying again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What one pool has; None: no limit. `minute_s` is how long its minute lasts, in seconds.

    `burndown` and `longest_answer`, in tokens, stand in for the model's own, where its id does not tell.
    """

    tokens_per_minute: int | None = None
    requests_per_minute: int | None = None
    minute_s: float = 60.0
    shape: Shape = "bucket"
    burndown: int | None = None
    longest_answer: int | None = None


def read_quota(given: Mapping[str, Any]) -> Quota:
    """Return a quota as JSON has it.

    Raises:
        TypeError: it has another field, or one of another type.
        ValueError: a number is not above 0, or there is no such shape.
    """
    quota = Quota(**given)
    for one in fields(quota):
        value = getattr(quota, one.name)
        if one.name == "shape":
            if value not in _MINUTES:
                raise ValueError(f"shape is bucket or window, not {value!r}")
        elif value is None and one.name != "minute_s":
            continue
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{one.name} is a number, not {value!r}")
        elif value <= 0:
            raise ValueError(f"{one.name} is above 0, not {value!r}")
    return quota


@dataclass(slots=True)
class _Use:
    """Something that counts against a limit, from `at` on, in seconds."""

    at: float
    amount: int


class _Minute(Protocol):
    """What was used of one limit, however its minute is shaped."""

    def used(self, limit: int, minute_s: float, now: float) -> float:
        """Return how much of `limit` is used."""

    def add(self, use: _Use) -> None:
        """Count a use; `used` has been asked at the same moment."""

    def correct(self, use: _Use, amount: int) -> None:
        """Count a use with another amount from now on."""


class _Bucket:
    def __init__(self) -> None:
        self._used = 0.0
        self._at = 0.0

    def used(self, limit: int, minute_s: float, now: float) -> float:
        self._used = max(0.0, self._used - (now - self._at) * limit / minute_s)
        self._at = now
        return self._used

    def add(self, use: _Use) -> None:
        self._used += use.amount

    def correct(self, use: _Use, amount: int) -> None:
        self._used = max(0.0, self._used + amount - use.amount)


class _Window:
    def __init__(self) -> None:
        self._uses: deque[_Use] = deque()

    def used(self, limit: int, minute_s: float, now: float) -> float:
        del limit
        while self._uses and self._uses[0].at <= now - minute_s:
            self._uses.popleft()
        return sum(use.amount for use in self._uses)

    def add(self, use: _Use) -> None:
        self._uses.append(use)

    def correct(self, use: _Use, amount: int) -> None:
        use.amount = amount


_MINUTES: Final[Mapping[Shape, Callable[[], _Minute]]] = {"bucket": _Bucket, "window": _Window}


@dataclass(slots=True)
class _Pool:
    """One model's, or one profile's, share of the account."""

    shape: Shape
    tokens: _Minute = field(init=False)
    requests: _Minute = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = _MINUTES[self.shape]()
        self.requests = _MINUTES[self.shape]()


class Reservation:
    """What one request holds of its pool until it is settled; nothing where there is no quota."""

    def __init__(self, minute: _Minute | None = None, use: _Use | None = None, burndown: int = 1) -> None:
        self._minute = minute
        self._use = use
        self._burndown = burndown

    def settle(self, used: Tokens) -> None:
        """Count what was used instead; once."""
        if self._minute is not None and self._use is not None:
            amount = used.input + used.cache_write + used.output * self._burndown
            self._minute.correct(self._use, amount)
            self._minute = None


class Quotas:
    """The quotas of an account by the pattern of a model's or profile's id; `limit` changes them any time.

    The first pattern that fits holds, and each id that it fits has all of it. `clock` returns seconds.
    """

    def __init__(self, given: Mapping[str, Quota], clock: Callable[[], float]) -> None:
        self.given = dict(given)
        self._clock = clock
        self._pools: dict[str, _Pool] = {}

    def limit(self, pattern: str, quota: Quota | None) -> None:
        """Set a quota, or lift it, from now on; what was used is not forgotten."""
        if quota is None:
            self.given.pop(pattern, None)
        else:
            self.given[pattern] = quota

    def reserve(self, metered: Metered) -> Reservation:
        """Reserve what a request may use.

        Raises:
            BedrockError: it does not fit; nothing is reserved then, and it does not count as a request.
        """
        name = pool_of(metered.model)
        quota = next((one for pattern, one in self.given.items() if fnmatchcase(name, pattern)), None)
        if quota is None:
            return Reservation()
        pool = self._pools.get(name)
        if pool is None or pool.shape != quota.shape:
            pool = self._pools[name] = _Pool(quota.shape)
        return self._reserve(quota, pool, metered)

    def _reserve(self, quota: Quota, pool: _Pool, metered: Metered) -> Reservation:
        now = self._clock()
        longest = quota.longest_answer or longest_answer(metered.model)
        output = longest if metered.max_tokens is None else metered.max_tokens
        call, use = _Use(now, 1), _Use(now, metered.input + output)
        wanted = [
            (limit, minute, one, message)
            for limit, minute, one, message in (
                (quota.requests_per_minute, pool.requests, call, TOO_MANY_REQUESTS),
                (quota.tokens_per_minute, pool.tokens, use, TOO_MANY_TOKENS),
            )
            if limit is not None
        ]
        for limit, minute, one, message in wanted:
            if minute.used(limit, quota.minute_s, now) + one.amount > limit:
                raise BedrockError("ThrottlingException", message)
        for _, minute, one, _ in wanted:
            minute.add(one)
        return Reservation(pool.tokens, use, quota.burndown or burndown(metered.model))


def pool_of(model: ModelId) -> str:
    """Return whose quota a model id uses: ARN and id of one profile share theirs, its model has another."""
    if not model.base:
        return model.given
    return f"{model.geo}.{model.base}" if model.geo else model.base
