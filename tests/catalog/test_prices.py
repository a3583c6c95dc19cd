"""The cost of an answer: four counters at four prices, exact, or not known at all."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.catalog.catalog import Catalog
from gateway.catalog.prices import Prices, Rates
from gateway.domain import Usage

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-micro-v1:0"
TITAN = "amazon.titan-text-express-v1"


def used(
    fresh: int | None = 0, output: int | None = 0, read: int | None = 0, written: int | None = 0
) -> Usage:
    """Return the four counters."""
    return Usage(input_tokens=fresh, output_tokens=output, cache_read_tokens=read, cache_write_tokens=written)


@pytest.mark.parametrize(
    ("model", "usage", "cost"),
    [
        (SONNET, used(1_000_000 - 800_001), 0.6599967),
        (SONNET, used(100_000), 0.33),
        (SONNET, used(output=100_000), 1.65),
        (SONNET, used(read=100_000), 0.033),
        (SONNET, used(written=100_000), 0.4125),
        (SONNET, used(9, 4, 10, 20), 0.0001815),
        (SONNET, used(200_000, 10), 0.660165),
        (SONNET, used(200_000, 10, 1), 1.32024816),
        (SONNET, used(100_000, 10, 50_000, 50_001), 1.10575575),
        (NOVA, used(9, 4), 0.000000875),
        (NOVA, used(1), 0.000000035),
        (NOVA, used(1, 0, 1), 0.000000044),
        (TITAN, used(9, 4, None, None), 0.0000042),
        (SONNET, used(), 0.0),
        (SONNET, used(100_000, 0, None, None), 0.33),
    ],
)
def test_the_cost(model: str, usage: Usage, cost: float) -> None:
    """Each counter costs its own price; above the threshold the whole request costs the higher one."""
    assert Catalog().resolve(model).cost_usd(usage) == cost


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        (SONNET, used(None, 4)),
        (SONNET, used(9, None)),
        (NOVA, used(9, 4, 0, 1)),
        ("acme.thinker-v1:0", used(9, 4)),
    ],
)
def test_what_is_not_known_is_not_guessed(model: str, usage: Usage) -> None:
    """A counter that was not given, a price that is not known, a model without prices: no cost."""
    assert Catalog().resolve(model).cost_usd(usage) is None


@pytest.mark.parametrize(("tokens", "cost"), [(1, 0.0), (2, 0.000000001), (3, 0.000000002), (5, 0.000000002)])
def test_rounding(tokens: int, cost: float) -> None:
    """Half a billionth of a dollar goes to the even neighbour, once, after summing."""
    prices = Prices(rates=Rates(input=Decimal("0.0005"), output=Decimal(0)))
    assert prices.cost(used(tokens)) == cost
