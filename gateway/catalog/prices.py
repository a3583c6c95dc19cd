"""What tokens cost: the price list, and the cost of one answer in USD.

Prices are AWS's public on-demand prices in USD per million tokens, kept in prices.json beside this file: one
line per id, and a line for an inference profile only where its price differs from the base id's. Provisioned
throughput, batches, service tiers and private discounts are not in it.

The four counters are priced one by one and never folded. What is not known is not guessed: an answer without
its count of input or output tokens, or an unknown price of a counter that is not zero, makes the whole cost
None. Bedrock leaves out cache counters where nothing was cached (so in 60 recorded answers of Claude and
Nova; where a request asked for caching they were there), so their silence beside the other two means zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gateway.catalog.model_id import Kind
    from gateway.domain import Usage

PRICED_BY_TOKEN: frozenset[Kind] = frozenset(
    {"base", "geo-profile", "foundation-model", "inference-profile", "application-inference-profile"}
)
"""Provisioned, imported and deployed custom models are billed by the hour or at prices of their own."""

BILLION = 1_000_000_000
"""Costs are summed exactly and rounded once, half to even, to a billionth of a dollar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """USD per million tokens; None: no price is known, which is not the same as free."""

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None


class _Whole(NamedTuple):
    """Rates in whole numbers, which cost less to reckon with: what a token costs in these `parts` of a
    billionth of a dollar."""  # noqa: D205, D209 - one sentence

    parts: int
    input: int
    output: int
    cache_read: int | None
    cache_write: int | None

    @classmethod
    def of(cls, rates: Rates) -> _Whole:
        """Return these rates; cache writes are those of Bedrock's default lifetime, 5 minutes.

        For requests that ask for an hour there is `Prices.for_an_hour`: the counter does not tell the two
        apart.
        """
        read, written = rates.cache_read, rates.cache_write_5m
        known = [rate for rate in (rates.input, rates.output, read, written) if rate is not None]
        parts = 10 ** max(0, *(-3 - int(rate.as_tuple().exponent) for rate in known))

        def whole(rate: Decimal) -> int:
            return int(rate * 1000 * parts)

        return cls(
            parts,
            whole(rates.input),
            whole(rates.output),
            None if read is None else whole(read),
            None if written is None else whole(written),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The prices of one id: `rates`, and `above` for prompts of more than `threshold` tokens.

    A prompt's size is everything the model read: fresh input, cache reads and cache writes. Above the
    threshold the whole request is billed by `above`, not only what exceeds it.
    """

    rates: Rates
    threshold: int | None = None
    above: Rates | None = None
    _rates: _Whole = field(init=False, repr=False, compare=False)
    _above: _Whole | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rates", _Whole.of(self.rates))
        object.__setattr__(self, "_above", None if self.above is None else _Whole.of(self.above))

    def for_an_hour(self, *, mixed: bool) -> Prices:
        """Return the prices of a request whose cache writes last an hour; `mixed`: nobody knows which do."""

        def hourly(rates: Rates) -> Rates:
            return replace(rates, cache_write_5m=None if mixed else rates.cache_write_1h)

        above = None if self.above is None else hourly(self.above)
        return Prices(rates=hourly(self.rates), threshold=self.threshold, above=above)

    def cost(self, usage: Usage) -> float | None:
        """Return the cost of an answer in USD, None where a counter or price that it needs is unknown."""
        fresh, output, read, written = usage
        if fresh is None or output is None:
            return None
        rates = self._rates
        if self._above is not None and self.threshold is not None:
            prompt = fresh + (read or 0) + (written or 0)
            rates = self._above if prompt > self.threshold else rates
        parts, per_input, per_output, per_read, per_written = rates
        total = fresh * per_input + output * per_output
        if read:
            if per_read is None:
                return None
            total += read * per_read
        if written:
            if per_written is None:
                return None
            total += written * per_written
        return _rounded(total, parts) / BILLION


def _rounded(total: int, parts: int) -> int:
    """Return the whole number next to `total / parts`, of two the even one."""
    if parts == 1:
        return total
    whole, rest = divmod(total, parts)
    return whole + (2 * rest > parts or (2 * rest == parts and whole % 2 == 1))


def load_prices() -> Mapping[str, Prices]:
    """Read the packaged price list: prices by base id or profile id, in the order of the file (sorted)."""
    rows = orjson.loads(files("gateway.catalog").joinpath("prices.json").read_bytes())["prices"]
    return {row["id"]: _prices(row) for row in rows}


def _prices(row: Mapping[str, Any]) -> Prices:
    above = row.get("above")
    return Prices(
        rates=_rates(row),
        threshold=None if above is None else above["tokens"],
        above=None if above is None else _rates(above),
    )


def _rates(row: Mapping[str, Any]) -> Rates:
    names = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    # by way of the text: the file says 0.1, and so does the Decimal
    return Rates(**{name: Decimal(str(row[name])) for name in names if name in row})
