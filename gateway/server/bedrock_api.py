"""Bedrock's own API: both ways in the words of whoever speaks, but for Rerank, which is translated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.dialects import bedrock_answers, bedrock_requests, bedrock_rerank
from gateway.dialects.bedrock_headers import NONE_TAKEN
from gateway.dialects.bedrock_requests import TAKEN
from gateway.server import completions
from gateway.server.answers import Answer, rendered_json
from gateway.server.body import read_json_bytes
from gateway.upstream import RelayRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from gateway.dialects.protocol import Begun
    from gateway.server.exchange import Exchange
    from gateway.upstream import RelayedOperation, UpstreamCall

INVOKED: Final = frozenset({"invoke", "invoke-with-response-stream"})


def invoke(exchange: Exchange) -> Awaitable[Answer]:
    """`POST /model/{modelId}/invoke`: InvokeModel."""
    return _answered(exchange, "invoke")


def invoke_stream(exchange: Exchange) -> Awaitable[None]:
    """`POST /model/{modelId}/invoke-with-response-stream`: InvokeModelWithResponseStream."""
    return _stream(exchange, "invoke-with-response-stream")


def converse(exchange: Exchange) -> Awaitable[Answer]:
    """`POST /model/{modelId}/converse`: Converse."""
    return _answered(exchange, "converse")


def converse_stream(exchange: Exchange) -> Awaitable[None]:
    """`POST /model/{modelId}/converse-stream`: ConverseStream."""
    return _stream(exchange, "converse-stream")


def count_tokens(exchange: Exchange) -> Awaitable[Answer]:
    """`POST /model/{modelId}/count-tokens`: CountTokens."""
    return _answered(exchange, "count-tokens")


async def apply_guardrail(exchange: Exchange) -> Answer:
    """`POST /guardrail/{guardrailIdentifier}/version/{guardrailVersion}/apply`: ApplyGuardrail."""
    named = exchange.parameters
    identifier, version = named["guardrailIdentifier"], named["guardrailVersion"]
    bedrock_requests.check_guardrail(identifier, version)
    body, value = await read_json_bytes(exchange, typed=False, taken=NONE_TAKEN)
    bedrock_requests.check(body, value, s3_locations=exchange.services.limits.s3_locations)
    calls = exchange.upstream.relay_guardrail(identifier, version, body)
    return await _whole(exchange, calls)


async def rerank(exchange: Exchange) -> Answer:
    """`POST /rerank`: Rerank of the agent runtime, asked of the same models by InvokeModel."""
    _, value = await read_json_bytes(exchange, typed=False, taken=TAKEN)
    asked = bedrock_rerank.parse(value)
    given = bedrock_requests.headers(exchange.request.headers, exchange.header, invoked=True)
    headers = bedrock_rerank.headers(given)
    calls = exchange.upstream.relay(RelayRequest(asked.model, "invoke", b"", headers))
    bodies = {name: bedrock_rerank.body(asked, name) for name in {call.model.base_id for call in calls}}
    made = [call._replace(body=bodies[call.model.base_id]) for call in calls]
    folded = await completions.fold(exchange, made)
    return _answer(exchange, bedrock_rerank.answer(asked, b"".join(folded.completion.passed)), folded.begun)


async def _answered(exchange: Exchange, operation: RelayedOperation) -> Answer:
    taken = NONE_TAKEN if operation == "count-tokens" else TAKEN
    body, value = await read_json_bytes(exchange, typed=False, taken=taken)
    return await _whole(exchange, _calls(exchange, operation, body, value))


async def _stream(exchange: Exchange, operation: RelayedOperation) -> None:
    body, value = await read_json_bytes(exchange, typed=False, taken=TAKEN)
    calls = _calls(exchange, operation, body, value)
    await completions.stream(exchange, calls, bedrock_answers.FRAMES, bedrock_answers.headers)


def _calls(
    exchange: Exchange, operation: RelayedOperation, body: bytes, value: Any
) -> Sequence[UpstreamCall]:
    s3_locations = exchange.services.limits.s3_locations
    bedrock_requests.check(body, value, s3_locations=s3_locations)
    if operation == "count-tokens":
        bedrock_requests.check_counted(value, s3_locations=s3_locations)
    asked = exchange.request
    headers = bedrock_requests.headers(
        asked.headers, exchange.header, invoked=operation in INVOKED, plain=not asked.speaks_of_aws
    )
    request = RelayRequest(exchange.parameters["modelId"], operation, body, headers)
    return exchange.upstream.relay(request)


async def _whole(exchange: Exchange, calls: Sequence[UpstreamCall]) -> Answer:
    begun, completion, _ = await completions.fold(exchange, calls)
    answer = _answer(exchange, b"".join(completion.passed), begun)
    answer.headers["Content-Type"] = begun.headers.get("content-type", "application/json")
    return answer


def _answer(exchange: Exchange, body: bytes, begun: Begun) -> Answer:
    request_id = exchange.log.request_id
    answer = rendered_json(body, request_id, upstream_request_id=begun.upstream_request_id)
    answer.headers |= bedrock_answers.headers(begun, request_id)
    return answer
