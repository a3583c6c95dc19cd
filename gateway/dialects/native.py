"""The native API's requests: JSON value in, one `CompletionRequest` out, or a 400 that names the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gateway import domain
from gateway.dialects import native_plain
from gateway.dialects import native_schema as shape
from gateway.dialects.inline_content import arguments, image_part
from gateway.dialects.problems import invalid
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TOOL_CHOICES = {
    "auto": domain.ToolChoice("auto"),
    "none": domain.ToolChoice("none"),
    "required": domain.ToolChoice("any"),
}


def parse(value: Any, *, default_model: str | None = None) -> domain.CompletionRequest:
    """Return the request that this parsed JSON body means; a body without `model` means the default one.

    Raises:
        InvalidRequest: `param` is the path of the first field that is wrong; the message names up to five.
    """
    if default_model is not None and isinstance(value, dict) and "model" not in value:
        value = {**value, "model": default_model}
    return native_plain.read(value) or of_schema(value)


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
        metadata=body.metadata,
    )
    if not request.messages:
        raise InvalidRequest("There is no turn to answer: add a user message.", param="messages")
    return request


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────


def _split(body: shape.CompletionBody) -> tuple[tuple[domain.TextPart, ...], list[tuple[int, Any]]]:
    """Separate the system text from the turns, which keep their index for error messages."""
    if (body.messages is None) == (body.prompt is None):
        raise InvalidRequest("Give either `messages` or `prompt`.", param="messages")
    texts = [body.system] if body.system is not None else []
    if body.prompt is not None:
        user = shape.UserMessage(role="user", content=[shape.TextPart(type="text", text=body.prompt)])
        return _parts(texts), [(0, user)]
    turns: list[tuple[int, Any]] = []
    for index, message in enumerate(body.messages or ()):
        if not isinstance(message, shape.SystemMessage):
            turns.append((index, message))
        elif turns:
            raise InvalidRequest(
                "System text must come before the first turn.", param=f"messages[{index}].role"
            )
        else:
            texts.extend(part.text for part in message.content)
    return _parts(texts), turns


def _parts(texts: Sequence[str]) -> tuple[domain.TextPart, ...]:
    return tuple(domain.TextPart(text) for text in texts if text)


def _turns(turns: Iterable[tuple[int, Any]]) -> Iterable[domain.Message]:
    """Tool results in a row are one turn of the user: they answer the same assistant turn."""
    results: list[domain.Part] = []
    for index, message in turns:
        if isinstance(message, shape.ToolMessage):
            content = _content(message.content, f"messages[{index}].content")
            results.append(domain.ToolResultPart(message.tool_call_id, content, message.is_error))
            continue
        if results:
            yield domain.Message("user", tuple(results))
            results = []
        if isinstance(message, shape.UserMessage):
            yield domain.Message("user", _content(message.content, f"messages[{index}].content"))
        else:
            yield domain.Message("assistant", _assistant(message, f"messages[{index}]"))
    if results:
        yield domain.Message("user", tuple(results))


def _assistant(message: shape.AssistantMessage, path: str) -> tuple[domain.Part, ...]:
    parts: list[domain.Part] = [
        _reasoning(block, f"{path}.reasoning[{number}]") for number, block in enumerate(message.reasoning)
    ]
    parts.extend(domain.TextPart(part.text) for part in message.content or ())
    for number, call in enumerate(message.tool_calls):
        given = arguments(call.function.arguments, f"{path}.tool_calls[{number}].function.arguments")
        parts.append(domain.ToolUsePart(call.id, call.function.name, given))
    if not parts:
        raise InvalidRequest("An assistant message needs content or tool calls.", param=f"{path}.content")
    return tuple(parts)


def _reasoning(block: shape.Reasoning, path: str) -> domain.ReasoningPart:
    if bool(block.redacted) == bool(block.text or block.signature):
        raise InvalidRequest("Give either `text` with its `signature`, or `redacted`.", param=path)
    return domain.ReasoningPart(block.text, block.signature, block.redacted)


def _content(parts: Sequence[Any], path: str) -> tuple[domain.TextPart | domain.ImagePart, ...]:
    return tuple(
        domain.TextPart(part.text)
        if isinstance(part, shape.TextPart)
        else image_part(part.image_url.url, f"{path}[{number}].image_url.url")
        for number, part in enumerate(parts)
    )


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────


def _tool(tool: shape.Tool) -> domain.Tool:
    return domain.Tool(tool.function.name, tool.function.description, tool.function.parameters)


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
