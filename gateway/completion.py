"""The unary answer: a fold of the same events that a stream delivers one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from gateway.domain import (
    Citation,
    Event,
    FinishReason,
    ReasoningDelta,
    ReasoningPart,
    Stop,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.domain import JsonObject


@dataclass(slots=True)
class FoldedToolCall:
    """One whole tool call."""

    id: str
    name: str
    pieces: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        """The JSON text of the arguments as the model wrote it."""
        return "".join(self.pieces)


@dataclass(slots=True)
class Completion:
    """The state of one answer so far; complete when `finish_reason` is set."""

    pieces: list[str] = field(default_factory=list)
    reasoning: list[ReasoningPart] = field(default_factory=list)
    tool_calls: list[FoldedToolCall] = field(default_factory=list)
    citations: list[JsonObject] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    finish_reason: FinishReason | None = None
    stop_reason: str | None = None

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        return "".join(self.pieces)

    def add(self, event: Event) -> None:
        """Fold one more event into this answer."""
        match event:
            case TextDelta():
                self.pieces.append(event.text)
            case ReasoningDelta():
                self._add_reasoning(event)
            case ToolCall():
                self.tool_calls.append(FoldedToolCall(event.id, event.name))
            case ToolCallDelta():
                self.tool_calls[event.index].pieces.append(event.arguments)
            case Citation():
                self.citations.append(event.citation)
            case Usage():
                self.usage = self.usage.merge(event)
            case Stop():
                self.finish_reason, self.stop_reason = event.reason, event.raw
            case _:
                assert_never(event)

    def _add_reasoning(self, delta: ReasoningDelta) -> None:
        """Join pieces into blocks: a signature ends its block, a redacted block stands alone."""
        if delta.redacted is not None:
            self.reasoning.append(ReasoningPart(redacted=delta.redacted))
            return
        last = self.reasoning[-1] if self.reasoning else None
        if last is None or last.signature is not None or last.redacted is not None:
            self.reasoning.append(ReasoningPart(text=delta.text or "", signature=delta.signature))
            return
        self.reasoning[-1] = ReasoningPart(text=last.text + (delta.text or ""), signature=delta.signature)


def fold(events: Iterable[Event]) -> Completion:
    """Return the answer that these events make."""
    completion = Completion()
    for event in events:
        completion.add(event)
    return completion
