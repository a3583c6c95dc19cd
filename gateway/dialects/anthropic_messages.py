"""The requests of Anthropic's Messages API: JSON in, one `CompletionRequest` out, or a 400 with the field.

This is the way of every model but Claude, whose body goes to Bedrock as it is (`anthropic_invoke`). Fields
that change nothing are accepted: `service_tier` `auto`, `speed` `standard`, and what `anthropic_schema` takes
with one value only.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gateway import domain
from gateway.dialects import anthropic_plain, anthropic_refusals
from gateway.dialects import anthropic_schema as shape
from gateway.dialects.inline_content import decoded
from gateway.dialects.problems import invalid
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

IMAGE_FORMATS: Mapping[str, domain.ImageFormat] = MappingProxyType(
    {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
)
CACHEABLE = (
    domain.TextPart,
    domain.ImagePart,
    domain.DocumentPart,
    domain.ToolUsePart,
    domain.ToolResultPart,
)
"""What `cache_control` of the whole body may end behind: not reasoning."""


def parse(
    value: Any, *, betas: tuple[str, ...] = (), default_model: str | None = None
) -> domain.CompletionRequest:
    """Return the request that the body of `POST /v1/messages` means; `betas` are its header's.

    Raises:
        InvalidRequest: `param` is the path of the first field that is wrong.
    """
    if (usual := anthropic_plain.read(value, betas=betas, default_model=default_model)) is not None:
        return usual
    if default_model is not None and isinstance(value, dict):
        value = {"model": default_model, **value}
    return of_schema(value, betas)


def of_schema(value: Any, betas: tuple[str, ...] = ()) -> domain.CompletionRequest:
    """Return what `parse` does, whatever the shape of the request; raises as it does."""
    body = _validated(shape.MessagesBody, value)
    return domain.CompletionRequest(
        **_conversation(body),
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=tuple(body.stop_sequences),
        service_tier="default" if body.service_tier == "standard_only" else None,
        betas=betas,
        metadata={"user_id": body.metadata.user_id} if body.metadata and body.metadata.user_id else {},
    )


def parse_count(
    value: Any, *, betas: tuple[str, ...] = (), default_model: str | None = None
) -> domain.CompletionRequest:
    """Return the request whose tokens `POST /v1/messages/count_tokens` asks for; raises as `parse` does."""
    if default_model is not None and isinstance(value, dict):
        value = {"model": default_model, **value}
    return domain.CompletionRequest(**_conversation(_validated(shape.CountBody, value)), betas=betas)


def _validated(kind: type[shape.BodyT], value: Any) -> shape.BodyT:
    if isinstance(value, dict):
        anthropic_refusals.check(value)
        value = {name: given for name, given in value.items() if given is not None}
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise invalid(error, value) from None


def _conversation(body: shape.Conversation) -> dict[str, Any]:
    messages = _Turns().read(body.messages)
    if body.cache_control is not None:
        messages = _cached(messages, body.cache_control)
    return {
        "model": body.model,
        "messages": messages,
        "system": tuple(_system(body.system)),
        "tools": tuple(_tool(tool) for tool in body.tools),
        "tool_choice": _tool_choice(body),
        "parallel_tool_calls": _parallel(body.tool_choice),
        "reasoning": _reasoning(body),
        "response_format": _response_format(body),
    }


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────


def _point(control: shape.CacheControl) -> domain.CachePoint:
    return domain.CachePoint(control.ttl)


def _system(blocks: Sequence[shape.TextBlock]) -> Iterator[domain.SystemPart]:
    for block in blocks:
        if block.text:
            yield domain.TextPart(block.text)
        if block.cache_control is not None:
            yield _point(block.cache_control)


class _Turns:
    """Reads the turns of one request; documents without a title are numbered through it."""

    def __init__(self) -> None:
        self._documents = 0

    def read(self, messages: Sequence[Any]) -> tuple[domain.Message, ...]:
        return tuple(
            domain.Message(message.role, tuple(self._parts(message.content, f"messages[{number}].content")))
            for number, message in enumerate(messages)
        )

    def _parts(self, blocks: Sequence[Any], path: str) -> Iterator[domain.Part]:
        for number, block in enumerate(blocks):
            yield self._part(block, f"{path}[{number}]")
            if isinstance(block, shape.Cacheable) and block.cache_control is not None:
                yield _point(block.cache_control)

    def _part(self, block: Any, path: str) -> domain.Part:
        match block:
            case shape.ThinkingBlock():
                return domain.ReasoningPart(block.thinking, block.signature or None)
            case shape.RedactedThinkingBlock():
                return domain.ReasoningPart(redacted=block.data)
            case shape.ToolUseBlock():
                return domain.ToolUsePart(block.id, block.name, block.input)
            case shape.ToolResultBlock():
                content = tuple(self._result(block.content, f"{path}.content"))
                return domain.ToolResultPart(block.tool_use_id, content, bool(block.is_error))
            case _:
                return self._content(block, path)

    def _result(self, blocks: Sequence[Any], path: str) -> Iterator[Any]:
        for number, block in enumerate(blocks):
            if block.cache_control is not None:
                raise InvalidRequest(
                    "The cache cannot end inside a tool result: give `cache_control` to the result itself.",
                    param=f"{path}[{number}].cache_control",
                )
            yield self._content(block, f"{path}[{number}]")

    def _content(self, block: Any, path: str) -> domain.TextPart | domain.ImagePart | domain.DocumentPart:
        match block:
            case shape.ImageBlock(source=source):
                data = decoded(source.data, f"{path}.source.data", "image")
                return domain.ImagePart(IMAGE_FORMATS[source.media_type], data)
            case shape.DocumentBlock():
                return self._document(block, path)
            case _:
                return domain.TextPart(block.text)

    def _document(self, block: shape.DocumentBlock, path: str) -> domain.DocumentPart:
        self._documents += 1
        source = block.source
        plain = isinstance(source, shape.PlainTextSource)
        return domain.DocumentPart(
            "txt" if plain else "pdf",
            source.data.encode() if plain else decoded(source.data, f"{path}.source.data", "document"),
            block.title or f"Document {self._documents}",
            citations=block.citations is not None and block.citations.enabled,
            context=block.context or None,
        )


def _cached(messages: tuple[domain.Message, ...], control: shape.CacheControl) -> tuple[domain.Message, ...]:
    """Put a point behind the last part that may be cached, as Anthropic does for the whole body."""
    for number in range(len(messages) - 1, -1, -1):
        content = messages[number].content
        for position in range(len(content) - 1, -1, -1):
            if isinstance(content[position], domain.CachePoint):
                return messages
            if isinstance(content[position], CACHEABLE):
                marked = (*content[: position + 1], _point(control), *content[position + 1 :])
                turn = domain.Message(messages[number].role, marked)
                return (*messages[:number], turn, *messages[number + 1 :])
    return messages


# ── tools, reasoning, structure ───────────────────────────────────────────────────────────────────────


def _tool(tool: shape.Tool) -> domain.Tool:
    cache = None if tool.cache_control is None else _point(tool.cache_control)
    return domain.Tool(tool.name, tool.description, tool.input_schema, tool.strict, cache)


def _tool_choice(body: shape.Conversation) -> domain.ToolChoice | None:
    choice = body.tool_choice
    if choice is None:
        return None
    if not body.tools:
        raise InvalidRequest("`tool_choice` needs `tools`.", param="tool_choice")
    if (choice.type == "tool") != (choice.name is not None):
        raise InvalidRequest("A name belongs to `tool_choice` of type `tool`.", param="tool_choice.name")
    if choice.name is not None and choice.name not in {tool.name for tool in body.tools}:
        raise InvalidRequest("`tool_choice` names a tool that is not in `tools`.", param="tool_choice.name")
    return domain.ToolChoice(choice.type, choice.name)


def _parallel(choice: shape.ToolChoice | None) -> bool | None:
    if choice is None or choice.disable_parallel_tool_use is None:
        return None
    return not choice.disable_parallel_tool_use


def _reasoning(body: shape.Conversation) -> domain.Reasoning | None:
    """Anthropic's `adaptive` thinks as `effort` says, which is `high` where nobody says it."""
    effort = body.output_config.effort if body.output_config is not None else None
    match body.thinking:
        case None:
            return None if effort is None else domain.Reasoning(effort=effort)
        case shape.ThinkingAdaptive():
            return domain.Reasoning(effort=effort or "high")
        case _ if effort is not None:
            raise InvalidRequest(
                "This model takes either `thinking` with a budget or disabled, or an effort: leave one out.",
                param="output_config.effort",
            )
        case shape.ThinkingEnabled(budget_tokens=budget):
            return domain.Reasoning(budget_tokens=budget)
        case _:
            return domain.Reasoning(effort="none")


def _response_format(body: shape.Conversation) -> domain.ResponseFormat | None:
    structure = body.output_config.format if body.output_config is not None else None
    if structure is not None and body.output_format is not None:
        raise InvalidRequest("Give `output_config.format` alone.", param="output_format")
    structure = structure or body.output_format
    return None if structure is None else domain.ResponseFormat(structure.schema_, strict=True)
