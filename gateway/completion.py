"""The unary answer: a fold of the same events that a stream delivers one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, assert_never

from gateway.domain import (
    Citation,
    Event,
    FinishReason,
    PassedOn,
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
class FoldedText:
    """A run of text; `citations` are those that came with it."""

    pieces: list[str] = field(default_factory=list)
    citations: list[JsonObject] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text of this run."""
        return "".join(self.pieces)


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

    @property
    def part(self) -> ReasoningPart:
        """The block as it may be handed back in a later turn."""
        return ReasoningPart("".join(self.pieces), self.signature, self.redacted)


Block: TypeAlias = FoldedText | FoldedReasoning | FoldedToolCall


@dataclass(slots=True)
class Completion:
    """The state of one answer so far; complete when `finish_reason` is set.

    `blocks` are what the model said, in its order. `passed` are the pieces of an answer that is passed on in
    the provider's own words.
    """

    blocks: list[Block] = field(default_factory=list)
    tool_calls: list[FoldedToolCall] = field(default_factory=list)
    passed: list[bytes] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    finish_reason: FinishReason | None = None
    stop_reason: str | None = None

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        return "".join([block.text for block in self.blocks if isinstance(block, FoldedText)])

    @property
    def reasoning(self) -> list[ReasoningPart]:
        """The blocks of reasoning so far, as they may be handed back in a later turn."""
        return [block.part for block in self.blocks if isinstance(block, FoldedReasoning)]

    @property
    def citations(self) -> list[JsonObject]:
        """The citations so far."""
        texts = [block for block in self.blocks if isinstance(block, FoldedText)]
        return [citation for block in texts for citation in block.citations]

    def add(self, event: Event) -> None:  # noqa: C901 - one arm for each kind of event
        """Fold one more event into this answer."""
        match event:
            case TextDelta():
                self._open_text().pieces.append(event.text)
            case ReasoningDelta():
                self._add_reasoning(event)
            case ToolCall():
                call = FoldedToolCall(event.id, event.name)
                self.blocks.append(call)
                self.tool_calls.append(call)
            case ToolCallDelta():
                self.tool_calls[event.index].pieces.append(event.arguments)
            case Citation():
                self._open_text().citations.append(event.citation)
            case PassedOn():
                self.passed.append(event.data)
            case Usage():
                self.usage = self.usage.merge(event)
            case Stop():
                self.finish_reason, self.stop_reason = event.reason, event.raw
            case _:
                assert_never(event)

    def _open_text(self) -> FoldedText:
        last = self.blocks[-1] if self.blocks else None
        if not isinstance(last, FoldedText):
            self.blocks.append(last := FoldedText())
        return last

    def _add_reasoning(self, delta: ReasoningDelta) -> None:
        """Join pieces into blocks: a signature ends its block, a redacted block stands alone."""
        if delta.redacted is not None:
            self.blocks.append(FoldedReasoning(redacted=delta.redacted))
            return
        last = self.blocks[-1] if self.blocks else None
        if not isinstance(last, FoldedReasoning) or last.complete:
            self.blocks.append(last := FoldedReasoning())
        if delta.text:
            last.pieces.append(delta.text)
        last.signature = delta.signature


def fold(events: Iterable[Event]) -> Completion:
    """Return the answer that these events make."""
    completion = Completion()
    for event in events:
        completion.add(event)
    return completion
