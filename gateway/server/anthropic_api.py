"""Anthropic's API: messages and the counting of their tokens, under `/v1/messages`.

A Claude model that InvokeModel serves is asked in its own words, and answers in them. Every other one is
asked through the domain, and so is a Claude that is to fit its answer to a schema: not every one can, and a
codec knows what to do about it. A guardrail's verdict is Bedrock's addition to Claude's words, which alone
would look as if the model had ended them: that, too, a codec knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.dialects import (
    anthropic_answer,
    anthropic_count,
    anthropic_headers,
    anthropic_invoke,
    anthropic_places,
    anthropic_plain,
    anthropic_relay,
    bedrock_headers,
)
from gateway.dialects.anthropic_errors import REQUEST_ID
from gateway.dialects.anthropic_invoke import NO_DEFAULTS
from gateway.dialects.anthropic_stream import AnthropicStream
from gateway.errors import InvalidRequest
from gateway.server import completions
from gateway.server.answers import rendered_json
from gateway.server.body import read_json_bytes
from gateway.server.late import Late, Reader
from gateway.upstream import RelayRequest
from gateway.wire import json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.dialects.bedrock_headers import Headers
    from gateway.domain import CompletionRequest
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange
    from gateway.upstream import RelayedOperation, UpstreamCall


_new = tuple.__new__  # a NamedTuple's own constructor is Python, and takes thrice as long
_REQUEST_ID: Final = REQUEST_ID.encode()
_GUARDING: Final = (bedrock_headers.GUARDRAIL, bedrock_headers.VERSION)
CLAUDES: Final = frozenset({"claude", "claude_text"})
"""The families that take Messages by InvokeModel; Claude 2 does so beside its own prompts."""


def _schema_parser() -> Callable[..., CompletionRequest]:
    from gateway.dialects import anthropic_messages  # noqa: PLC0415 - see `late`

    return anthropic_messages.parse


def _count_parser() -> Callable[..., CompletionRequest]:
    from gateway.dialects import anthropic_messages  # noqa: PLC0415 - see `late`

    return anthropic_messages.parse_count


READER: Final = Reader(anthropic_plain.read, _schema_parser)
PARSE_COUNT: Final = Late(_count_parser)


async def create_message(exchange: Exchange) -> Answer | None:
    """`POST /v1/messages`: a stream where the body asks for one, whatever `Accept` says."""
    _, value = await read_json_bytes(exchange)
    betas = _betas(exchange)
    upstream = exchange.upstream
    name = anthropic_invoke.model_of(value, exchange.services.default_model)
    model = upstream.asked(name)
    streaming = anthropic_invoke.is_streaming(value)
    if streaming:
        exchange.log.add(format="sse")
        exchange.answer_fields = b"%b: %b\r\n" % (_REQUEST_ID, exchange.log.request_id.encode())
    headers = exchange.request.headers if exchange.request.speaks_of_aws else NO_DEFAULTS
    speaks = model.family in CLAUDES and (model.streaming or not streaming)
    if speaks and not _needs_translation(headers, value):
        asked = anthropic_invoke.read(
            value,
            betas=betas,
            defaults=model.defaults_for(anthropic_invoke.said(value)) if model.defaults else NO_DEFAULTS,
            headers=headers,
        )
        operation: RelayedOperation = "invoke-with-response-stream" if streaming else "invoke"
        framing = anthropic_relay.ClaudeEvents() if streaming else None
        parts = name, operation, asked.body, asked.headers, framing
        calls = upstream.relay(_new(RelayRequest, parts))
        if not streaming:
            return await _whole(exchange, calls)
        await completions.stream(exchange, calls, anthropic_relay.PASSED_STREAM)
        return None
    return await _translate(exchange, value, betas, streaming=streaming)


async def count_tokens(exchange: Exchange) -> Answer:
    """`POST /v1/messages/count_tokens`: counted by Bedrock."""
    _, value = await read_json_bytes(exchange)
    betas = _betas(exchange)
    services = exchange.services
    calls = exchange.upstream.count(anthropic_invoke.model_of(value, services.default_model))
    model = calls[0].model
    if model.native_family in CLAUDES:
        body = anthropic_count.body(value, betas)
    else:
        parse = await PARSE_COUNT.get()
        request = parse(value, betas=betas, default_model=services.default_model)
        body = exchange.upstream.count_body(request, model)
    counted = await completions.fold(exchange, [call._replace(body=body) for call in calls])
    return _answer(exchange, anthropic_count.answer(b"".join(counted.completion.passed)), counted)


def _betas(exchange: Exchange) -> tuple[str, ...]:
    """Return the flags of a request that is in this API's version."""
    anthropic_headers.check_version(exchange.header(anthropic_headers.VERSION_HEADER))
    lines = exchange.request.headers.getall(anthropic_headers.BETA_HEADER, ())
    return anthropic_headers.betas(lines) if lines else ()


def _needs_translation(headers: Headers, value: Any) -> bool:
    if headers is not NO_DEFAULTS and any(headers.get(name) is not None for name in _GUARDING):
        return True
    return anthropic_invoke.wants_structure(value)


async def _whole(exchange: Exchange, calls: Sequence[UpstreamCall]) -> Answer:
    answer = await completions.fold(exchange, calls)
    return _answer(exchange, anthropic_relay.message(b"".join(answer.completion.passed)), answer)


async def _translate(
    exchange: Exchange, value: Any, betas: tuple[str, ...], *, streaming: bool
) -> Answer | None:
    services = exchange.services
    request = bedrock_headers.apply(
        await READER.parse(value, betas=betas, default_model=services.default_model),
        exchange.request.headers,
    )
    try:
        calls = exchange.upstream.format(request)
    except InvalidRequest as error:
        anthropic_places.rename(error, value)
        raise
    if streaming:
        await completions.stream(exchange, calls, AnthropicStream(request.stop))
        return None
    answer = await completions.fold(exchange, calls)
    return _answer(exchange, json.dumps(anthropic_answer.message(*answer, stop=request.stop)), answer)


def _answer(exchange: Exchange, body: bytes, folded: completions.Folded) -> Answer:
    request_id = exchange.log.request_id
    answer = rendered_json(body, request_id, upstream_request_id=folded.begun.upstream_request_id)
    answer.headers[REQUEST_ID] = request_id
    return answer
