"""The native API: `/chat/completions/stream` and `/chat/completions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.dialects import bedrock_headers, native, native_records
from gateway.errors import InvalidRequest
from gateway.server import completions
from gateway.server.answers import json_response
from gateway.server.body import read_json
from gateway.server.formats import negotiate

if TYPE_CHECKING:
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


async def stream_completion(exchange: Exchange) -> None:
    """`POST /chat/completions/stream`."""
    form = negotiate(", ".join(exchange.request.headers.getall("Accept", ())))
    exchange.log.add(format=form.name)
    services = exchange.services
    request = bedrock_headers.apply(
        native.parse(await read_json(exchange), default_model=services.default_model),
        exchange.request.headers,
    )
    if form.frame is None and request.tools:
        raise InvalidRequest("Bare text has no room for tool calls: accept another format.", param="tools")
    await completions.stream(exchange, services.upstream.format(request), form)


async def create_completion(exchange: Exchange) -> Answer:
    """`POST /chat/completions`."""
    services = exchange.services
    request = bedrock_headers.apply(
        native.parse(await read_json(exchange), default_model=services.default_model),
        exchange.request.headers,
    )
    answer = await completions.fold(exchange, services.upstream.format(request))
    return json_response(
        native_records.completion(*answer),
        exchange.log.request_id,
        upstream_request_id=answer.begun.upstream_request_id,
    )
