"""What a conversation in OpenAI's manner asks, and what it must be beyond its shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.emulator.answer import Question, measure, tokens
from gateway.emulator.errors import invalid
from gateway.emulator.families.chat_shapes import (
    AssistantMessage,
    ImagePart,
    NamedChoice,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from gateway.emulator.sense.calls import Tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.emulator.answer import Answer, ToolCall
    from gateway.emulator.families.chat_shapes import ChatBody, JambaBody, Message, MistralChatBody

_COUNTED_KEYS: Final = ("messages", "tools", "documents")
_CHARS_OF_AN_IMAGE: Final = 6400
_FORCING: Final = frozenset({"any", "required"})


def ask(
    asked: ChatBody | MistralChatBody | JambaBody,
    body: Mapping[str, Any],
    *,
    max_tokens: int | None,
    images: bool = False,
    reasoning: bool = False,
    speaks_reasoning: bool = False,
) -> Question:
    """Return what `asked`, read from `body`, asks of a model that sees `images`.

    Raises:
        BedrockError: calls and results do not match, a picture is shown to the blind, or a choice names
            a tool that is not there.
    """
    check_calls(asked.messages)
    if not images and any(isinstance(part, ImagePart) for part in _parts(asked.messages)):
        raise invalid("The model does not support image input.")
    said, returned = last_words(asked.messages)
    tools, forced = _tools(asked)
    stop = asked.stop or ()
    pictures = sum(isinstance(part, ImagePart) for part in _parts(asked.messages))
    chars = sum(measure(_without_urls(body.get(key))) for key in _COUNTED_KEYS)
    return Question(
        said=said,
        returned=returned,
        instructions=_instructions(asked.messages),
        input_tokens=tokens(chars + pictures * _CHARS_OF_AN_IMAGE),
        max_tokens=max_tokens,
        stop_sequences=(stop,) if isinstance(stop, str) else tuple(stop),
        tools=tools,
        forced=forced,
        parallel=getattr(asked, "parallel_tool_calls", None) is not False,
        schema=_schema(asked),
        reasoning=reasoning,
        speaks_reasoning=speaks_reasoning,
    )


def check_calls(messages: Sequence[Message]) -> None:
    """Return if every call has its result right after it, and every result its call.

    Raises:
        BedrockError: one of them has not, an assistant says nothing, or nobody asks anything.
    """
    waiting: list[str] = []
    for number, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in waiting:
                raise invalid(f"messages.{number}: no preceding tool call has id {message.tool_call_id}")
            waiting.remove(message.tool_call_id)
            continue
        _check_none_waits(waiting)
        if isinstance(message, AssistantMessage):
            if not message.content and message.tool_calls is None:
                raise invalid(f"messages.{number}: content is required without tool calls")
            waiting = [call.id for call in message.tool_calls or ()]
    _check_none_waits(waiting)
    if not any(isinstance(message, UserMessage) for message in messages):
        raise invalid("messages: at least one message must be the user's")


def last_words(messages: Iterable[Message]) -> tuple[str, str]:
    """Return what the user said last and what tools returned after it."""
    said, returned = "", ""
    for message in messages:
        if isinstance(message, UserMessage):
            said = " ".join(part.text for part in message.parts if isinstance(part, TextPart))
            returned = ""
        elif isinstance(message, ToolMessage):
            content = message.content
            text = content if isinstance(content, str) else " ".join(part.text for part in content)
            returned = f"{returned} {text}".strip()
    return said, returned


def usage(answer: Answer) -> dict[str, int]:
    """Return the counts as OpenAI names them."""
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def call(made: ToolCall, call_id: str, arguments: str) -> dict[str, Any]:
    """Return a tool call with as much of its arguments as is given."""
    return {"id": call_id, "type": "function", "function": {"name": made.name, "arguments": arguments}}


def _instructions(messages: Sequence[Message]) -> str:
    said = [message.content for message in messages if isinstance(message, SystemMessage)]
    return "\n".join(text if isinstance(text, str) else " ".join(part.text for part in text) for text in said)


def _schema(asked: ChatBody | MistralChatBody | JambaBody) -> Mapping[str, Any] | None:
    """Return the schema of the answer: none for prose, an empty one for any JSON."""
    wanted = getattr(asked, "response_format", None)  # Mistral has none
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {}
    if wanted.json_schema is None:
        raise invalid("response_format.json_schema: Field required")
    schema: Mapping[str, Any] = wanted.json_schema.schema_
    return schema


def _check_none_waits(waiting: Sequence[str]) -> None:
    if waiting:
        raise invalid(f"messages: tool calls without tool messages: {', '.join(waiting)}")


def _parts(messages: Iterable[Message]) -> list[TextPart | ImagePart]:
    return [part for message in messages if isinstance(message, UserMessage) for part in message.parts]


def _without_urls(value: Any) -> Any:
    """Return a JSON value without pictures, which are counted at a flat rate."""
    if isinstance(value, list):
        return [_without_urls(part) for part in value]
    if isinstance(value, dict):
        return {name: _without_urls(part) for name, part in value.items() if name != "image_url"}
    return value


def _tools(asked: ChatBody | MistralChatBody | JambaBody) -> tuple[tuple[Tool, ...], tuple[Tool, ...]]:
    """Return the tools that may be called and those of which one must be."""
    tools = tuple(
        Tool(tool.function.name, tool.function.parameters, tool.function.description or "")
        for tool in asked.tools or ()
    )
    choice = getattr(asked, "tool_choice", None)  # Jamba has none
    if choice is None:
        return tools, ()
    if not tools:
        raise invalid("tool_choice: only permitted with tools")
    if isinstance(choice, NamedChoice):
        named = tuple(tool for tool in tools if tool.name == choice.function.name)
        if not named:
            raise invalid(f"tool_choice: no tool is named {choice.function.name}")
        return tools, named
    if choice == "none":
        return (), ()
    return tools, tools if choice in _FORCING else ()
