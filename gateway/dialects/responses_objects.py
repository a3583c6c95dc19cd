"""The objects of OpenAI's Responses: the response itself, and the items of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.completion import FoldedReasoning, FoldedText
from gateway.domain import FinishReason
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.completion import Block, Completion, FoldedToolCall
    from gateway.dialects.protocol import Begun, Ended
    from gateway.domain import JsonObject, Usage

Object = dict[str, Any]

INCOMPLETE: Mapping[FinishReason, str] = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "content_filter",
}
"""Why an answer is not complete, where it is not."""

_SIGNATURE, _REDACTED = "signature:", "redacted:"


class Echo(NamedTuple):
    """What the response says of the request: the fields as the caller gave them."""

    fields: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Echo:
        """Return the echo of a body that has been found valid."""
        given = {name: value for name, value in body.items() if value is not None}
        return cls(
            {
                "background": False,
                "instructions": given.get("instructions"),
                "max_output_tokens": given.get("max_output_tokens"),
                "metadata": given.get("metadata", {}),
                "parallel_tool_calls": given.get("parallel_tool_calls", True),
                "previous_response_id": None,
                "reasoning": given.get("reasoning", {"effort": None, "summary": None}),
                "service_tier": given.get("service_tier", "auto"),
                "store": False,
                "temperature": given.get("temperature"),
                "text": given.get("text", {"format": {"type": "text"}}),
                "tool_choice": given.get("tool_choice", "auto"),
                "tools": given.get("tools", []),
                "top_p": given.get("top_p"),
                "truncation": "disabled",
                "user": given.get("user"),
            }
        )


def response(begun: Begun, created_at: int, echo: Echo) -> Object:
    """Return the response as it is at its beginning."""
    return {
        "id": response_id(begun),
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": begun.model,
        "output": [],
        "usage": None,
        **echo.fields,
    }


def response_id(begun: Begun) -> str:
    """Return the response's id: the completion's with OpenAI's prefix."""
    return "resp_" + begun.id.partition("_")[2]


def ending(ended: Ended) -> Object:
    """Return the fields of the response that its end decides."""
    reason = INCOMPLETE.get(ended.stop.reason)
    return {
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "usage": usage(ended.usage),
    }


def whole(begun: Begun, completion: Completion, ended: Ended, created_at: int, echo: Echo) -> Object:
    """Return the response to a request that does not stream."""
    items = [item(item_id(begun, number, block), block) for number, block in enumerate(completion.blocks)]
    end = ending(ended)
    if items and items[-1]["type"] == "message":  # what was being said when it ended is as whole as that
        items[-1]["status"] = end["status"]
    return {**response(begun, created_at, echo), **end, "output": items}


# ── items ─────────────────────────────────────────────────────────────────────────────────────────────

_PREFIXES = {"FoldedText": "msg", "FoldedReasoning": "rs", "FoldedToolCall": "fc"}


def item_id(begun: Begun, number: int, block: Block) -> str:
    """Return the id of item `number` of the output: nobody else has it, and both ways of asking agree."""
    return f"{_PREFIXES[type(block).__name__]}_{begun.id.partition('_')[2]}_{number}"


def item(name: str, block: Block) -> Object:
    """Return one whole item of the output."""
    if isinstance(block, FoldedText):
        return message(name, [output_text(block.text, block.citations)], "completed")
    if isinstance(block, FoldedReasoning):
        return reasoning(name, block)
    return function_call(name, block, "completed")


def message(name: str, content: Sequence[Object], status: str) -> Object:
    """Return a message of the model's."""
    return {"id": name, "type": "message", "status": status, "role": "assistant", "content": list(content)}


def output_text(text: str, citations: Sequence[JsonObject]) -> Object:
    """Return the text of a message; a citation keeps Bedrock's own fields."""
    annotations = [annotation(citation) for citation in citations]
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}


def annotation(citation: JsonObject) -> Object:
    """Return a citation; OpenAI's kinds of annotation have no place for what Bedrock tells of it."""
    return {"type": "bedrock_citation", **citation}


def reasoning(name: str, block: FoldedReasoning) -> Object:
    """Return a block of reasoning; `encrypted_content` is what the model wants back with it."""
    text = "".join(block.pieces)
    return {
        "id": name,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if text else [],
        "encrypted_content": sealed(block.signature, block.redacted),
    }


def function_call(name: str, call: FoldedToolCall, status: str) -> Object:
    """Return a call that the model makes."""
    return {
        "id": name,
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


def sealed(signature: str | None, redacted: str | None) -> str | None:
    """Return what a model wants back with its reasoning as one text, None where it wants nothing."""
    if redacted is not None:
        return _REDACTED + redacted
    return None if signature is None else _SIGNATURE + signature


def unsealed(text: str, path: str) -> tuple[str | None, str | None]:
    """Return the signature and the redacted reasoning in a text of `sealed`.

    Raises:
        InvalidRequest: it is none of ours.
    """
    if text.startswith(_SIGNATURE):
        return text.removeprefix(_SIGNATURE), None
    if text.startswith(_REDACTED):
        return None, text.removeprefix(_REDACTED)
    raise InvalidRequest("This is not from an answer of this gateway: give it back as it came.", param=path)


def usage(tokens: Usage) -> Object | None:
    """Return the counters: OpenAI's count cached tokens as input. None where Bedrock has not told enough."""
    if tokens.input_tokens is None or tokens.output_tokens is None:
        return None
    asked = tokens.input_tokens + (tokens.cache_read_tokens or 0) + (tokens.cache_write_tokens or 0)
    return {
        "input_tokens": asked,
        "input_tokens_details": {
            "cached_tokens": tokens.cache_read_tokens,
            "cache_write_tokens": tokens.cache_write_tokens,
        },
        "output_tokens": tokens.output_tokens,
        "output_tokens_details": {"reasoning_tokens": None},
        "total_tokens": asked + tokens.output_tokens,
    }
