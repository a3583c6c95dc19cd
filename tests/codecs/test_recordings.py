"""Recorded Bedrock traffic through the codecs, against what its raw JSON says to a reader without a codec."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.eventstream import EventStreamBuffer

from gateway.catalog.model_id import parse
from gateway.codecs import CODECS
from gateway.completion import Completion, fold
from gateway.domain import Event
from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.catalog.model import Family

RECORDINGS = Path(os.environ.get("GATEWAY_RECORDINGS") or Path(__file__).parents[3] / "shared" / "recordings")
FILES = sorted(RECORDINGS.glob("*.json"))
NATIVE: dict[str, Family] = {
    "anthropic.claude": "claude",
    "amazon.nova-lite": "nova",
    "amazon.nova-micro": "nova",
    "amazon.titan-text": "titan",
}
SERVER_TOOL = "server_tool_use"

pytestmark = pytest.mark.skipif(not FILES, reason="no recordings; set GATEWAY_RECORDINGS to their folder")


def family_of(recording: dict[str, Any]) -> Family | None:
    """Return the codec that speaks what was recorded, None if there is none."""
    if recording["status"] != 200:
        return None
    if recording["operation"] in {"converse", "converse-stream"}:
        return "converse"
    if recording["operation"] in {"invoke", "invoke-with-response-stream"}:
        base = parse(recording["model_id"]).base_id or ""
        return next((family for prefix, family in NATIVE.items() if base.startswith(prefix)), None)
    return None


def recorded(*, streamed: bool) -> list[Any]:
    """Return the recordings that a codec can read, as parameters."""
    rows = []
    for file in FILES:
        recording = json.loads(file.read_bytes())
        family = family_of(recording)
        if family is not None and ("response_base64" in recording) is streamed:
            rows.append(pytest.param(recording, family, id=file.stem))
    return rows


def payloads(recording: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Return event types and payloads, decoded by botocore."""
    buffer = EventStreamBuffer()
    buffer.add_data(b64decode(recording["response_base64"]))
    frames = [(frame.headers[":event-type"], frame.payload) for frame in buffer]
    if recording["operation"] == "converse-stream":
        return frames
    return [(event_type, b64decode(json.loads(payload)["bytes"])) for event_type, payload in frames]


def found(value: Any, key: str, within: tuple[str, ...] = ()) -> Iterator[Any]:
    """Yield whatever stands at `key` anywhere in a JSON value, in order, except inside the keys `within`."""
    if isinstance(value, list):
        for item in value:
            yield from found(item, key, within)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            if name not in within:
                yield from found(inner, key, within)


NOT_TEXT = (
    "sourceContent",
    "reasoningContent",
    "trace",
    "amazon-bedrock-trace",
    "toolUse",
    "toolResult",
    "input",
)


def said(values: Any) -> str:
    """Return the text of an answer: every string that is called text and is not something else's text."""
    texts = [*found(values, "text", NOT_TEXT), *found(values, "outputText", NOT_TEXT)]
    return "".join(text for text in texts if isinstance(text, str))


def reasoned(values: Any) -> str:
    """Return the reasoning of an answer."""
    inside = list(found(values, "reasoningContent"))
    return "".join(found(inside, "text")) + "".join(found(values, "thinking"))


def called(values: Any) -> list[tuple[str, str]]:
    """Return id and name of the tool calls that are the caller's to make."""
    calls = [use for use in found(values, "toolUse") if "toolUseId" in use]
    claude = [block for key in ("content_block", "content") for block in flat(found(values, key))]
    calls += [block for block in claude if block.get("type") == "tool_use"]
    return [
        (call.get("toolUseId") or call["id"], call["name"])
        for call in calls
        if call.get("type") != SERVER_TOOL
    ]


def flat(values: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Yield the objects among values and lists of values."""
    for value in values:
        yield from (
            item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)
        )


def outline(completion: Completion) -> tuple[str, str, list[tuple[str, str]]]:
    """Return text, reasoning and calls of a completion."""
    for call in completion.tool_calls:
        json.loads(call.arguments)
    return (
        completion.text,
        "".join(part.text for part in completion.reasoning),
        [(call.id, call.name) for call in completion.tool_calls],
    )


@pytest.mark.parametrize(("recording", "family"), recorded(streamed=True))
def test_a_recorded_stream_says_what_its_json_says(recording: dict[str, Any], family: Family) -> None:
    """Text, reasoning and tool calls are those of the raw payloads; every stream ends well."""
    extractor, events = CODECS[family].extractor(), list[Event]()
    frames = payloads(recording)
    for event_type, payload in frames:
        extractor.feed(event_type, payload, events)
    extractor.close(events)
    raw = [json.loads(payload) for _, payload in frames]
    completion = fold(events)
    assert outline(completion) == (said(raw), reasoned(raw), called(raw))
    assert (completion.usage.input_tokens, completion.usage.output_tokens) != (None, None)
    assert {name for name in extractor.unknown if "tool" not in name.lower()} == set()


@pytest.mark.parametrize(("recording", "family"), recorded(streamed=False))
def test_a_recorded_answer_says_what_its_json_says(recording: dict[str, Any], family: Family) -> None:
    """The same for whole answers; nothing in them is unknown but tools that Bedrock ran itself."""
    events: list[Event] = []
    body = json.dumps(recording["response"]).encode()
    unknown = CODECS[family].read(body, recording["response_headers"], events)
    completion = fold(events)
    assert outline(completion) == (
        said(recording["response"]),
        reasoned(recording["response"]),
        called(recording["response"]),
    )
    assert (completion.usage.input_tokens, completion.usage.output_tokens) != (None, None)
    assert {name for name in unknown if "tool" not in name.lower()} == set()


@pytest.mark.parametrize(("recording", "family"), recorded(streamed=True))
def test_a_recorded_stream_cut_short_is_truncated(recording: dict[str, Any], family: Family) -> None:
    """Without its last frame no recorded stream passes for whole."""
    extractor = CODECS[family].extractor()
    for event_type, payload in payloads(recording)[:-1]:
        extractor.feed(event_type, payload, [])
    with pytest.raises(UpstreamProtocolError, match="truncated"):
        extractor.close([])
