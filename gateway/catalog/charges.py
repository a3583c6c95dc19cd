"""What a request is charged by, where it asks for what the price list does not have or has apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.domain import CachePoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest


def charged(model: Model, request: CompletionRequest) -> Model:
    """Return the model with the prices for this request.

    Other tiers than the default and latency-optimised inference have prices of their own, which the list does
    not have: the cost is not known. What is cached for an hour costs more than for five minutes; where a
    request asks for both, Bedrock's one counter does not tell how much of which.
    """
    if model.prices is None:
        return model
    if request.service_tier not in {None, "default"} or request.latency == "optimized":
        return replace(model, prices=None)
    hours = {point.ttl == "1h" for point in _cache_points(request)}
    if True not in hours:
        return model
    return replace(model, prices=model.prices.for_an_hour(mixed=len(hours) > 1))


def _cache_points(request: CompletionRequest) -> Iterator[CachePoint]:
    yield from (tool.cache for tool in request.tools if tool.cache is not None)
    yield from (part for part in request.system if isinstance(part, CachePoint))
    for message in request.messages:
        yield from (part for part in message.content if isinstance(part, CachePoint))
