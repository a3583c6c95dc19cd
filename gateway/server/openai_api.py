"""OpenAI's API: chat completions and embeddings, under `/v1`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gateway.dialects import (
    bedrock_headers,
    openai_answer,
    openai_plain,
)
from gateway.dialects.openai_stream import ChatStream
from gateway.errors import InvalidRequest
from gateway.server import completions, embeddings
from gateway.server.answers import json_response
from gateway.server.body import read_json
from gateway.server.late import Late, Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.dialects.openai_plain import ChatRequest
    from gateway.dialects.vectors import Encoding
    from gateway.domain import EmbeddingRequest
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


def _schema_parser() -> Callable[..., ChatRequest]:
    from gateway.dialects import openai_chat  # noqa: PLC0415 - see `late`

    return openai_chat.parse


def _name_field() -> Callable[[InvalidRequest, Any], None]:
    from gateway.dialects import openai_places  # noqa: PLC0415 - see `late`

    return openai_places.name_field


def _embeddings_parser() -> Callable[[Any], tuple[EmbeddingRequest, Encoding]]:
    from gateway.dialects import openai_embeddings  # noqa: PLC0415 - see `late`

    return openai_embeddings.parse


READER: Final = Reader(openai_plain.read, _schema_parser)
NAME_FIELD: Final = Late(_name_field)
PARSE_EMBEDDINGS: Final = Late(_embeddings_parser)


async def create_chat_completion(exchange: Exchange) -> Answer | None:
    """`POST /v1/chat/completions`: a stream where the body asks for one, whatever `Accept` says."""
    services = exchange.services
    value = await read_json(exchange)
    asked = await READER.parse(value, default_model=services.default_model)
    request = bedrock_headers.apply(asked.completion, exchange.request.headers)
    try:
        calls = exchange.upstream.format(request)
    except InvalidRequest as fault:
        (await NAME_FIELD.get())(fault, value)
        raise
    created = int(datetime.now(UTC).timestamp())
    tier = request.service_tier
    if asked.stream:
        exchange.log.add(format="sse")
        encoder = ChatStream(created, include_usage=asked.include_usage, service_tier=tier)
        await completions.stream(exchange, calls, encoder)
        return None
    answer = await completions.fold(exchange, calls)
    return json_response(
        openai_answer.completion(*answer, created=created, service_tier=tier),
        exchange.log.request_id,
        upstream_request_id=answer.begun.upstream_request_id,
    )


async def create_embeddings(exchange: Exchange) -> Answer:
    """`POST /v1/embeddings`."""
    value = await read_json(exchange, taken=bedrock_headers.NONE_TAKEN)
    request, encoding = (await PARSE_EMBEDDINGS.get())(value)
    answer, _ = await embeddings.run(exchange, request)
    ids = answer.upstream_request_ids
    return json_response(
        openai_answer.embeddings(answer.model.id, answer.vectors, encoding, answer.input_tokens),
        exchange.log.request_id,
        upstream_request_id=ids[0] if ids else None,
    )
