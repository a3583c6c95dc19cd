"""The messages and tools of a request in OpenAI's chat shape, which most newer families borrow.

Turns are objects with a role; tool calls belong to the assistant's turn, each tool result is a message of its
own. Where the shape has one string for what the caller gave as several texts, they are joined by line breaks.
A tool result that is an error has no field in this shape, so its text says so (`Error: …`).
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.codecs.parameters import encode, tool_choice
from gateway.codecs.reasoning import kind_of
from gateway.codecs.turns import NAMES, Turn, turns
from gateway.domain import ImagePart, Part, ReasoningPart, TextPart, ToolResultPart, ToolUsePart
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, ResponseFormat, Tool

Json = dict[str, Any]

ERROR_PREFIX = "Error: "
"""What marks a failed tool's text in families whose tool results have no status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatShape:
    """What a family's dialect of the shape has room for.

    `lists`: a user's content may be a list of parts, of which images may be some. `reasoning`: assistant
    messages have `reasoning_content`. `choices` are the words for the modes of a tool choice; a mode that is
    absent is refused. `named_choice`: one tool may be demanded by its name.
    """

    lists: bool
    reasoning: bool
    choices: Mapping[str, str]
    named_choice: bool


def chat_messages(request: CompletionRequest, model: Model, shape: ChatShape) -> list[Json]:
    """Return the system text and the turns as messages.

    Raises:
        InvalidRequest: the shape, or the model, has no room for a part; `param` is its path.
    """
    messages: list[Json] = [{"role": "system", "content": text}] if (text := request.system_text) else []
    for turn in turns(request):
        if turn.role == "user":
            messages.extend(_user(turn, model, shape))
        else:
            messages.append(_assistant(turn, shape))
    return messages


def chat_tools(request: CompletionRequest, shape: ChatShape) -> Json:
    """Return `tools` and `tool_choice`, as far as there is something to say.

    Raises:
        InvalidRequest: the shape has no word for the choice.
    """
    choice = tool_choice(request)
    if not request.tools:
        return {}
    body: Json = {"tools": [_tool(tool) for tool in request.tools]}
    if choice is None:
        return body
    if choice.mode == "tool" and shape.named_choice:
        return body | {"tool_choice": {"type": "function", "function": {"name": choice.name}}}
    word = shape.choices.get(choice.mode)
    if word is None:
        raise InvalidRequest(
            f"tool_choice: this model has no word for '{choice.mode}'; it knows "
            f"{', '.join(sorted(shape.choices)) or 'none'}.",
            param="tool_choice",
        )
    return body | {"tool_choice": word}


def chat_features(request: CompletionRequest, model: Model) -> Json:
    """Return what OpenAI's own body has besides; only families that take all of it ask for this."""
    body: Json = {}
    if request.parallel_tool_calls is not None and request.tools:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.reasoning is not None and kind_of(model) == "effort":
        body["reasoning_effort"] = request.reasoning.effort
    if request.seed is not None:
        body["seed"] = request.seed
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    return body


def _response_format(form: ResponseFormat) -> Json:
    if form.schema is None:
        return {"type": "json_object"}
    asked = {
        "name": form.name or "answer",
        "description": form.description,
        "schema": form.schema,
        "strict": form.strict,
    }
    schema = {name: value for name, value in asked.items() if value is not None}
    return {"type": "json_schema", "json_schema": schema}


def result_text(path: str, part: ToolResultPart) -> str:
    """Return what a tool gave as one text, marked where it is an error.

    Raises:
        InvalidRequest: it gave an image.
    """
    for item in part.content:
        if not isinstance(item, TextPart):
            raise InvalidRequest("this model takes nothing but text as a tool's result.", param=path)
    said = "\n".join(item.text for item in part.content if isinstance(item, TextPart))
    return ERROR_PREFIX + said if part.is_error else said


def refuse_part(path: str, part: Part) -> InvalidRequest:
    """Return the error for a part that the family has no room for."""
    return InvalidRequest(f"this model does not take {NAMES[type(part)]}.", param=path)


def _user(turn: Turn, model: Model, shape: ChatShape) -> Iterator[Json]:
    """Yield the messages of a user's turn in the order of its parts."""
    said: list[Json] = []
    for path, part in turn.parts:
        if isinstance(part, ToolResultPart):
            if said:
                yield _said(said, shape)
                said = []
            yield {"role": "tool", "tool_call_id": part.tool_use_id, "content": result_text(path, part)}
        else:
            said.append(_content(path, part, model, shape))
    if said:
        yield _said(said, shape)


def _content(path: str, part: Part, model: Model, shape: ChatShape) -> Json:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart) and shape.lists and (model.takes is None or "image" in model.takes):
        url = f"data:image/{part.format};base64,{b64encode(part.data).decode()}"
        return {"type": "image_url", "image_url": {"url": url}}
    raise refuse_part(path, part)


def _said(parts: list[Json], shape: ChatShape) -> Json:
    if shape.lists and (len(parts) > 1 or parts[0]["type"] != "text"):
        return {"role": "user", "content": parts}
    return {"role": "user", "content": "\n".join(part["text"] for part in parts)}


def _assistant(turn: Turn, shape: ChatShape) -> Json:
    texts: list[str] = []
    reasoning: list[str] = []
    calls: list[Json] = []
    for path, part in turn.parts:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, ToolUsePart):
            calls.append(_call(part))
        else:
            reasoning.append(_reasoning(path, part, shape))
    message: Json = {"role": "assistant", "content": "\n".join(texts)}
    if reasoning:
        message["reasoning_content"] = "\n".join(reasoning)
    if calls:
        message["tool_calls"] = calls
    return message


def _reasoning(path: str, part: Part, shape: ChatShape) -> str:
    if not shape.reasoning or not isinstance(part, ReasoningPart):
        raise refuse_part(path, part)
    if part.redacted is not None or part.signature is not None:
        raise InvalidRequest("this model takes reasoning back only as text, without a signature.", param=path)
    return part.text


def _call(part: ToolUsePart) -> Json:
    function = {"name": part.name, "arguments": encode(part.arguments).decode()}
    return {"id": part.id, "type": "function", "function": function}


def _tool(tool: Tool) -> Json:
    function: Json = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}
