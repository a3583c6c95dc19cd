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

from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gateway.domain import Usage

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

    def cost(self, *, fresh: int, output: int, cache_read: int, cache_write: int) -> float | None:
        """Return the cost of these tokens; cache writes are those of Bedrock's default lifetime, 5 minutes.

        The gateway sends no cache point that asks for an hour, and Bedrock's counter does not tell the two
        apart.
        """
        total = fresh * self.input + output * self.output
        for tokens, price in ((cache_read, self.cache_read), (cache_write, self.cache_write_5m)):
            if not tokens:
                continue
            if price is None:
                return None
            total += tokens * price
        return round(total * 1000) / BILLION


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The prices of one id: `rates`, and `above` for prompts of more than `threshold` tokens.

    A prompt's size is everything the model read: fresh input, cache reads and cache writes. Above the
    threshold the whole request is billed by `above`, not only what exceeds it.
    """

    rates: Rates
    threshold: int | None = None
    above: Rates | None = None

    def cost(self, usage: Usage) -> float | None:
        """Return the cost of an answer in USD, None where a counter or price that it needs is unknown."""
        fresh, output = usage.input_tokens, usage.output_tokens
        read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
        if fresh is None or output is None:
            return None
        rates = self._rates_for(fresh + read + written)
        return rates.cost(fresh=fresh, output=output, cache_read=read, cache_write=written)

    def _rates_for(self, prompt: int) -> Rates:
        if self.above is not None and self.threshold is not None and prompt > self.threshold:
            return self.above
        return self.rates


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
