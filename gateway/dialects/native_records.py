"""The native API's answers: events and errors out as the records of the stream.

The vocabulary is DESIGN.md's: `start`, deltas, then exactly one of `done` and `error`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from gateway.dialects.protocol import ErrorAnswer
from gateway.domain import (
    Citation,
    Event,
    PassedOn,
    ReasoningDelta,
    Stop,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)

if TYPE_CHECKING:
    from gateway.completion import Completion
    from gateway.dialects.protocol import Begun, Ended
    from gateway.domain import ReasoningPart
    from gateway.errors import GatewayError

Record = dict[str, Any]
PING: Record = {"type": "ping"}
"""Says nothing but that the stream is alive."""


def start(begun: Begun) -> Record:
    """Return the first record of a stream."""
    return {
        "type": "start",
        "id": begun.id,
        "model": begun.model,
        "provider": begun.provider,
        "upstream_request_id": begun.upstream_request_id,
    }


def delta(event: Event) -> Record | None:
    """Return the record of an event; None for usage and stop, which `done` carries."""
    match event:
        case TextDelta():
            return {"type": "text_delta", "text": event.text}
        case ReasoningDelta():
            return {"type": "reasoning_delta", **_given(event)}
        case ToolCall():
            return {"type": "tool_call", "index": event.index, "id": event.id, "name": event.name}
        case ToolCallDelta():
            return {"type": "tool_call_delta", "index": event.index, "arguments": event.arguments}
        case Citation():
            return {"type": "citation", "citation": event.citation}
        case Usage() | Stop() | PassedOn():
            return None
        case _:
            assert_never(event)


def done(ended: Ended) -> Record:
    """Return the terminal record of an answer that is whole.

    `finish_reason` is ours, `stop_reason` is the model's own word for it. `cost_usd` is null where a counter
    or a price is not known.
    """
    stop = ended.stop
    return {
        "type": "done",
        "finish_reason": str(stop.reason),
        "stop_reason": stop.raw,
        "usage": usage(ended.usage),
        "cost_usd": ended.cost_usd,
        "timing": dict(ended.timing()),
    }


def error(fault: GatewayError, tokens: Usage, *, request_id: str) -> Record:
    """Return the terminal record of an answer that failed, with the usage known so far."""
    return {"type": "error", "error": problem(fault, request_id=request_id), "usage": usage(tokens)}


def problem(fault: GatewayError, *, request_id: str) -> Record:
    """Return the one shape that errors have, in a stream and as the body of an HTTP answer."""
    record: Record = {"code": fault.code, "message": fault.message, "retryable": fault.retryable}
    if fault.param is not None:
        record["param"] = fault.param
    record["request_id"] = request_id
    record["upstream_request_id"] = fault.upstream_request_id
    return record


def refusal(fault: GatewayError, request_id: str) -> ErrorAnswer:
    """Return the answer for an error that came before the first byte."""
    return ErrorAnswer(fault.status, {"error": problem(fault, request_id=request_id)}, {})


def usage(tokens: Usage) -> Record:
    """Return the four counters; null where Bedrock has not told."""
    return {
        "input_tokens": tokens.input_tokens,
        "output_tokens": tokens.output_tokens,
        "cache_read_tokens": tokens.cache_read_tokens,
        "cache_write_tokens": tokens.cache_write_tokens,
    }


def completion(begun: Begun, whole: Completion, ended: Ended) -> Record:
    """Return the unary answer: the records of the stream, folded into one."""
    message: Record = {"role": "assistant", "content": whole.text}
    if whole.reasoning:
        message["reasoning"] = [_given(block) for block in whole.reasoning]
    if whole.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in whole.tool_calls
        ]
    if whole.citations:
        message["citations"] = whole.citations
    return {**start(begun), **done(ended), "type": "completion", "message": message}


def _given(block: ReasoningDelta | ReasoningPart) -> Record:
    """Return what a piece or block of reasoning really has."""
    fields = {"text": block.text, "signature": block.signature, "redacted": block.redacted}
    return {name: value for name, value in fields.items() if value}
