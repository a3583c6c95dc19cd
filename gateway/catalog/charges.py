"""What a request is charged by, where it asks for what the price list does not have or has apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.domain import CachePoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest

TIER: Final = "X-Amzn-Bedrock-Service-Tier"
LATENCY: Final = "X-Amzn-Bedrock-PerformanceConfig-Latency"
"""InvokeModel's headers; Converse says the same in its body (bedrock-wire.md §2.3)."""
_TIER, _LATENCY, _HOUR = b'"serviceTier"', b'"performanceConfig"', b'"1h"'
"""One of these is in a body that asks for what has a price of its own."""
_CACHE_POINTS: Final = ("cachePoint", "cache_control")
"""How Converse and Claude call them."""


def charged(model: Model, request: CompletionRequest) -> Model:
    """Return the model with the prices for this request.

    Other tiers than the default and latency-optimised inference have prices of their own, which the list does
    not have: the cost is not known. What is cached for an hour costs more than for five minutes; where a
    request asks for both, Bedrock's one counter does not tell how much of which.
    """
    if model.prices is None:
        return model
    ttls = (point.ttl for point in _cache_points(request))
    return _charged(model, request.service_tier, request.latency, {ttl == "1h" for ttl in ttls})


def charged_in_its_words(model: Model, body: bytes, headers: Mapping[str, str]) -> Model:
    """Return the same for a request in Bedrock's own words: `body` is JSON, `headers` go with it."""
    if model.prices is None:
        return model
    find = body.find  # at half of what `in` costs
    asks = find(_TIER) >= 0 or find(_LATENCY) >= 0 or find(_HOUR) >= 0
    if not (asks or headers):  # as nearly ever
        return model
    tier, latency = headers.get(TIER), headers.get(LATENCY)
    hours: set[bool] = set()
    if asks:
        value = orjson.loads(body)
        tier = tier or _said(value, "serviceTier", "type")
        latency = latency or _said(value, "performanceConfig", "latency")
        hours = {ttl == "1h" for ttl in _ttls(value)}
    return _charged(model, tier, latency, hours)


def _charged(model: Model, tier: str | None, latency: str | None, hours: set[bool]) -> Model:
    if tier not in {None, "default"} or latency == "optimized":
        return replace(model, prices=None)
    if model.prices is None or True not in hours:
        return model
    return replace(model, prices=model.prices.for_an_hour(mixed=len(hours) > 1))


def _said(body: Any, field: str, inner: str) -> str | None:
    value = body.get(field) if type(body) is dict else None
    said = value.get(inner) if type(value) is dict else None
    return said if type(said) is str else None


def _ttls(body: Any) -> Iterator[Any]:
    """Yield how long each cache point of a body is to last; None where it does not say."""
    found = [body]
    for value in found:  # which grows by what is found in each
        if type(value) is dict:
            points = (value.get(name) for name in _CACHE_POINTS)
            yield from (point.get("ttl") for point in points if type(point) is dict)
            found += value.values()
        elif type(value) is list:
            found += value


def _cache_points(request: CompletionRequest) -> Iterator[CachePoint]:
    yield from (tool.cache for tool in request.tools if tool.cache is not None)
    yield from (part for part in request.system if isinstance(part, CachePoint))
    for message in request.messages:
        yield from (part for part in message.content if isinstance(part, CachePoint))
