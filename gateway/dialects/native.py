"""The native API's requests: JSON value in, one `CompletionRequest` out, or a 400 that names the field."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gateway import domain
from gateway.dialects import native_plain
from gateway.dialects import native_schema as shape
from gateway.dialects.anthropic_headers import known_flags
from gateway.dialects.inline_content import Arguments, document_part, image_part
from gateway.dialects.problems import invalid
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TOOL_CHOICES = {
    "auto": domain.ToolChoice("auto"),
    "none": domain.ToolChoice("none"),
    "required": domain.ToolChoice("any"),
}
_NOTHING = domain.TextPart("")


def parse(value: Any, *, default_model: str | None = None) -> domain.CompletionRequest:
    """Return the request that this parsed JSON body means; a body without `model` means the default one.

    Raises:
        InvalidRequest: `param` is the path of the first field that is wrong; the message names up to five.
    """
    if (usual := native_plain.read(value, default_model=default_model)) is not None:
        return usual
    if default_model is not None and isinstance(value, dict) and "model" not in value:
        value = {**value, "model": default_model}
    return of_schema(value)


def of_schema(value: Any) -> domain.CompletionRequest:
    """Return what `parse` does, whatever the shape of the request; raises as it does."""
    try:
        body = shape.CompletionBody.model_validate(value)
    except ValidationError as error:
        raise invalid(error, value) from None
    system, turns = _split(body)
    request = domain.CompletionRequest(
        model=body.model,
        provider=body.provider,
        system=system,
        messages=tuple(_turns(turns)),
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=tuple(body.stop),
        tools=tuple(_tool(tool) for tool in body.tools),
        tool_choice=_tool_choice(body),
        parallel_tool_calls=body.parallel_tool_calls,
        reasoning=_asked_reasoning(body.reasoning),
        response_format=_response_format(body.response_format),
        seed=body.seed,
        guardrail=_guardrail(body.guardrail),
        service_tier=body.service_tier,
        latency=body.latency,
        betas=known_flags(body.betas, "betas"),
        metadata=body.metadata,
    )
    if not request.messages:
        raise InvalidRequest("There is no turn to answer: add a user message.", param="messages")
    return request


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────


def _split(body: shape.CompletionBody) -> tuple[tuple[domain.SystemPart, ...], list[tuple[int, Any]]]:
    """Separate the system text from the turns, which keep their index for error messages."""
    if (body.messages is None) == (body.prompt is None):
        raise InvalidRequest("Give either `messages` or `prompt`.", param="messages")
    system = [] if body.system is None else _system(body.system)
    if body.prompt is not None:
        user = shape.UserMessage(role="user", content=[shape.TextPart(type="text", text=body.prompt)])
        return tuple(system), [(0, user)]
    turns: list[tuple[int, Any]] = []
    for index, message in enumerate(body.messages or ()):
        if not isinstance(message, shape.SystemMessage):
            turns.append((index, message))
        elif turns:
            raise InvalidRequest(
                "System text must come before the first turn.", param=f"messages[{index}].role"
            )
        else:
            system += _system(message.content)
    return tuple(system), turns


def _system(parts: Iterable[shape.TextPart | shape.CachePointPart]) -> list[domain.SystemPart]:
    """Return the parts that say something."""
    return [
        domain.CachePoint(part.ttl) if isinstance(part, shape.CachePointPart) else domain.TextPart(part.text)
        for part in parts
        if isinstance(part, shape.CachePointPart) or part.text
    ]


def _turns(turns: Iterable[tuple[int, Any]]) -> Iterable[domain.Message]:
    """Tool results in a row are one turn of the user: they answer the same assistant turn."""
    results: list[domain.Part] = []
    arguments = Arguments()
    for index, message in turns:
        if isinstance(message, shape.ToolMessage):
            results += _result(message, f"messages[{index}].content")
            continue
        if results:
            yield domain.Message("user", tuple(results))
            results = []
        if isinstance(message, shape.UserMessage):
            yield domain.Message("user", _content(message.content, f"messages[{index}].content"))
        else:
            yield domain.Message("assistant", _assistant(message, f"messages[{index}]", arguments))
    if results:
        yield domain.Message("user", tuple(results))


def _result(message: shape.ToolMessage, path: str) -> list[domain.Part]:
    """Return the result of a tool, and the cache point behind it where there is one."""
    content = _content(message.content, path)
    closing = [part for part in content[-1:] if isinstance(part, domain.CachePoint)]
    said = content[: len(content) - len(closing)]
    kept = [
        part for part in said if isinstance(part, domain.TextPart | domain.ImagePart | domain.DocumentPart)
    ]
    if len(kept) < len(said):
        raise InvalidRequest("A cache point stands behind all that a tool returned.", param=path)
    return [domain.ToolResultPart(message.tool_call_id, tuple(kept), message.is_error), *closing]


def _assistant(message: shape.AssistantMessage, path: str, arguments: Arguments) -> tuple[domain.Part, ...]:
    parts: list[domain.Part] = [
        _reasoning(block, f"{path}.reasoning[{number}]") for number, block in enumerate(message.reasoning)
    ]
    parts.extend(_text_or_point(part) for part in message.content or ())
    for number, call in enumerate(message.tool_calls):
        given = arguments.read(call.function.arguments, f"{path}.tool_calls[{number}].function.arguments")
        parts.append(domain.ToolUsePart(call.id, call.function.name, given))
    if not parts:
        raise InvalidRequest("An assistant message needs content or tool calls.", param=f"{path}.content")
    # an answer that is a tool call has "" beside it, which Bedrock does not take back
    return tuple([part for part in parts if part != _NOTHING] or parts)


def _reasoning(block: shape.Reasoning, path: str) -> domain.ReasoningPart:
    if bool(block.redacted) == bool(block.text or block.signature):
        raise InvalidRequest("Give either `text` with its `signature`, or `redacted`.", param=path)
    return domain.ReasoningPart(block.text, block.signature, block.redacted)


def _content(parts: Sequence[Any], path: str) -> tuple[domain.Part, ...]:
    return tuple(_part(part, f"{path}[{number}]") for number, part in enumerate(parts))


def _part(part: Any, path: str) -> domain.Part:
    if isinstance(part, shape.ImagePart):
        return image_part(part.image_url.url, f"{path}.image_url.url")
    if isinstance(part, shape.FilePart):
        document = document_part(part.file.file_data, part.file.filename, f"{path}.file.file_data")
        return replace(document, citations=part.citations, context=part.context)
    return _text_or_point(part)


def _text_or_point(part: shape.TextPart | shape.CachePointPart) -> domain.TextPart | domain.CachePoint:
    if isinstance(part, shape.CachePointPart):
        return domain.CachePoint(part.ttl)
    return domain.TextPart(part.text)


# ── how the answer is wanted ──────────────────────────────────────────────────────────────────────────


def _asked_reasoning(asked: shape.ReasoningRequest | None) -> domain.Reasoning | None:
    if asked is None:
        return None
    if (asked.effort is None) == (asked.budget_tokens is None):
        raise InvalidRequest("Give either `effort` or `budget_tokens`.", param="reasoning")
    return domain.Reasoning(asked.effort, asked.budget_tokens)


def _response_format(
    form: shape.TextFormat | shape.JsonFormat | shape.SchemaFormat | None,
) -> domain.ResponseFormat | None:
    if isinstance(form, shape.SchemaFormat):
        asked = form.json_schema
        return domain.ResponseFormat(asked.schema_, asked.name, asked.description, asked.strict)
    return domain.ResponseFormat() if isinstance(form, shape.JsonFormat) else None


def _guardrail(asked: shape.Guardrail | None) -> domain.Guardrail | None:
    if asked is None:
        return None
    return domain.Guardrail(asked.identifier, asked.version, asked.stream_mode)


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────


def _tool(tool: shape.Tool) -> domain.Tool:
    asked, point = tool.function, tool.cache_point
    cache = None if point is None else domain.CachePoint(point.ttl)
    return domain.Tool(asked.name, asked.description, asked.parameters, asked.strict, cache)


def _tool_choice(body: shape.CompletionBody) -> domain.ToolChoice | None:
    choice = body.tool_choice
    if choice is None:
        return None
    if not body.tools:
        raise InvalidRequest("`tool_choice` needs `tools`.", param="tool_choice")
    if isinstance(choice, str):
        return TOOL_CHOICES[choice]
    name = choice.function.name
    if name not in {tool.function.name for tool in body.tools}:
        raise InvalidRequest("`tool_choice` names a function that is not in `tools`.", param="tool_choice")
    return domain.ToolChoice("tool", name)
