"""The content blocks in which Converse and Nova take a conversation; Nova's InvokeModel body borrows them.

Bytes are base64 text in both: botocore does that to blobs on Converse's JSON wire, Nova asks for it.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from gateway.codecs.documents import converse_document, make_names_unique
from gateway.codecs.parameters import max_tokens, stop_sequences, tool_choice
from gateway.codecs.reasoning import nova_decides
from gateway.codecs.turns import NAMES, has_tool_parts, turns
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
    from collections.abc import Callable, Iterator, Mapping
    from typing import Literal

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Tool, ToolChoice

Block = dict[str, Any]
Writers = dict[type[Part], "Callable[[Any], Block]"]


def conversation(request: CompletionRequest, writers: Writers) -> list[Block]:
    """Return the messages as blocks.

    Raises:
        InvalidRequest: the order of turns is wrong, or the family has no block for a part.
    """
    messages: list[Block] = [
        {"role": turn.role, "content": [_block(path, part, writers) for path, part in turn.parts]}
        for turn in turns(request)
    ]
    make_names_unique(_documents(messages))
    return messages


def _documents(messages: list[Block]) -> Iterator[Block]:
    for message in messages:
        for block in message["content"]:
            if "document" in block:
                yield block["document"]
            elif "toolResult" in block:
                yield from [item["document"] for item in block["toolResult"]["content"] if "document" in item]


def system_blocks(request: CompletionRequest, writers: Writers) -> list[Block]:
    """Return the system text as blocks: as one, unless something in it is to be cached by itself."""
    if not any(type(part) is CachePoint for part in request.system):
        return [{"text": request.system_text}]
    return [writers[type(part)](part) for part in request.system]


def _block(path: str, part: Part, writers: Writers) -> Block:
    write = writers.get(type(part))
    if write is None:
        raise InvalidRequest(f"this model does not take {NAMES[type(part)]}.", param=path)
    return write(part)


def _text(part: TextPart) -> Block:
    return {"text": part.text}


def _image(part: ImagePart) -> Block:
    return {"image": {"format": part.format, "source": {"bytes": b64encode(part.data).decode()}}}


def _cache_point(part: CachePoint) -> Block:
    point = {"type": "default"} if part.ttl is None else {"type": "default", "ttl": part.ttl}
    return {"cachePoint": point}


def _tool_use(part: ToolUsePart) -> Block:
    return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": part.arguments}}


def _tool_result(part: ToolResultPart) -> Block:
    content = [_RESULTS[type(item)](item) for item in part.content]
    result: Block = {"toolUseId": part.tool_use_id, "content": content}
    if part.is_error:  # `status` is only said where it matters: just Claude and Nova take it
        result["status"] = "error"
    return {"toolResult": result}


def _reasoning(part: ReasoningPart) -> Block:
    if part.redacted is not None:
        return {"reasoningContent": {"redactedContent": part.redacted}}
    text: Block = {"text": part.text}
    if part.signature is not None:
        text["signature"] = part.signature
    return {"reasoningContent": {"reasoningText": text}}


_RESULTS: Writers = {TextPart: _text, ImagePart: _image, DocumentPart: converse_document}
NOVA_WRITERS: Writers = {
    TextPart: _text,
    ImagePart: _image,
    DocumentPart: converse_document,
    CachePoint: lambda _: {"cachePoint": {"type": "default"}},  # for five minutes, which is all that it knows
    ToolUsePart: _tool_use,
    ToolResultPart: _tool_result,
}
WRITERS: Writers = {**NOVA_WRITERS, CachePoint: _cache_point, ReasoningPart: _reasoning}


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────


def inference_config(
    request: CompletionRequest,
    model: Model,
    sampled: Mapping[str, float],
    family: Literal["nova", "converse"],
) -> Block:
    """Return `inferenceConfig`: what the caller or the gateway's default says, nothing else."""
    config: Block = {}
    limit = None
    if request.reasoning is None or not nova_decides(request, model):
        limit = max_tokens(request, model)
    elif request.allowance is not None and request.allowance.highest is not None:
        raise InvalidRequest(
            "reasoning: with an effort of high this model takes no limit of output, and this caller has one.",
            param="reasoning",
        )
    if limit is not None:
        config["maxTokens"] = limit
    for name, wire_name in (("temperature", "temperature"), ("top_p", "topP")):
        if name in sampled:
            config[wire_name] = sampled[name]
    if request.stop:
        config["stopSequences"] = stop_sequences(request, family)
    return config


def tool_config(request: CompletionRequest) -> Block | None:
    """Return `toolConfig`, None where no tool may be called.

    There is no word for "no tool": the tools are left out, which Bedrock only takes while the conversation
    has no tool calls or results.

    Raises:
        InvalidRequest: the conversation has tool calls or results and no tools could be sent with it.
    """
    choice = tool_choice(request)
    forbidden = choice is not None and choice.mode == "none"
    if not request.tools or forbidden:
        if has_tool_parts(request):
            raise InvalidRequest(
                "this model wants the tools of a conversation that has tool calls or results"
                + (", and cannot be told not to call them." if forbidden else "."),
                param="tool_choice" if forbidden else "tools",
            )
        return None
    tools: list[Block] = []
    for tool in request.tools:
        tools.append(_tool(tool))
        if tool.cache is not None:
            tools.append(_cache_point(tool.cache))
    config: Block = {"tools": tools}
    if choice is not None:
        config["toolChoice"] = _choice(choice)
    return config


def _tool(tool: Tool) -> Block:
    spec: Block = {"name": tool.name, "inputSchema": {"json": tool.input_schema}}
    if tool.description is not None:
        spec["description"] = tool.description
    if tool.strict:
        spec["strict"] = True
    return {"toolSpec": spec}


def _choice(choice: ToolChoice) -> Block:
    return {choice.mode: {"name": choice.name} if choice.mode == "tool" else {}}
