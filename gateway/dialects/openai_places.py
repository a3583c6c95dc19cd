"""Faults that were found behind the dialect, in the words of those who ask for chat completions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from gateway.dialects.openai_messages import conversation
from gateway.dialects.openai_schema import AllowedToolsChoice, ChatBody
from gateway.dialects.places import rename

if TYPE_CHECKING:
    from gateway.errors import InvalidRequest

_TOOL: Final = re.compile(r"tools\[(\d+)\](?:\.(strict)|\.cache(.*))")


def name_field(fault: InvalidRequest, value: Any) -> None:
    """Let a fault of a request name its field as the caller wrote it; `value` is the body, which is good."""
    if fault.param is None:
        return
    body = ChatBody.model_validate({"model": "-", **value})
    told = conversation(body.messages, None)
    rename(fault, told.place(fault.param) or _name(fault.param, body), body.model_fields_set)


def _name(param: str, body: ChatBody) -> str:
    """Return what OpenAI calls a field of the domain."""
    said = body.model_fields_set
    if param == "reasoning":
        return "thinking" if "thinking" in said else "reasoning_effort"
    if param == "max_tokens" and "max_completion_tokens" in said:
        return "max_completion_tokens"
    if (found := _TOOL.fullmatch(param)) is not None:
        return _of_tool(int(found[1]), found[3], body)
    return param


def _of_tool(number: int, cache: str | None, body: ChatBody) -> str:
    """Return where the caller wrote that a tool is strict or, with the rest of its path, is to be cached."""
    choice, tools = body.tool_choice, list(enumerate(body.tools or ()))
    if isinstance(choice, AllowedToolsChoice):  # the model gets no others to see
        allowed = {tool.function.name for tool in choice.allowed_tools.tools}
        tools = [(place, tool) for place, tool in tools if tool.function.name in allowed]
    place, tool = tools[number]
    if cache is None:
        return f"tools[{place}].function.strict"
    return f"tools[{place}]{'' if tool.cache_control else '.function'}.cache_control{cache}"
