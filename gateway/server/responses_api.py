"""OpenAI's Responses: `POST /v1/responses`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gateway.dialects import bedrock_headers, responses_objects, responses_plain
from gateway.dialects.responses_stream import ResponsesStream
from gateway.errors import InvalidRequest
from gateway.server import completions
from gateway.server.answers import json_response
from gateway.server.body import read_json
from gateway.server.late import Late, Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.dialects.responses_plain import Asked
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


def _schema_parser() -> Callable[..., Asked]:
    from gateway.dialects import responses  # noqa: PLC0415 - see `late`

    return responses.parse


def _name_field() -> Callable[[InvalidRequest, Any], None]:
    from gateway.dialects import responses_places  # noqa: PLC0415 - see `late`

    return responses_places.name_field


READER: Final = Reader(responses_plain.read, _schema_parser)
NAME_FIELD: Final = Late(_name_field)


async def create_response(exchange: Exchange) -> Answer | None:
    """`POST /v1/responses`, streamed where the body asks for it."""
    services = exchange.services
    value = await read_json(exchange)
    asked = await READER.parse(value, default_model=services.default_model)
    request = bedrock_headers.apply(asked.request, exchange.request.headers)
    try:
        calls = exchange.upstream.format(request)
    except InvalidRequest as fault:
        (await NAME_FIELD.get())(fault, value)
        raise
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
