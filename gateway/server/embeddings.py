"""The embedding endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.dialects import embeddings as dialect
from gateway.domain import Usage
from gateway.embedding import embed
from gateway.server import writing
from gateway.server.answers import json_response
from gateway.server.body import read_json

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.server.exchange import Exchange


async def create_embeddings(exchange: Exchange) -> web.StreamResponse:
    """`POST /embeddings`."""
    services, log = exchange.services, exchange.log
    request, encoding = dialect.parse(await read_json(exchange))
    calls = services.upstream.format_embeddings(request)
    model = calls[0].model
    log.add(model=model.id, provider=model.provider, family="embeddings", operation=model.api)
    answer = await embed(calls, upstream=services.upstream, limiter=services.limiter, timing=exchange.timing)
    ids = answer.upstream_request_ids
    usage = Usage(
        input_tokens=answer.input_tokens, output_tokens=0, cache_read_tokens=0, cache_write_tokens=0
    )
    log.add(input_tokens=answer.input_tokens, upstream_request_id=",".join(ids[:3]) or None)
    response = json_response(
        {
            "type": "embeddings",
            "model": model.id,
            "provider": model.provider,
            "data": dialect.vectors(answer.vectors, encoding),
            "usage": {"input_tokens": answer.input_tokens},
            "cost_usd": model.cost_usd(usage),
            "timing": exchange.timing.milliseconds(),
            "upstream_request_ids": ids,
        },
        log.request_id,
        upstream_request_id=ids[0] if ids else None,
    )
    await writing.send(exchange, response)
    return response
