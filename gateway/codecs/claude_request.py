"""The body of a Claude request: messages, tools and parameters of the Messages API on Bedrock."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.parameters import encode, max_tokens, sampling, stop_sequences, tool_choice
from gateway.codecs.turns import turns
from gateway.domain import ImagePart, Part, ReasoningPart, TextPart, ToolResultPart, ToolUsePart
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Tool, ToolChoice

ANTHROPIC_VERSION: Final = "bedrock-2023-05-31"
"""The only value that Bedrock accepts."""

_TOP_K = 500

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
        "messages": [
            {"role": turn.role, "content": [_WRITERS[type(part)](path, part) for path, part in turn.parts]}
            for turn in turns(request)
        ],
    }
    if request.system:
        claude["system"] = request.system_text
    claude |= sampled
    if request.stop:
        claude["stop_sequences"] = stop_sequences(request, "claude")
    choice = tool_choice(request)
    if request.tools:
        claude["tools"] = [_tool(tool) for tool in request.tools]
        if choice is not None:
            claude["tool_choice"] = _choice(choice)
    return encode(claude)


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
    ReasoningPart: _reasoning,
    ToolUsePart: _tool_use,
    ToolResultPart: _tool_result,
}


def _tool(tool: Tool) -> Block:
    block: Block = {"name": tool.name, "input_schema": tool.input_schema}
    if tool.description is not None:
        block["description"] = tool.description
    return block


def _choice(choice: ToolChoice) -> Block:
    return {"type": "tool", "name": choice.name} if choice.mode == "tool" else {"type": choice.mode}
