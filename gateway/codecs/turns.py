"""The conversation of a request, checked and brought into the order that every family demands.

Families want turns to alternate. Adjacent turns of one role are merged by putting their parts one after the
other: a turn is nothing but a role and its parts in order, so nothing is lost. Who may speak first is left to
Bedrock: Converse with Claude 4.5 has been recorded to answer a conversation that the assistant began.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.domain import (
    CachePoint,
    DocumentPart,
    ImagePart,
    ReasoningPart,
    TextPart,
    ToolResultPart,
    ToolUsePart,
)
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.domain import CompletionRequest, Part, Role

_ALLOWED: dict[Role, tuple[type[Part], ...]] = {
    "user": (TextPart, ImagePart, DocumentPart, ToolResultPart, CachePoint),
    "assistant": (TextPart, ReasoningPart, ToolUsePart, CachePoint),
}
NAMES: dict[type[Part], str] = {
    TextPart: "text",
    ImagePart: "an image",
    DocumentPart: "a document",
    CachePoint: "a cache point",
    ReasoningPart: "reasoning",
    ToolUsePart: "a tool call",
    ToolResultPart: "a tool result",
}


@dataclass(slots=True)
class Turn:
    """One turn to send: its parts, each with the path at which the caller wrote it."""

    role: Role
    parts: list[tuple[str, Part]] = field(default_factory=list)


def turns(request: CompletionRequest) -> list[Turn]:
    """Return the alternating turns of the conversation.

    Raises:
        InvalidRequest: no messages, or a part is in the wrong role's turn.
    """
    if not request.messages:
        raise InvalidRequest("messages must not be empty.", param="messages")
    merged: list[Turn] = []
    for number, message in enumerate(request.messages):
        if not message.content:
            raise InvalidRequest("a message must have content.", param=f"messages[{number}].content")
        if not merged or merged[-1].role != message.role:
            merged.append(Turn(message.role))
        for position, part in enumerate(message.content):
            path = f"messages[{number}].content[{position}]"
            if not isinstance(part, _ALLOWED[message.role]):
                who = "a user" if message.role == "user" else "an assistant"
                raise InvalidRequest(f"{NAMES[type(part)]} has no place in {who} message.", param=path)
            merged[-1].parts.append((path, part))
    return merged


def has_tool_parts(request: CompletionRequest) -> bool:
    """Tell whether the conversation so far has tool calls or results."""
    for message in request.messages:
        for part in message.content:
            if isinstance(part, ToolUsePart | ToolResultPart):
                return True
    return False
