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
class FoldedReasoning:
    """One block of reasoning, growing until its signature comes."""

    pieces: list[str] = field(default_factory=list)
    signature: str | None = None
    redacted: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the next piece belongs to another block."""
        return self.signature is not None or self.redacted is not None


@dataclass(slots=True)
class Completion:
    """The state of one answer so far; complete when `finish_reason` is set."""

    pieces: list[str] = field(default_factory=list)
    reasoning_blocks: list[FoldedReasoning] = field(default_factory=list)
    tool_calls: list[FoldedToolCall] = field(default_factory=list)
    citations: list[JsonObject] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    finish_reason: FinishReason | None = None
    stop_reason: str | None = None

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        return "".join(self.pieces)

    @property
    def reasoning(self) -> list[ReasoningPart]:
        """The blocks of reasoning so far, as they may be handed back in a later turn."""
        return [
            ReasoningPart("".join(block.pieces), block.signature, block.redacted)
            for block in self.reasoning_blocks
        ]

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
            self.reasoning_blocks.append(FoldedReasoning(redacted=delta.redacted))
            return
        if not self.reasoning_blocks or self.reasoning_blocks[-1].complete:
            self.reasoning_blocks.append(FoldedReasoning())
        block = self.reasoning_blocks[-1]
        if delta.text:
            block.pieces.append(delta.text)
        block.signature = delta.signature


def fold(events: Iterable[Event]) -> Completion:
    """Return the answer that these events make."""
    completion = Completion()
    for event in events:
        completion.add(event)
    return completion
