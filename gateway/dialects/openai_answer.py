"""OpenAI's `chat.completion`: the folded answer, and what it shares with the chunks of a stream.

Beside OpenAI's own fields: `reasoning_content`, the reasoning to read, as DeepSeek named it and LiteLLM, vLLM
and the Vercel AI SDK read it; `thinking_blocks`, the same with signatures and redacted blocks, to be sent
back as it is, as LiteLLM names it; `citations` in the provider's shape; `native_finish_reason`, the model's
own word, as OpenRouter names it; `usage.cost_usd`.

A refusal (Claude's `refusal`) ends with `content_filter`. What the model said before is `content`, because a
stream has told it by then; `refusal` stays null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.dialects import vectors
from gateway.domain import FinishReason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.completion import Completion
    from gateway.dialects.protocol import Begun, Ended
    from gateway.dialects.vectors import Encoding
    from gateway.domain import ReasoningPart, Usage

Json = dict[str, Any]

FINISH_REASONS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "content_filter",
}


def head(kind: str, begun: Begun, created: int, service_tier: str | None) -> Json:
    """Return what an answer and each of its chunks begin with.

    `model` is the id that answers, not an alias. `service_tier` is the one that was asked for, left out where
    none was: Bedrock does not say in a stream's time which one serves.
    """
    fields: Json = {
        "id": f"chatcmpl-{begun.id.rpartition('_')[2]}",
        "object": kind,
        "created": created,
        "model": begun.model,
    }
    if service_tier is not None:
        fields["service_tier"] = service_tier
    return fields


def completion(
    begun: Begun, whole: Completion, ended: Ended, *, created: int, service_tier: str | None
) -> Json:
    """Return the unary answer; `created` is in seconds since 1970."""
    choice = {"index": 0, "message": _message(whole), "logprobs": None, **finish(ended)}
    return {
        **head("chat.completion", begun, created, service_tier),
        "system_fingerprint": None,
        "choices": [choice],
        "usage": usage(ended.usage, ended.cost_usd),
    }


def finish(ended: Ended) -> Json:
    """Return why the answer ended, in OpenAI's word and in the model's own."""
    stop = ended.stop
    return {"finish_reason": FINISH_REASONS[stop.reason], "native_finish_reason": stop.raw}


def usage(tokens: Usage, cost_usd: float | None = None) -> Json:
    """Return the counters; null where Bedrock has not told.

    OpenAI counts cached tokens among the prompt's, Bedrock beside it: `prompt_tokens` less both details is
    Bedrock's `inputTokens`.
    """
    asked, said, read, written = tokens
    prompt = None if asked is None else asked + (read or 0) + (written or 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": None if prompt is None or said is None else prompt + said,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "cost_usd": cost_usd,
    }


def _message(whole: Completion) -> Json:
    """Return the assistant's message: it can be sent back in the next turn as it is."""
    text = whole.text
    message: Json = {"role": "assistant", "content": text or ("" if not whole.tool_calls else None)}
    message["refusal"] = None
    blocks = whole.reasoning
    if blocks:
        if read := "".join([block.text for block in blocks]):
            message["reasoning_content"] = read
        message["thinking_blocks"] = [_thinking(block) for block in blocks]
    if whole.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in whole.tool_calls
        ]
    if whole.citations:
        message["citations"] = whole.citations
    return message


def _thinking(block: ReasoningPart) -> Json:
    if block.redacted is not None:
        return {"type": "redacted_thinking", "data": block.redacted}
    thinking = {"type": "thinking", "thinking": block.text}
    return thinking if block.signature is None else {**thinking, "signature": block.signature}


def embeddings(
    model: str, found: Sequence[Sequence[float]], encoding: Encoding, input_tokens: int | None
) -> dict[str, Any]:
    """Return the list of the vectors; the counters are null where Bedrock has not told."""
    return {
        "object": "list",
        "model": model,
        "data": [{"object": "embedding", **vector} for vector in vectors.records(found, encoding)],
        "usage": {"prompt_tokens": input_tokens, "total_tokens": input_tokens},
    }
