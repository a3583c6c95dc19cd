r"""NDJSON and SSE: hostile text comes out as it went in, by any reader's idea of a line."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire import ndjson, sse
from gateway.wire.json import dumps

# Everything that anybody takes for a line break, and what else has broken framings.
HOSTILE = '\n\r\v\f\x00\x1c\x1d\x1e\x85\u2028\u2029\ufeff\ud800\udbff\udc00\udfff\\":{}[], data'
TEXT = st.text(st.one_of(st.sampled_from(HOSTILE), st.characters()), max_size=30)  # with lone surrogates
RECORDS = st.lists(st.dictionaries(TEXT, TEXT, max_size=3), max_size=5)

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE = re.compile("[\ud800-\udfff]")


def repaired(text: str) -> str:
    """Return the text as a reader gets it: surrogate pairs joined, lone surrogates replaced."""
    joined = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _LONE.sub("\ufffd", joined)


def expected_of(records: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the records as a reader gets them; keys that become equal stay apart."""
    expected = []
    for record in records:
        names: dict[str, str] = {}
        for name, text in record.items():
            read = repaired(name)
            while read in names:
                read += "\ufffd"
            names[read] = repaired(text)
        expected.append(names)
    return expected


# ── NDJSON ────────────────────────────────────────────────────────────────────────────────────────────


@given(RECORDS)
def test_ndjson_by_any_line(records: list[dict[str, str]]) -> None:
    """Split at line feeds or by `str.splitlines`, the stream gives the same records."""
    stream = b"".join(ndjson.frame(dumps(record)) for record in records)
    expected = expected_of(records)
    *lines, rest = stream.split(b"\n")
    assert rest == b""
    assert [json.loads(line) for line in lines] == expected
    assert [json.loads(line) for line in stream.splitlines()] == expected
    assert [json.loads(line) for line in stream.decode().splitlines()] == expected


def test_ndjson_in_bytes() -> None:
    """A frame is the record and a line feed."""
    assert ndjson.frame(b'{"type":"ping"}') == b'{"type":"ping"}\n'
    assert ndjson.CONTENT_TYPE == "application/x-ndjson"


# ── SSE ───────────────────────────────────────────────────────────────────────────────────────────────


class ServerSentEvent(NamedTuple):
    """What a browser dispatches."""

    event: str
    data: str


def events_of(stream: bytes) -> list[ServerSentEvent]:
    """Return what a browser dispatches: WHATWG HTML §9.2.6, "Interpreting an event stream"."""
    text = stream.decode().removeprefix("\ufeff")
    lines = re.split("\r\n|\n|\r", text)
    events: list[ServerSentEvent] = []
    event, data = "", ""
    for line in lines[:-1]:  # what follows the last line break is not a line yet
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                events.append(ServerSentEvent(event or "message", data.removesuffix("\n")))
            event, data = "", ""
        elif name == "event":
            event = value
        elif name == "data":
            data += value + "\n"
    return events


@given(records=RECORDS, event=st.sampled_from([None, "text_delta", "größe"]), heartbeats=st.booleans())
def test_sse_by_the_standard(*, records: list[dict[str, str]], event: str | None, heartbeats: bool) -> None:
    """A browser dispatches just the records, under their type, whether or not comments lie between."""
    heartbeat = sse.comment() + sse.comment("still here") if heartbeats else b""
    stream = b"".join(heartbeat + sse.frame(dumps(record), event) for record in records)
    dispatched = [(got.event, json.loads(got.data)) for got in events_of(stream)]
    assert dispatched == [(event or "message", record) for record in expected_of(records)]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (sse.frame(b"{}"), b"data: {}\n\n"),
        (sse.frame(b"[DONE]", None), b"data: [DONE]\n\n"),
        (sse.frame(b"{}", "ping"), b"event: ping\ndata: {}\n\n"),
        (sse.comment(), b":\n\n"),
        (sse.comment("queued: 3"), b": queued: 3\n\n"),
    ],
)
def test_sse_in_bytes(frame: bytes, expected: bytes) -> None:
    """Frames and comments, byte for byte."""
    assert frame == expected
    assert sse.CONTENT_TYPE == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "\r\n", "\n"])
def test_sse_refuses_line_breaks(text: str) -> None:
    """Nobody smuggles a field in through an event's type or a comment."""
    calls: list[Any] = [lambda: sse.frame(b"{}", text), lambda: sse.comment(text)]
    for call in calls:
        with pytest.raises(ValueError, match="cannot hold a line break"):
            call()
