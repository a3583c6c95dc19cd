"""The native API: `/chat/completions/stream` and `/chat/completions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.dialects import bedrock_headers, native_plain, native_records
from gateway.errors import InvalidRequest
from gateway.server import completions
from gateway.server.answers import json_response
from gateway.server.body import read_json
from gateway.server.formats import negotiate
from gateway.server.late import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.domain import CompletionRequest
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


def _schema_parser() -> Callable[..., CompletionRequest]:
    from gateway.dialects import native  # noqa: PLC0415 - see `late`

    return native.parse


READER: Final = Reader(native_plain.read, _schema_parser)


async def stream_completion(exchange: Exchange) -> None:
    """`POST /chat/completions/stream`."""
    form = negotiate(", ".join(exchange.request.headers.getall("Accept", ())))
    exchange.log.add(format=form.name)
    services = exchange.services
    request = bedrock_headers.apply(
        await READER.parse(await read_json(exchange), default_model=services.default_model),
        exchange.request.headers,
    )
    if form.frame is None and request.tools:
        raise InvalidRequest("Bare text has no room for tool calls: accept another format.", param="tools")
    await completions.stream(exchange, exchange.upstream.format(request), form)


async def create_completion(exchange: Exchange) -> Answer:
    """`POST /chat/completions`."""
    services = exchange.services
    request = bedrock_headers.apply(
        await READER.parse(await read_json(exchange), default_model=services.default_model),
        exchange.request.headers,
    )
    answer = await completions.fold(exchange, exchange.upstream.format(request))
    return json_response(
        native_records.completion(*answer),
        exchange.log.request_id,
        upstream_request_id=answer.begun.upstream_request_id,
    )
