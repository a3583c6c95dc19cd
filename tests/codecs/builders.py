"""Invented answers, in the words of each family, for the tests of what codecs make of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway.codecs import CODECS

if TYPE_CHECKING:
    from gateway.catalog.model import Family
    from gateway.domain import Event

Payload = dict[str, Any]
Frames = list[tuple[str, Payload]]


def feed(family: Family, frames: Frames, events: list[Event] | None = None) -> tuple[list[Event], set[str]]:
    """Return the events of a whole stream, and what was unknown in it."""
    extractor = CODECS[family].extractor()
    events = [] if events is None else events
    for event_type, payload in frames:
        extractor.feed(event_type, json.dumps(payload).encode(), events)
    extractor.close(events)
    return events, set(extractor.unknown)


def read(family: Family, body: object, headers: dict[str, str] | None = None) -> tuple[list[Event], set[str]]:
    """Return the events of a whole answer, and what was unknown in it."""
    events: list[Event] = []
    unknown = CODECS[family].read(json.dumps(body).encode(), headers or {}, events)
    return events, set(unknown)


CLAUDE_START: Payload = {
    "type": "message_start",
    "message": {"usage": {"input_tokens": 1, "output_tokens": 1}},
}


def claude(*chunks: Payload, stop: str | None = "end_turn", last: Payload | None = None) -> Frames:
    """Return a Claude stream with these chunks in its middle."""
    delta = {"type": "message_delta", "delta": {"stop_reason": stop}}
    end = {"type": "message_stop", **(last or {})}
    return [("chunk", chunk) for chunk in (CLAUDE_START, *chunks, delta, end)]


def begin(block: Payload, index: int = 0) -> Payload:
    """Return Claude's start of a block."""
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(piece: Payload, index: int = 0) -> Payload:
    """Return Claude's delta of a block."""
    return {"type": "content_block_delta", "index": index, "delta": piece}


def converse(*middle: tuple[str, Payload], stop: str = "end_turn", usage: Payload | None = None) -> Frames:
    """Return a Converse stream with these events in its middle."""
    return [
        ("messageStart", {"role": "assistant"}),
        *middle,
        ("messageStop", {"stopReason": stop}),
        ("metadata", {"usage": usage or {"inputTokens": 1, "outputTokens": 2}}),
    ]


def nova(frames: Frames) -> Frames:
    """Return a Converse stream as Nova's chunks."""
    return [("chunk", {name: payload}) for name, payload in frames]


def piece(delta: Payload, index: int = 0) -> tuple[str, Payload]:
    """Return Converse's delta of a block."""
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}


def start(what: Payload, index: int = 0) -> tuple[str, Payload]:
    """Return Converse's start of a block."""
    return "contentBlockStart", {"contentBlockIndex": index, "start": what}


def titan(**last: Any) -> Payload:
    """Return Titan's last chunk."""
    return {"outputText": "x", "totalOutputTextTokenCount": 1, "completionReason": "FINISH", **last}


def tool(name: str = "b", index: int = 0, **more: Any) -> tuple[str, Payload]:
    """Return Converse's start of a tool call."""
    return start({"toolUse": {"toolUseId": "a", "name": name, **more}}, index)


def counted(usage: object) -> Payload:
    """Return Claude's message_delta with this usage."""
    return {"type": "message_delta", "delta": {}, "usage": usage}


TEXT: Payload = {"type": "text_delta", "text": "x"}
ARGUMENTS: Payload = {"type": "input_json_delta", "partial_json": "{}"}
TOOL_USE: Payload = {"type": "tool_use", "id": "a", "name": "b", "input": {}}
SERVER_TOOL: Payload = {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}}
