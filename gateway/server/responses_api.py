"""OpenAI's Responses: `POST /v1/responses`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.dialects import bedrock_headers, responses, responses_objects
from gateway.dialects.responses_stream import ResponsesStream
from gateway.server import completions
from gateway.server.answers import json_response
from gateway.server.body import read_json

if TYPE_CHECKING:
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


async def create_response(exchange: Exchange) -> Answer | None:
    """`POST /v1/responses`, streamed where the body asks for it."""
    services = exchange.services
    asked = responses.parse(await read_json(exchange), default_model=services.default_model)
    request = bedrock_headers.apply(asked.request, exchange.request.headers)
    calls = services.upstream.format(request)
    created_at = int(datetime.now(UTC).timestamp())
    if asked.stream:
        exchange.log.add(format="sse")
        await completions.stream(exchange, calls, ResponsesStream(created_at, asked.echo))
        return None
    answer = await completions.fold(exchange, calls)
    return json_response(
        responses_objects.whole(*answer, created_at, asked.echo),
        exchange.log.request_id,
        upstream_request_id=answer.begun.upstream_request_id,
    )
