"""What a request is charged by: the list's prices, dearer cache writes, or nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.catalog.catalog import Catalog
from gateway.catalog.charges import LATENCY, TIER, charged, charged_in_its_words
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
    assert charged_in_its_words(model, b'{"serviceTier":{"type":"flex"}}', {}) is model


def _cached(*ttls: str | None) -> dict[str, Any]:
    points = [{"type": "default"} | ({"ttl": ttl} if ttl else {}) for ttl in ttls]
    return {"system": [{"cachePoint": point} for point in points], "toolConfig": {"tools": []}}


@pytest.mark.parametrize(
    ("body", "headers", "cost"),
    [
        ({}, {}, 5 + 6.25),
        ({}, {TIER: "default", LATENCY: "standard"}, 5 + 6.25),
        ({}, {TIER: "priority"}, None),
        ({}, {LATENCY: "optimized"}, None),
        ({"serviceTier": {"type": "default"}, "performanceConfig": {"latency": "standard"}}, {}, 5 + 6.25),
        ({"serviceTier": {"type": "flex"}}, {}, None),
        ({"performanceConfig": {"latency": "optimized"}}, {}, None),
        ({"serviceTier": 1, "performanceConfig": {"latency": []}}, {}, 5 + 6.25),
        (_cached(None, "5m"), {}, 5 + 6.25),
        (_cached("1h"), {}, 5 + 10),
        (_cached("1h", None), {}, None),
        ({"messages": [{"content": [{"cache_control": {"type": "ephemeral", "ttl": "1h"}}]}]}, {}, 5 + 10),
        ({"messages": ["1h"], "cachePoint": "1h"}, {}, 5 + 6.25),
        (["1h"], {}, 5 + 6.25),
    ],
)
def test_what_it_costs_in_its_own_words(body: Any, headers: dict[str, str], cost: float | None) -> None:
    """A request that is passed on costs what the same one costs in any other dialect."""
    made = charged_in_its_words(MODEL, orjson.dumps(body), headers)
    assert made.cost_usd(USAGE) == cost
    assert (made is MODEL) is (cost == 5 + 6.25)
