"""The body of a Cohere Command R request: one message after a history, tools in Cohere's own words.

What Bedrock documents has tool calls only around the message: `tool_results` hold what tools returned since
the user last spoke, each with its call, and `message` is that user's text once more. The history has texts
only. So a conversation with tool calls further back is refused, and so is the text that an assistant wrote
beside a call that is still to be answered: there is no field for either, and Converse has one.

Command R gives its calls no ids. The gateway numbers them in each answer (`tooluse_0`, `tooluse_1`, …), and a
result belongs to the latest call with its id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.chat_messages import refuse_part, result_text
from gateway.codecs.cohere_command import sampled
from gateway.codecs.output_limits import HIGHEST
from gateway.codecs.parameters import invoked, max_tokens, stop_sequences, tool_choice
from gateway.codecs.turns import Turn, turns
from gateway.domain import TextPart, ToolResultPart, ToolUsePart
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Part, Tool

Json = dict[str, Any]

_FAMILY: Final = "cohere_command_r"
_MAX_TOKENS: Final = HIGHEST["cohere_command_r"]
_TOP_P: Final = (0.01, 0.99)
_ROLES: Final = {"user": "USER", "assistant": "CHATBOT"}
_TYPES: Final = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}
"""JSON Schema's words to Cohere's, which are Python's."""
_SCHEMA_WORDS: Final = frozenset(
    {"$schema", "type", "title", "description", "properties", "required", "additionalProperties"}
)
_KEYWORD: Final = re.compile(r"[$A-Za-z]{1,32}")
_PARAMETER_WORDS: Final = frozenset({"type", "title", "description"})


def body(request: CompletionRequest, model: Model) -> bytes:
    """Return the InvokeModel body.

    Raises:
        InvalidRequest: Command R cannot do what is asked.
    """
    conversation = turns(request)
    asked = _last_question(conversation)
    results = _results(conversation[asked + 1 :])
    command: Json = {
        "message": _said(conversation[asked]),
        "max_tokens": max_tokens(request, model, _MAX_TOKENS),
        **sampled(request, model, top_p=_TOP_P),
    }
    if request.seed is not None:
        command["seed"] = request.seed
    history = [{"role": _ROLES[turn.role], "message": _said(turn)} for turn in conversation[:asked]]
    optional: Json = {
        "preamble": request.system_text,
        "chat_history": history,
        "tools": _tools(request, pending=bool(results)),
        "tool_results": results,
        "stop_sequences": stop_sequences(request, _FAMILY),
    }
    return invoked(command | {name: value for name, value in optional.items() if value}, request)


# ── the conversation ──────────────────────────────────────────────────────────────────────────────────


def _last_question(conversation: list[Turn]) -> int:
    """Return the number of the turn in which the user last spoke; only tools may have been called since."""
    last = conversation[-1]
    if last.role != "user":
        raise InvalidRequest("this model wants the last message to be the user's.", param="messages")
    for number in range(len(conversation) - 1, -1, -2):
        if not all(isinstance(part, ToolResultPart) for _, part in conversation[number].parts):
            return number
    raise InvalidRequest(
        "this model wants the user's question before the results of tools.", param="messages"
    )


def _said(turn: Turn) -> str:
    """Return the text of a turn for which there is nothing but text."""
    return "\n".join(_text(path, part) for path, part in turn.parts)


def _text(path: str, part: Part) -> str:
    if isinstance(part, ToolUsePart | ToolResultPart):
        raise InvalidRequest(
            "by InvokeModel this model takes tool calls and results only behind the user's last question; "
            "Converse takes them anywhere.",
            param=path,
        )
    if not isinstance(part, TextPart):
        raise refuse_part(path, part)
    return part.text


def _results(rounds: list[Turn]) -> list[Json]:
    """Return what the tools returned since the last question, each with the call that it answers."""
    calls: dict[str, tuple[str, ToolUsePart]] = {}
    results: list[Json] = []
    for turn in rounds:
        for path, part in turn.parts:
            if isinstance(part, ToolUsePart):
                _refuse_unanswered(calls.get(part.id))
                calls[part.id] = (path, part)
            elif isinstance(part, ToolResultPart):
                results.append(_result(path, part, calls))
            else:
                raise InvalidRequest(
                    "by InvokeModel this model takes nothing beside a tool call that is being answered.",
                    param=path,
                )
    for call in calls.values():
        _refuse_unanswered(call)
    return results


def _result(path: str, part: ToolResultPart, calls: dict[str, tuple[str, ToolUsePart]]) -> Json:
    if part.tool_use_id not in calls:
        raise InvalidRequest("this result answers no tool call before it.", param=path)
    _, call = calls.pop(part.tool_use_id)
    return {
        "call": {"name": call.name, "parameters": call.arguments},
        "outputs": [{"text": result_text(path, part)}],
    }


def _refuse_unanswered(call: tuple[str, ToolUsePart] | None) -> None:
    if call is not None:
        raise InvalidRequest("this model takes a tool call only with its result.", param=call[0])


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────


def _tools(request: CompletionRequest, *, pending: bool) -> list[Json]:
    """Return the tools that may be called: all of them, or none where the caller forbids them."""
    choice = tool_choice(request)
    if choice is not None and choice.mode in {"any", "tool"}:
        raise InvalidRequest("this model cannot be made to call a tool.", param="tool_choice")
    forbidden = choice is not None and choice.mode == "none"
    if pending and (forbidden or not request.tools):
        raise InvalidRequest(
            "this model wants the tools beside what they returned.",
            param="tool_choice" if forbidden else "tools",
        )
    return [] if forbidden else [_tool(number, tool) for number, tool in enumerate(request.tools)]


def _tool(number: int, tool: Tool) -> Json:
    """Return a tool in Cohere's words, which are fewer than JSON Schema's; titles say nothing to it."""
    path = f"tools[{number}]"
    schema = tool.input_schema
    parameters, required = schema.get("properties", {}), schema.get("required", [])
    described = schema.get("description", "")
    _refuse_words(path, schema, _SCHEMA_WORDS)
    kinds = ((parameters, Mapping), (required, list | tuple), (described, str))
    if not all(isinstance(value, kind) for value, kind in kinds):
        raise _inexpressible(path, "a schema that is not JSON Schema")
    if schema.get("type", "object") != "object" or schema.get("additionalProperties"):
        raise _inexpressible(path, "anything but an object with the properties that it names")
    if not all(isinstance(name, str) and name in parameters for name in required):
        raise _inexpressible(path, "a required name that is not among the properties")
    return {
        "name": tool.name,
        "description": "\n".join(filter(None, (tool.description, described))),
        "parameter_definitions": {
            name: _parameter(path, parameter) | {"required": name in required}
            for name, parameter in parameters.items()
        },
    }


def _parameter(path: str, schema: Any) -> Json:
    kind = _kind(path, schema, _PARAMETER_WORDS)
    return {"type": kind, "description": schema["description"]} if "description" in schema else {"type": kind}


def _kind(path: str, schema: Any, known: frozenset[str]) -> str:
    """Return the type of a parameter, or of the items of one, in Python's words."""
    word = schema.get("type") if isinstance(schema, Mapping) else None
    kind = _TYPES.get(word) if isinstance(word, str) else None
    if kind is None:
        raise _inexpressible(path, "a parameter that is not of exactly one type")
    if kind == "list" and "items" in schema:
        kind = f"List[{_kind(path, schema['items'], frozenset({'type', 'title'}))}]"
        known |= {"items"}
    _refuse_words(path, schema, known)
    return kind


def _refuse_words(path: str, schema: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(schema) - known)
    if unknown:
        # a keyword of JSON Schema helps to find the place; any other text would only be given back
        word = f"'{unknown[0]}'" if _KEYWORD.fullmatch(unknown[0]) else "a word that is not JSON Schema's"
        raise _inexpressible(path, word)


def _inexpressible(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(
        f"by InvokeModel this model's tools cannot express {what}; Converse takes JSON Schema.", param=path
    )
