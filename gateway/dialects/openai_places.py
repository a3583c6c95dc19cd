"""Faults that were found behind the dialect, in the words of OpenAI's callers.

What a model cannot do is found where its body is made, and named as the domain has it: there `system` stands
apart, tool results in a row are one message, and reasoning is a field of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from gateway.dialects.openai_messages import conversation
from gateway.dialects.openai_schema import ChatBody

if TYPE_CHECKING:
    from gateway.errors import InvalidRequest

_PART: Final = re.compile(r"(?:messages\[(\d+)\]\.content|system)\[(\d+)\](.*)")
_MESSAGE: Final = re.compile(r"messages\[(\d+)\](.*)")


def name_field(fault: InvalidRequest, value: Any) -> None:
    """Let a fault of a request name its field as the caller wrote it; `value` is the body, which is good."""
    if fault.param is None:
        return
    body = ChatBody.model_validate({"model": "-", **value})
    param = _place(fault.param, body) or _name(fault.param, body)
    if fault.message.startswith(fault.param):
        fault.message = param + fault.message.removeprefix(fault.param)
    fault.param = param


def _place(param: str, body: ChatBody) -> str | None:
    """Return where the caller wrote a part or a turn; None for what is neither, or the operator's."""
    told = conversation(body.messages, None)
    if (found := _PART.fullmatch(param)) is not None:
        number, part, rest = found.groups()
        places = told.system_places if number is None else told.places[int(number)]
        # system text may be the operator's default
        return places[int(part)] + rest if int(part) < len(places) else None
    if (found := _MESSAGE.fullmatch(param)) is not None:
        first = told.places[int(found[1])][0]
        return first[: first.index("]") + 1] + found[2]
    return None


def _name(param: str, body: ChatBody) -> str:
    """Return what OpenAI calls a field of the domain."""
    said = body.model_fields_set
    if param == "reasoning":
        return "thinking" if "thinking" in said else "reasoning_effort"
    if param == "max_tokens" and "max_completion_tokens" in said:
        return "max_completion_tokens"
    return param
