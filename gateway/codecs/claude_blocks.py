"""The content blocks of a Claude answer, streamed or whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gateway.codecs.shapes import Json, index, optional_records, optional_text, record, text
from gateway.codecs.tool_calls import ToolCalls
from gateway.domain import Citation, ReasoningDelta, TextDelta

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.domain import Event


class ClaudeBlocks:
    """The content blocks of one answer. A whole answer's blocks are begun and ended, that is all."""

    __slots__ = ("_unknown", "tools")

    def __init__(self, unknown: set[str]) -> None:
        self._unknown = unknown
        self.tools = ToolCalls()

    def begin(self, number: int, block: Json, events: list[Event]) -> None:
        """Block `number` begins with what `block` says."""
        kind = text(block, "type")
        handle = self._BLOCKS.get(kind)
        if handle is None:  # such as server_tool_use: its arguments are not for the caller to run
            self._unknown.add(f"content_block:{kind}")
            self.tools.ignore(number)
        else:
            handle(self, number, block, events)

    def delta(self, chunk: Json, events: list[Event]) -> None:
        """A block goes on: `chunk` is a content_block_delta."""
        delta = record(chunk, "delta")
        kind = text(delta, "type")
        handle = self._DELTAS.get(kind)
        if handle is None:
            self._unknown.add(f"delta:{kind}")
        else:
            handle(self, chunk, delta, events)

    def _begin_text(self, _number: int, block: Json, events: list[Event]) -> None:
        if said := text(block, "text"):
            events.append(TextDelta(said))
        for citation in optional_records(block, "citations"):
            events.append(Citation(citation))  # noqa: PERF401 - there are hardly ever any

    def _begin_thinking(self, _number: int, block: Json, events: list[Event]) -> None:
        if thought := optional_text(block, "thinking"):
            events.append(ReasoningDelta(text=thought))
        if signature := optional_text(block, "signature"):
            events.append(ReasoningDelta(signature=signature))

    def _begin_redacted(self, _number: int, block: Json, events: list[Event]) -> None:
        events.append(ReasoningDelta(redacted=text(block, "data")))

    def _begin_tool(self, number: int, block: Json, events: list[Event]) -> None:
        self.tools.begin(number, (text(block, "id"), text(block, "name")), events, block.get("input"))

    def _text(self, _chunk: Json, delta: Json, events: list[Event]) -> None:
        if said := text(delta, "text"):
            events.append(TextDelta(said))

    def _arguments(self, chunk: Json, delta: Json, events: list[Event]) -> None:
        self.tools.arguments(index(chunk, "index"), text(delta, "partial_json"), events)

    def _thinking(self, _chunk: Json, delta: Json, events: list[Event]) -> None:
        if thought := text(delta, "thinking"):
            events.append(ReasoningDelta(text=thought))

    def _signature(self, _chunk: Json, delta: Json, events: list[Event]) -> None:
        if signature := text(delta, "signature"):
            events.append(ReasoningDelta(signature=signature))

    def _citation(self, _chunk: Json, delta: Json, events: list[Event]) -> None:
        events.append(Citation(record(delta, "citation")))

    _BLOCKS: ClassVar[dict[str, Callable[[ClaudeBlocks, int, Json, list[Event]], None]]] = {
        "text": _begin_text,
        "thinking": _begin_thinking,
        "redacted_thinking": _begin_redacted,
        "tool_use": _begin_tool,
    }
    _DELTAS: ClassVar[dict[str, Callable[[ClaudeBlocks, Json, Json, list[Event]], None]]] = {
        "text_delta": _text,
        "input_json_delta": _arguments,
        "thinking_delta": _thinking,
        "signature_delta": _signature,
        "citations_delta": _citation,
    }
