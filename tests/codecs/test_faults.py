"""Answers that break their own rules, and answers with news in them: each has one outcome, decided here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gateway.codecs import CODECS
from gateway.domain import Event, FinishReason, Stop, TextDelta, ToolCall, ToolCallDelta
from gateway.errors import UpstreamProtocolError
from tests.codecs.builders import (
    ARGUMENTS,
    CLAUDE_START,
    SERVER_TOOL,
    TEXT,
    TOOL_USE,
    Frames,
    Payload,
    begin,
    claude,
    converse,
    counted,
    delta,
    feed,
    nova,
    piece,
    read,
    start,
    titan,
    tool,
)

if TYPE_CHECKING:
    from gateway.catalog.model import Family

# ── rules broken ──────────────────────────────────────────────────────────────────────────────────────

MESSAGE_STOP: Payload = {"type": "message_stop"}
BROKEN: list[tuple[str, Family, Frames]] = [
    ("claude: text before the start", "claude", [("chunk", delta(TEXT))]),
    ("claude: a block before the start", "claude", [("chunk", begin({"type": "text", "text": ""}))]),
    ("claude: two starts", "claude", claude(CLAUDE_START)),
    ("claude: a stop before the start", "claude", [("chunk", MESSAGE_STOP)]),
    ("claude: no stop reason", "claude", claude(stop=None)),
    ("claude: after the end", "claude", [*claude(), ("chunk", {"type": "ping"})]),
    (
        "claude: metrics and more after the end",
        "claude",
        [*claude(), ("chunk", {"type": "ping", "amazon-bedrock-invocationMetrics": {}})],
    ),
    ("claude: no type", "claude", claude({"index": 0})),
    ("claude: a type that is a list", "claude", claude({"type": ["ping"]})),
    ("claude: arguments for no tool", "claude", claude(delta(ARGUMENTS))),
    ("claude: a tool begins twice", "claude", claude(*2 * [begin(TOOL_USE)])),
    ("claude: a tool without a name", "claude", claude(begin({"type": "tool_use", "id": "a"}))),
    ("claude: text that is a number", "claude", claude(delta({"type": "text_delta", "text": 1}))),
    ("claude: no index", "claude", claude({"type": "content_block_stop"})),
    ("claude: a count that is a word", "claude", claude(counted({"output_tokens": "1"}))),
    ("claude: a count that is true", "claude", claude(counted({"output_tokens": True}))),
    ("claude: a negative count", "claude", claude(counted({"output_tokens": -1}))),
    ("claude: half a token", "claude", claude(counted({"output_tokens": 0.5}))),
    ("claude: usage that is a list", "claude", claude(counted([]))),
    (
        "claude: citations that are words",
        "claude",
        claude(begin({"type": "text", "text": "", "citations": ["x"]})),
    ),
    ("claude: metrics that are a word", "claude", claude(last={"amazon-bedrock-invocationMetrics": "x"})),
    ("claude: an action that is a number", "claude", claude(last={"amazon-bedrock-guardrailAction": 1})),
    ("converse: text before the start", "converse", [piece({"text": "x"})]),
    ("converse: a block before the start", "converse", [tool()]),
    (
        "converse: the end of a block before the start",
        "converse",
        [("contentBlockStop", {"contentBlockIndex": 0})],
    ),
    ("converse: two starts", "converse", converse(("messageStart", {}))),
    (
        "converse: text after the stop",
        "converse",
        converse(("messageStop", {"stopReason": "end_turn"}), piece({"text": "x"})),
    ),
    ("converse: metadata before the stop", "converse", converse(("metadata", {}))),
    ("converse: after the end", "converse", [*converse(), ("messageStart", {})]),
    ("converse: no delta", "converse", converse(("contentBlockDelta", {"contentBlockIndex": 0}))),
    (
        "converse: a delta that is a word",
        "converse",
        converse(("contentBlockDelta", {"contentBlockIndex": 0, "delta": "x"})),
    ),
    ("converse: arguments for no tool", "converse", converse(piece({"toolUse": {"input": "{}"}}))),
    ("converse: no stop reason", "converse", converse(("messageStop", {}))),
    ("nova: an event that is a word", "nova", [("chunk", {"messageStart": "x"})]),
    ("nova: after the end", "nova", [*nova(converse()), ("chunk", {"messageStart": {}})]),
    ("titan: no text", "titan", [("chunk", {"completionReason": "FINISH"})]),
    ("titan: after the end", "titan", [("chunk", titan()), ("chunk", titan())]),
    ("titan: a reason that is a number", "titan", [("chunk", titan(completionReason=1))]),
    ("titan: a count without end", "titan", [("chunk", titan(totalOutputTextTokenCount=1e300 * 10))]),
]


@pytest.mark.parametrize(("family", "frames"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_an_answer_that_breaks_its_rules_is_a_protocol_error(family: Family, frames: Frames) -> None:
    """Whatever is wrong, it is the upstream's fault and has that name."""
    with pytest.raises(UpstreamProtocolError):
        feed(family, frames)


@pytest.mark.parametrize("family", sorted(CODECS))
@pytest.mark.parametrize("payload", [b"{", b"[]", b'"[DONE]"', b"\xff", b"null", b'{"a":NaN}'])
def test_a_payload_that_is_no_json_object_is_a_protocol_error(family: Family, payload: bytes) -> None:
    """Broken JSON, and JSON of another kind, streamed or whole."""
    event_type = "messageStart" if family == "converse" else "chunk"
    with pytest.raises(UpstreamProtocolError):
        CODECS[family].extractor().feed(event_type, payload, [])
    with pytest.raises(UpstreamProtocolError):
        CODECS[family].read(payload, {}, [])


@pytest.mark.parametrize(
    ("family", "body"),
    [
        ("claude", {}),
        ("claude", {"content": [], "stop_reason": None}),
        ("claude", {"content": ["x"], "stop_reason": "end_turn"}),
        ("nova", {"output": {"message": {"content": []}}}),
        ("converse", {"output": {"message": {}}, "stopReason": "end_turn"}),
        ("converse", {"output": {"message": {"content": [{"text": None}]}}, "stopReason": "end_turn"}),
        ("titan", {"results": []}),
        ("titan", {"results": [{"outputText": "x", "completionReason": "FINISH"}] * 2}),
        ("titan", {"results": [{"outputText": "x"}]}),
    ],
)
def test_a_whole_answer_that_breaks_its_rules_is_a_protocol_error(family: Family, body: Payload) -> None:
    """The unary side is as strict as the stream."""
    with pytest.raises(UpstreamProtocolError):
        read(family, body)


def test_good_events_before_a_fault_are_kept() -> None:
    """Events go into the caller's list, so a fault in the same read loses none that came before it."""
    extractor, events = CODECS["claude"].extractor(), list[Event]()
    for chunk in (CLAUDE_START, delta(TEXT)):
        extractor.feed("chunk", json.dumps(chunk).encode(), events)
    with pytest.raises(UpstreamProtocolError):
        extractor.feed("chunk", b"{", events)
    assert events[-1] == TextDelta("x")


# ── news ──────────────────────────────────────────────────────────────────────────────────────────────

NEWS: list[tuple[str, Family, Frames, set[str]]] = [
    ("claude: an event", "claude", claude({"type": "weather"}), {"event:weather"}),
    (
        "claude: an event after the end",
        "claude",
        [*claude(), ("chunk", {"type": "weather"})],
        {"event:weather"},
    ),
    ("claude: a delta", "claude", claude(delta({"type": "smell_delta"})), {"delta:smell_delta"}),
    ("claude: a frame", "claude", [("initial-response", {}), *claude()], {"event:initial-response"}),
    (
        "claude: a block that takes arguments",
        "claude",
        claude(begin(SERVER_TOOL), delta(ARGUMENTS), {"type": "content_block_stop", "index": 0}),
        {"content_block:server_tool_use"},
    ),
    ("converse: an event", "converse", converse(("weather", {})), {"event:weather"}),
    (
        "converse: an event after the end",
        "converse",
        [*converse(), ("weather", {})],
        {"event:weather"},
    ),
    ("converse: a delta", "converse", converse(piece({"smell": "x"})), {"delta:smell"}),
    (
        "converse: reasoning",
        "converse",
        converse(piece({"reasoningContent": {"smell": "x"}})),
        {"delta:reasoningContent.smell"},
    ),
    ("converse: a start", "converse", converse(start({"image": {"format": "png"}})), {"start:image"}),
    (
        "converse: a tool that the provider runs",
        "converse",
        converse(tool(type="server_tool_use"), piece({"toolUse": {"input": "{}"}})),
        {"start:server_tool_use"},
    ),
    ("nova: an event", "nova", nova(converse(("weather", {}))), {"event:weather"}),
    ("nova: a frame", "nova", [("initial-response", {}), *nova(converse())], {"event:initial-response"}),
    ("titan: a frame", "titan", [("initial-response", {}), ("chunk", titan())], {"event:initial-response"}),
]


@pytest.mark.parametrize(
    ("family", "frames", "unknown"), [row[1:] for row in NEWS], ids=[row[0] for row in NEWS]
)
def test_news_does_not_break_the_stream_and_does_not_vanish(
    family: Family, frames: Frames, unknown: set[str]
) -> None:
    """What the gateway does not know yet makes no event, ends nothing, and is named for the log."""
    events, news = feed(family, frames)
    assert (news, isinstance(events[-1], Stop)) == (unknown, True)
    assert [event for event in events if isinstance(event, ToolCall | ToolCallDelta)] == []


@pytest.mark.parametrize(
    ("family", "block", "unknown"),
    [
        ("claude", SERVER_TOOL, {"content_block:server_tool_use"}),
        ("converse", {"image": {}}, {"content:image"}),
        ("converse", {"toolUse": SERVER_TOOL}, {"content:server_tool_use"}),
        ("converse", {"reasoningContent": {"smell": 1}}, {"content:reasoningContent.smell"}),
        ("converse", {"citationsContent": {"content": [{"image": {}}]}}, {"content:citationsContent.image"}),
    ],
)
def test_news_in_a_whole_answer(family: Family, block: Payload, unknown: set[str]) -> None:
    """The unary side reports what it does not know just the same."""
    body: Payload = {"content": [block], "stop_reason": "end_turn"}
    if family == "converse":
        body = {"output": {"message": {"content": [block]}}, "stopReason": "end_turn"}
    assert read(family, body) == ([Stop(FinishReason.STOP, "end_turn")], unknown)


def test_a_chunk_without_bytes_is_named_and_skipped() -> None:
    """There is nothing in it that could be lost."""
    extractor, events = CODECS["titan"].extractor(), list[Event]()
    extractor.feed("chunk", b"", events)
    extractor.feed("chunk", json.dumps(titan()).encode(), events)
    extractor.close(events)
    assert (extractor.unknown, len(events)) == ({"chunk:empty"}, 3)
