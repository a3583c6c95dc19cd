"""What a request is charged by: the list's prices, dearer cache writes, or nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.catalog.catalog import Catalog
from gateway.catalog.charges import charged
from gateway.domain import CachePoint, CompletionRequest, Message, TextPart, Tool, Usage

MODEL = Catalog().resolve("anthropic.claude-opus-4-6-v1")
HI = TextPart("Hi")
REQUEST = CompletionRequest(model="m", messages=(Message("user", (HI,)),))
USAGE = Usage(1_000_000, 0, 0, 1_000_000)
HOUR = CachePoint("1h")
SYSTEM = (HI, HOUR)


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({}, 5 + 6.25),
        ({"service_tier": "default", "latency": "standard"}, 5 + 6.25),
        ({"service_tier": "flex"}, None),
        ({"latency": "optimized"}, None),
        ({"system": (HI, CachePoint())}, 5 + 6.25),
        ({"system": SYSTEM}, 5 + 10),
        ({"tools": (Tool("a", None, {}, cache=HOUR),)}, 5 + 10),
        ({"messages": (Message("user", (HI, HOUR)),)}, 5 + 10),
        ({"system": SYSTEM, "messages": (Message("user", (HI, CachePoint())),)}, None),
    ],
)
def test_what_it_costs(fields: dict[str, Any], cost: float | None) -> None:
    """An hour's cache costs twice the input; what is not in the list, or not told apart, is not known."""
    assert charged(MODEL, replace(REQUEST, **fields)).cost_usd(USAGE) == cost


def test_prices_above_a_threshold_are_an_hours_too() -> None:
    """The dearer rates of long prompts have dearer cache writes as well."""
    model = next(model for model in Catalog().models().values() if model.prices and model.prices.above)
    made = charged(model, replace(REQUEST, system=SYSTEM)).prices
    assert made is not None
    assert made.above is not None
    assert model.prices is not None
    assert model.prices.above is not None
    assert made.above.cache_write_5m == model.prices.above.cache_write_1h


def test_a_model_without_prices_stays_as_it_is() -> None:
    """There is nothing to take away."""
    model = replace(MODEL, prices=None)
    assert charged(model, replace(REQUEST, service_tier="flex")) is model
