"""The whole answer of Anthropic's Messages API, and what its stream has in common with it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from gateway.completion import FoldedReasoning, FoldedText
from gateway.domain import FinishReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.completion import Block, Completion
    from gateway.dialects.protocol import Begun, Ended
    from gateway.domain import JsonObject, Stop, Usage

Json: TypeAlias = dict[str, Any]

STOP_REASONS: Final[Mapping[str, FinishReason]] = MappingProxyType(
    {
        "end_turn": FinishReason.STOP,
        "stop_sequence": FinishReason.STOP,
        "pause_turn": FinishReason.STOP,
        "max_tokens": FinishReason.LENGTH,
        "model_context_window_exceeded": FinishReason.LENGTH,
        "tool_use": FinishReason.TOOL_CALLS,
        "refusal": FinishReason.REFUSAL,
    }
)
"""Anthropic's own words, which many models behind Bedrock use, and what they say."""
_WORDS: Final[Mapping[FinishReason, str]] = MappingProxyType(
    {
        FinishReason.STOP: "end_turn",
        FinishReason.LENGTH: "max_tokens",
        FinishReason.TOOL_CALLS: "tool_use",
        FinishReason.CONTENT_FILTER: "refusal",
        FinishReason.REFUSAL: "refusal",
    }
)
_LOCATIONS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "documentChar": ("char_location", "start_char_index", "end_char_index"),
        "documentPage": ("page_location", "start_page_number", "end_page_number"),
        "documentChunk": ("content_block_location", "start_block_index", "end_block_index"),
    }
)
"""Converse's kinds of a citation's place: Anthropic's type, and the names of its beginning and end."""


def message(begun: Begun, completion: Completion, ended: Ended, *, stop: tuple[str, ...] = ()) -> Json:
    """Return the whole answer; `stop` are the stop sequences that were asked for."""
    return {
        **opening(begun),
        "content": [_block(block) for block in completion.blocks],
        **ending(ended.stop, stop),
        "usage": usage(ended.usage),
    }


def opening(begun: Begun) -> Json:
    """Return the message of an answer that has begun: nothing is said yet, and nothing is counted."""
    return {
        "id": f"msg_{begun.id.removeprefix('cmpl_')}",
        "type": "message",
        "role": "assistant",
        "model": begun.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def ending(stop: Stop, sequences: tuple[str, ...]) -> Json:
    """Return why the model stopped: in its own word where that says the same.

    It does not where a guardrail has judged, or a tool was called to give the answer a form.
    Which of several stop sequences it was Bedrock does not tell; of one that was asked for alone it is known.
    """
    reason = stop.raw if STOP_REASONS.get(stop.raw) is stop.reason else _WORDS[stop.reason]
    found = sequences[0] if reason == "stop_sequence" and len(sequences) == 1 else None
    return {"stop_reason": reason, "stop_sequence": found}


def usage(tokens: Usage) -> Json:
    """Return the four counters by Anthropic's names.

    Its clients need the first two to be numbers: 0 where Bedrock has not told. The others may be null.
    """
    return {
        "input_tokens": tokens.input_tokens or 0,
        "cache_creation_input_tokens": tokens.cache_write_tokens,
        "cache_read_input_tokens": tokens.cache_read_tokens,
        "output_tokens": tokens.output_tokens or 0,
    }


def citation(given: JsonObject) -> JsonObject:
    """Return a citation in Anthropic's shape: Claude's own as it is, Converse's translated if it has one."""
    location = given.get("location")
    if "type" in given or not isinstance(location, dict):
        return given
    kind, place = next(iter(location.items()), ("", {}))
    if kind not in _LOCATIONS or not isinstance(place, dict):
        return given
    name, start, end = _LOCATIONS[kind]
    cited = [piece.get("text", "") for piece in given.get("sourceContent", ()) if isinstance(piece, dict)]
    return {
        "type": name,
        "cited_text": "".join(cited),
        "document_index": place.get("documentIndex", 0),
        "document_title": given.get("title"),
        start: place.get("start"),
        end: place.get("end"),
    }


def _block(block: Block) -> Json:
    if isinstance(block, FoldedText):
        text: Json = {"type": "text", "text": block.text}
        if block.citations:
            text["citations"] = [citation(given) for given in block.citations]
        return text
    if isinstance(block, FoldedReasoning):
        part = block.part
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": _input(block.arguments)}


def _input(arguments: str) -> Json:
    """Return the arguments of a call; what is no object (the answer was cut), in Anthropic's wrapping.

    Its page on fine-grained tool streaming gives invalid JSON this one key.
    """
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}
