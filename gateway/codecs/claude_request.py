"""The body of a Claude request: messages, tools and parameters of the Messages API on Bedrock."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.documents import claude_document
from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences, tool_choice
from gateway.codecs.reasoning import claude_thinking
from gateway.codecs.turns import turns
from gateway.domain import (
    CachePoint,
    DocumentPart,
    ImagePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolResultPart,
    ToolUsePart,
)
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.catalog.model import Model
    from gateway.codecs.turns import Turn
    from gateway.domain import CompletionRequest, Tool, ToolChoice

ANTHROPIC_VERSION: Final = "bedrock-2023-05-31"
"""The only value that Bedrock accepts."""

_TOP_K = 500
_UNMARKED = frozenset({"thinking", "redacted_thinking"})
"""Blocks that cannot carry a cache point."""

Block = dict[str, Any]


def body(request: CompletionRequest, model: Model) -> bytes:
    """Return the InvokeModel body.

    Raises:
        InvalidRequest: Claude cannot do what is asked.
    """
    sampled = sampling(request, model, top_k=_TOP_K)
    claude: Block = {
        "anthropic_version": ANTHROPIC_VERSION,
        "max_tokens": max_tokens(request, model),
        "messages": [{"role": turn.role, "content": _content(turn)} for turn in turns(request)],
    }
    if request.system:
        claude["system"] = _system(request)
    claude |= sampled
    if request.stop:
        claude["stop_sequences"] = stop_sequences(request, "claude")
    choice = tool_choice(request)
    if request.tools:
        claude["tools"] = [_tool(tool) for tool in request.tools]
        if choice is not None or request.parallel_tool_calls is False:
            claude["tool_choice"] = claude_choice(request, choice)
    if request.reasoning is not None or request.response_format is not None:
        claude |= _manner(request, model)
    if request.betas:
        claude["anthropic_beta"] = list(request.betas)
    return invoked(claude, request)


def _manner(request: CompletionRequest, model: Model) -> Block:
    """Return how much Claude is to think, and the form of its answer."""
    thinking, effort, limit = claude_thinking(request, model)
    form = request.response_format
    output: Block = {}
    if effort is not None:
        output["effort"] = effort
    if form is not None:
        described = (
            {} if form.description is None else {"description": form.description}
        )  # has no other place
        output["format"] = {"type": "json_schema", "schema": {**described, **(form.schema or {})}}
    said = {"thinking": thinking, "output_config": output, "max_tokens": limit}
    return {name: value for name, value in said.items() if value}


def claude_choice(request: CompletionRequest, choice: ToolChoice | None) -> Block:
    """Return Claude's `tool_choice`, which is also where it is told to call one tool at a time."""
    mode = "auto" if choice is None else choice.mode
    said: Block = {"type": mode}
    if choice is not None and mode == "tool":
        said["name"] = choice.name
    if request.parallel_tool_calls is False and mode != "none":
        said["disable_parallel_tool_use"] = True
    return said


def _system(request: CompletionRequest) -> str | list[Block] | None:
    """Return the system text: as blocks where something in it is to be cached."""
    if not any(type(part) is CachePoint for part in request.system):
        return request.system_text
    blocks: list[Block] = []
    for number, part in enumerate(request.system):
        if isinstance(part, CachePoint):
            _mark(f"system[{number}]", part, blocks)
        else:
            blocks.append(_text("", part))
    return blocks


def _content(turn: Turn) -> list[Block]:
    """Return the blocks of a turn; a cache point is a mark on the block that it closes."""
    blocks: list[Block] = []
    for path, part in turn.parts:
        if isinstance(part, CachePoint):
            _mark(path, part, blocks)
        else:
            blocks.append(_WRITERS[type(part)](path, part))
    return blocks


def _mark(path: str, point: CachePoint, blocks: list[Block]) -> None:
    if not blocks or blocks[-1]["type"] in _UNMARKED or "cache_control" in blocks[-1]:
        raise InvalidRequest("a cache point must stand behind what it closes, once.", param=path)
    blocks[-1]["cache_control"] = _cache_control(point)


def _cache_control(point: CachePoint) -> Block:
    return {"type": "ephemeral"} if point.ttl is None else {"type": "ephemeral", "ttl": point.ttl}


def _text(_path: str, part: TextPart) -> Block:
    return {"type": "text", "text": part.text}


def _image(_path: str, part: ImagePart) -> Block:
    source = {
        "type": "base64",
        "media_type": f"image/{part.format}",
        "data": b64encode(part.data).decode(),
    }
    return {"type": "image", "source": source}


def _reasoning(path: str, part: ReasoningPart) -> Block:
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    if part.signature is None:
        raise InvalidRequest("Claude takes reasoning back only with its signature.", param=path)
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _tool_use(_path: str, part: ToolUsePart) -> Block:
    return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}


def _tool_result(path: str, part: ToolResultPart) -> Block:
    content = [_WRITERS[type(item)](path, item) for item in part.content]
    block: Block = {"type": "tool_result", "tool_use_id": part.tool_use_id, "content": content}
    if part.is_error:
        block["is_error"] = True
    return block


_WRITERS: dict[type[Part], Callable[[str, Any], Block]] = {
    TextPart: _text,
    ImagePart: _image,
    DocumentPart: claude_document,
    ReasoningPart: _reasoning,
    ToolUsePart: _tool_use,
    ToolResultPart: _tool_result,
}


def _tool(tool: Tool) -> Block:
    block: Block = {"name": tool.name, "input_schema": tool.input_schema}
    if tool.description is not None:
        block["description"] = tool.description
    if tool.strict:
        block["strict"] = True
    if tool.cache is not None:
        block["cache_control"] = _cache_control(tool.cache)
    return block
