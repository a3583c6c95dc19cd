"""Requests of the domain as callers of each dialect would write them: the way back, written once more.

Each writer writes what its dialect has words for; `test_round_trips` knows what each of them has none for.
"""

from __future__ import annotations

import base64
import json
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.dialects import (
    anthropic_messages,
    bedrock_headers,
    native,
    openai_chat,
    responses,
)
from gateway.dialects.inline_content import DOCUMENT_TYPES
from gateway.dialects.responses_objects import sealed
from gateway.domain import (
    CachePoint,
    CompletionRequest,
    DocumentPart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    Tool,
    ToolResultPart,
    ToolUsePart,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Json = dict[str, Any]


class Written(NamedTuple):
    """A request as it comes to a dialect: its body, Bedrock's headers, the flags of `anthropic-beta`."""

    body: Any
    headers: Mapping[str, str] = {}
    betas: tuple[str, ...] = ()


class Dialect(NamedTuple):
    """A way to ask: how a request is written in it, and how it is read."""

    write: Callable[[CompletionRequest], Written]
    read: Callable[[Written], CompletionRequest]


def given(**fields: Any) -> Json:
    """Return those of these fields that say something."""
    return {name: value for name, value in fields.items() if value is not None and value not in ((), [], {})}


def _headers(request: CompletionRequest, *names: str) -> Json:
    """Return AWS's headers for what a body has no word for; `names` are the fields that it has none for."""
    headers: Json = {}
    if (guardrail := request.guardrail) is not None and "guardrail" in names:
        headers[bedrock_headers.GUARDRAIL] = guardrail.identifier
        headers[bedrock_headers.VERSION] = guardrail.version
    for name, header in (("latency", bedrock_headers.LATENCY), ("service_tier", bedrock_headers.TIER)):
        if name in names and getattr(request, name) is not None:
            headers[header] = getattr(request, name)
    if "metadata" in names and request.metadata:
        headers[bedrock_headers.METADATA] = json.dumps(request.metadata)
    return headers


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _url(part: ImagePart | DocumentPart) -> str:
    if isinstance(part, ImagePart):
        return f"data:image/{part.format};base64,{_base64(part.data)}"
    kind = next(kind for kind, form in DOCUMENT_TYPES.items() if form == part.format)
    return f"data:{kind};base64,{_base64(part.data)}"


def _runs(parts: Iterable[Part], *apart: type[Part]) -> Iterator[tuple[bool, list[Part]]]:
    """Return the parts in runs: of those kinds, which take the points behind them along, and of others."""
    kinds: list[tuple[bool, Part]] = []
    for part in parts:
        behind = isinstance(part, CachePoint) and bool(kinds) and kinds[-1][0]
        kinds.append((behind or isinstance(part, apart), part))
    for one, run in groupby(kinds, lambda kind: kind[0]):
        yield one, [part for _, part in run]


def _call(part: ToolUsePart) -> Json:
    function = {"name": part.name, "arguments": json.dumps(part.arguments)}
    return {"id": part.id, "type": "function", "function": function}


# ── native ────────────────────────────────────────────────────────────────────────────────────────────


def _write_native(request: CompletionRequest) -> Written:
    form, reasoning, guardrail = request.response_format, request.reasoning, request.guardrail
    return Written(
        given(
            model=request.model,
            messages=[one for message in request.messages for one in _native_messages(message)],
            system=[_native_part(part) for part in request.system],
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            stop=list(request.stop),
            tools=[_native_tool(tool) for tool in request.tools],
            tool_choice=_choice(request),
            parallel_tool_calls=request.parallel_tool_calls,
            reasoning=reasoning and given(effort=reasoning.effort, budget_tokens=reasoning.budget_tokens),
            response_format=form and _chat_form(request),
            seed=request.seed,
            guardrail=guardrail
            and given(
                identifier=guardrail.identifier,
                version=guardrail.version,
                stream_mode=guardrail.stream_mode,
            ),
            service_tier=request.service_tier,
            latency=request.latency,
            betas=list(request.betas),
            metadata=dict(request.metadata),
            provider=request.provider,
        )
    )


def _native_messages(message: Message) -> Iterator[Json]:
    if message.role == "assistant":
        yield {
            "role": "assistant",
            "reasoning": [
                given(text=part.text or None, signature=part.signature, redacted=part.redacted)
                for part in message.content
                if isinstance(part, ReasoningPart)
            ],
            "content": [
                _native_part(part)
                for part in message.content
                if not isinstance(part, ReasoningPart | ToolUsePart)
            ],
            "tool_calls": [_call(part) for part in message.content if isinstance(part, ToolUsePart)],
        }
        return
    for of_results, run in _runs(message.content, ToolResultPart):
        if not of_results:
            yield {"role": "user", "content": [_native_part(part) for part in run]}
            continue
        for part in run:
            if isinstance(part, ToolResultPart):
                yield {
                    "role": "tool",
                    "tool_call_id": part.tool_use_id,
                    "is_error": part.is_error,
                    "content": [_native_part(item) for item in part.content],
                }
            else:  # a user's message joins the tool's, and may begin with a point
                yield {"role": "user", "content": [_native_part(part)]}


def _native_part(part: Any) -> Json:
    match part:
        case CachePoint():
            return given(type="cache_point", ttl=part.ttl)
        case ImagePart():
            return {"type": "image_url", "image_url": {"url": _url(part)}}
        case DocumentPart():
            file = {"filename": part.name, "file_data": _url(part)}
            return {"type": "file", "file": file, "citations": part.citations, "context": part.context}
        case _:
            return {"type": "text", "text": part.text}


def _native_tool(tool: Tool) -> Json:
    return given(
        type="function",
        function=_function(tool),
        cache_point=None if tool.cache is None else {"ttl": tool.cache.ttl},
    )


def _function(tool: Tool) -> Json:
    said = given(name=tool.name, description=tool.description, strict=tool.strict)
    return {**said, "parameters": tool.input_schema}


def _choice(request: CompletionRequest) -> Any:
    choice = request.tool_choice
    if choice is None:
        return None
    words = {"auto": "auto", "none": "none", "any": "required"}
    return words.get(choice.mode) or {"type": "function", "function": {"name": choice.name}}


def _chat_form(request: CompletionRequest) -> Json:
    form = request.response_format
    if form is None or (form.schema is None and form.name is None):
        return {"type": "json_object"}
    told = given(name=form.name, description=form.description, strict=form.strict)
    return {"type": "json_schema", "json_schema": {**told, "schema": form.schema}}


# ── OpenAI's chat ─────────────────────────────────────────────────────────────────────────────────────


def _write_chat(request: CompletionRequest) -> Written:
    system: list[Json] = [{"role": "system", "content": _chat_parts(request.system)}]
    reasoning = request.reasoning
    body = given(
        model=request.model,
        messages=[
            *(system if request.system else []),
            *(one for message in request.messages for one in _chat_messages(message)),
        ],
        max_completion_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=list(request.stop),
        tools=[_chat_tool(tool) for tool in request.tools],
        tool_choice=_choice(request),
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=request.response_format and _chat_form(request),
        seed=request.seed,
        service_tier=request.service_tier,
        metadata=dict(request.metadata),
    )
    if reasoning is not None and reasoning.effort is not None:
        body["reasoning_effort"] = reasoning.effort
    elif reasoning is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": reasoning.budget_tokens}
    return Written(body, _headers(request, "guardrail", "latency"))


def _mark(point: CachePoint) -> Json:
    return {"cache_control": given(type="ephemeral", ttl=point.ttl)}


def _chat_tool(tool: Tool) -> Json:
    mark = {} if tool.cache is None else _mark(tool.cache)
    return {"type": "function", "function": _function(tool), **mark}


def _chat_messages(message: Message) -> Iterator[Json]:
    if message.role == "assistant":
        yield _chat_assistant(message)
        return
    for of_results, run in _runs(message.content, ToolResultPart):
        if not of_results:
            yield {"role": "user", "content": _chat_parts(run)}
            continue
        results: list[Json] = []
        for part in run:
            if isinstance(part, ToolResultPart):
                content = _chat_parts(part.content)
                results.append({"role": "tool", "tool_call_id": part.tool_use_id, "content": content})
            elif isinstance(part, CachePoint):
                results[-1] |= _mark(part)
        yield from results


def _chat_assistant(message: Message) -> Json:
    written: Json = {"role": "assistant", "thinking_blocks": [], "tool_calls": []}
    said: list[Part] = []
    for part in message.content:
        if isinstance(part, ReasoningPart):
            thinking = given(type="thinking", thinking=part.text or None, signature=part.signature)
            redacted = {"type": "redacted_thinking", "data": part.redacted}
            written["thinking_blocks"].append(thinking if part.redacted is None else redacted)
        elif isinstance(part, ToolUsePart):
            written["tool_calls"].append(_call(part))
        elif isinstance(part, CachePoint) and written["tool_calls"]:
            written |= _mark(part)
        else:
            said.append(part)
    return {**written, "content": _chat_parts(said)}


def _chat_parts(parts: Iterable[Any]) -> list[Json]:
    written: list[Json] = []
    for part in parts:
        match part:
            case CachePoint():
                written[-1] |= _mark(part)
            case ImagePart():
                written.append({"type": "image_url", "image_url": {"url": _url(part)}})
            case DocumentPart():
                file = {"filename": f"{part.name}.{part.format}", "file_data": _url(part)}
                written.append({"type": "file", "file": file})
            case _:
                written.append({"type": "text", "text": part.text})
    return written


# ── OpenAI's Responses ────────────────────────────────────────────────────────────────────────────────


def _write_responses(request: CompletionRequest) -> Written:
    system = [{"role": "system", "content": [{"type": "input_text", "text": request.system_text}]}]
    if request.system:
        system[0]["content"] = [_input_part(part) for part in request.system]
    form, reasoning = request.response_format, request.reasoning
    told: Any = None
    if form is not None and form.schema is None:
        told = {"type": "json_object"}
    elif form is not None:
        named = given(name=form.name, description=form.description, strict=form.strict)
        told = {"type": "json_schema", "schema": form.schema, **named}
    choice = request.tool_choice
    named_choice = {"type": "function", "name": choice.name if choice is not None else None}
    body = given(
        model=request.model,
        input=[
            *(system if request.system else []),
            *(one for message in request.messages for one in _items(message)),
        ],
        max_output_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        tools=[{"type": "function", **_function(tool)} for tool in request.tools],
        tool_choice=named_choice if choice is not None and choice.mode == "tool" else _choice(request),
        parallel_tool_calls=request.parallel_tool_calls,
        reasoning=reasoning and {"effort": reasoning.effort},
        text=None if told is None else {"format": told},
        service_tier=request.service_tier,
        metadata=dict(request.metadata),
    )
    return Written(body, _headers(request, "guardrail", "latency"))


def _items(message: Message) -> Iterator[Json]:
    for apart, run in _runs(message.content, ReasoningPart, ToolUsePart, ToolResultPart):
        if apart:
            yield from (_item(part) for part in run)
        elif message.role == "assistant":
            texts = [{"type": "output_text", "text": text} for text in _texts(run)]
            yield {"type": "message", "role": "assistant", "content": texts}
        else:
            yield {"type": "message", "role": "user", "content": [_input_part(part) for part in run]}


def _texts(parts: Iterable[Part]) -> Iterator[str]:
    return (part.text for part in parts if isinstance(part, TextPart))


def _item(part: Any) -> Json:
    match part:
        case ToolUsePart():
            arguments = json.dumps(part.arguments)
            return {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": arguments}
        case ToolResultPart():
            output = [_input_part(item) for item in part.content]
            return {"type": "function_call_output", "call_id": part.tool_use_id, "output": output}
        case _:
            return {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": part.text}] if part.text else [],
                "encrypted_content": sealed(part.signature, part.redacted),
            }


def _input_part(part: Any) -> Json:
    match part:
        case ImagePart():
            return {"type": "input_image", "image_url": _url(part)}
        case DocumentPart():
            return {"type": "input_file", "filename": part.name, "file_data": _url(part)}
        case _:
            return {"type": "input_text", "text": part.text}


# ── Anthropic ─────────────────────────────────────────────────────────────────────────────────────────


def _write_anthropic(request: CompletionRequest) -> Written:
    reasoning, form, choice = request.reasoning, request.response_format, request.tool_choice
    of_user = request.metadata.keys() == {"user_id"}
    thinking: Any = None
    if reasoning is not None and reasoning.effort is None:
        thinking = {"type": "enabled", "budget_tokens": reasoning.budget_tokens}
    elif reasoning is not None and reasoning.effort == "none":
        thinking = {"type": "disabled"}
    single = None if request.parallel_tool_calls is None else not request.parallel_tool_calls
    body = given(
        model=request.model,
        max_tokens=request.max_tokens,
        messages=[{"role": turn.role, "content": blocks(turn.content)} for turn in request.messages],
        system=blocks(request.system),
        stop_sequences=list(request.stop),
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        tools=[_anthropic_tool(tool) for tool in request.tools],
        tool_choice=choice and given(type=choice.mode, name=choice.name, disable_parallel_tool_use=single),
        thinking=thinking,
        output_config=given(
            effort=reasoning.effort if reasoning is not None and thinking is None else None,
            format=form and {"type": "json_schema", "schema": form.schema},
        ),
        service_tier="standard_only" if request.service_tier == "default" else None,
        metadata=request.metadata if of_user else None,
    )
    beside = ["guardrail", "latency"]
    beside += [] if of_user else ["metadata"]
    beside += [] if request.service_tier == "default" else ["service_tier"]
    return Written(body, _headers(request, *beside), request.betas)


def _anthropic_tool(tool: Tool) -> Json:
    said = given(name=tool.name, description=tool.description, strict=tool.strict)
    mark = {} if tool.cache is None else _mark(tool.cache)
    return {**said, "input_schema": tool.input_schema, **mark}


def blocks(parts: Sequence[Any]) -> list[Json]:
    """Return parts as Anthropic's blocks; a point is a mark on the block before it."""
    written: list[Json] = []
    for part in parts:
        if isinstance(part, CachePoint):
            written[-1] |= _mark(part)
        else:
            written.append(_block(part))
    return written


def _block(part: Any) -> Json:
    match part:
        case ImagePart():
            source = {"type": "base64", "media_type": f"image/{part.format}", "data": _base64(part.data)}
            return {"type": "image", "source": source}
        case DocumentPart():
            cited = {"enabled": True} if part.citations else None
            source = (
                {"type": "text", "media_type": "text/plain", "data": part.data.decode()}
                if part.format == "txt"
                else {"type": "base64", "media_type": "application/pdf", "data": _base64(part.data)}
            )
            return given(
                type="document", source=source, title=part.name, context=part.context, citations=cited
            )
        case ReasoningPart():
            thinking = {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
            return thinking if part.redacted is None else {"type": "redacted_thinking", "data": part.redacted}
        case ToolUsePart():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
        case ToolResultPart():
            return {
                "type": "tool_result",
                "tool_use_id": part.tool_use_id,
                "content": blocks(part.content),
                "is_error": part.is_error,
            }
        case _:
            return {"type": "text", "text": part.text}


# ── the dialects ──────────────────────────────────────────────────────────────────────────────────────


def _with_headers(parse: Callable[[Any], CompletionRequest]) -> Callable[[Written], CompletionRequest]:
    return lambda written: bedrock_headers.apply(parse(written.body), written.headers)


DIALECTS: Mapping[str, Dialect] = {
    "native": Dialect(_write_native, _with_headers(native.parse)),
    "chat": Dialect(_write_chat, _with_headers(lambda body: openai_chat.parse(body).completion)),
    "responses": Dialect(_write_responses, _with_headers(lambda body: responses.parse(body).request)),
    "anthropic": Dialect(
        _write_anthropic,
        lambda written: bedrock_headers.apply(
            anthropic_messages.parse(written.body, betas=written.betas), written.headers
        ),
    ),
}
