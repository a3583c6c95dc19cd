"""Running embeddings, in whatever dialect, and the native endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.admission.demand import Ticket
from gateway.dialects import vectors
from gateway.dialects.bedrock_headers import NONE_TAKEN
from gateway.domain import Embedded, Usage
from gateway.embedding import embed
from gateway.retries.trail import Trail
from gateway.server.answers import json_response
from gateway.server.body import read_json
from gateway.server.late import Late

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.dialects.vectors import Encoding
    from gateway.domain import EmbeddingRequest
    from gateway.embedding import Embeddings
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


class Embedding(NamedTuple):
    """Whole vectors; `cost_usd` is None where it cannot be known."""

    answer: Embeddings
    cost_usd: float | None


def _parse() -> Callable[[Any], tuple[EmbeddingRequest, Encoding]]:
    from gateway.dialects import embeddings  # noqa: PLC0415 - see `late`

    return embeddings.parse


PARSE: Final = Late(_parse)


async def run(exchange: Exchange, request: EmbeddingRequest) -> Embedding:
    """Return the vectors of a request in whatever dialect, and log what they cost.

    Raises:
        GatewayError: it failed.
    """
    services, log = exchange.services, exchange.log
    calls = exchange.upstream.format_embeddings(request)
    model = calls[0].model
    log.add(model=model.id, provider=model.provider, family="embeddings", operation=model.api)
    answers: list[Embedded] = []
    trail = Trail()
    ticket = Ticket(exchange.caller, [calls[0], *calls[0].elsewhere], calls)
    pictures = any(given.image is not None for given in request.inputs)
    try:
        answer = await embed(
            calls,
            answers,
            upstream=services.upstream,
            limiter=services.limiter,
            retries=services.retries,
            timing=exchange.timing,
            expires=exchange.expires,
            allow_fallback=exchange.allows_fallback(),
            trail=trail,
            ticket=ticket,
        )
    finally:  # what was paid for is told, however the request ends
        counts = [done.input_tokens for done in answers]
        total = None if None in counts else sum(count for count in counts if count is not None)
        # a picture has a price of its own, which no counter tells
        cost = None if pictures or not answers else model.cost_usd(_usage(total))
        log.trail = trail
        log.add(input_tokens=total if answers else None, cost_usd=cost, **trail.facts(), **ticket.facts())
    log.add(upstream_request_id=",".join(answer.upstream_request_ids[:3]) or None)
    return Embedding(answer, cost)


async def create_embeddings(exchange: Exchange) -> Answer:
    """`POST /embeddings`."""
    value = await read_json(exchange, taken=NONE_TAKEN)
    request, encoding = (await PARSE.get())(value)
    answer, cost = await run(exchange, request)
    model, ids = answer.model, answer.upstream_request_ids
    return json_response(
        {
            "type": "embeddings",
            "model": model.id,
            "provider": model.provider,
            "data": vectors.records(answer.vectors, encoding),
            "usage": {"input_tokens": answer.input_tokens},
            "cost_usd": cost,
            "timing": exchange.timing.milliseconds(),
            "upstream_request_ids": ids,
        },
        exchange.log.request_id,
        upstream_request_id=ids[0] if ids else None,
    )


def _usage(input_tokens: int | None) -> Usage:
    return Usage(input_tokens=input_tokens, output_tokens=0, cache_read_tokens=0, cache_write_tokens=0)
