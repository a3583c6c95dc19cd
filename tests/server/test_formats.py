"""Which form a stream takes, and what its records are as bytes."""

from __future__ import annotations

import json
import sys
from itertools import filterfalse
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import native_records
from gateway.dialects.native_stream import NDJSON, SSE, TEXT, NativeFormat
from gateway.domain import FinishReason, ReasoningDelta, Stop, TextDelta, ToolCallDelta, Usage
from gateway.errors import NotAcceptable
from gateway.server.formats import negotiate

if TYPE_CHECKING:
    from gateway.domain import Event

ACCEPTS: list[tuple[str | None, NativeFormat]] = [
    # nothing said, or the choice left to us
    (None, NDJSON),
    ("", NDJSON),
    ("  ", NDJSON),
    ("*/*", NDJSON),
    ("application/*", NDJSON),
    ("application/json, text/plain, */*", NDJSON),  # axios
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", NDJSON),  # a browser
    ("*/*;q=0.1", NDJSON),
    # said
    ("application/x-ndjson", NDJSON),
    ("application/ndjson", NDJSON),
    ("APPLICATION/X-NDJSON", NDJSON),
    ("text/event-stream", SSE),
    ("Text/Event-Stream; charset=utf-8", SSE),
    ("text/event-stream, */*", SSE),  # EventSource polyfills
    ("text/event-stream;q=1.0, application/x-ndjson;q=0.9", SSE),
    ("text/event-stream;q=0.5, application/x-ndjson;q=0.9", NDJSON),
    ("text/event-stream, application/json", SSE),
    ("application/json, text/event-stream", SSE),  # MCP clients
    ("text/plain", TEXT),
    ("text/plain;charset=utf-8", TEXT),
    ("text/plain, application/json", TEXT),
    ("text/plain;q=0.5, application/x-ndjson;q=0.4", TEXT),
    # bare text cannot say how a stream ended: it wins only where nothing else is wanted as much
    ("text/*", SSE),
    ("text/plain, text/*", SSE),
    ("text/plain, */*", NDJSON),
    ("text/plain, text/event-stream", SSE),
    ("text/*, */*", SSE),
    # refused in part
    ("*/*, application/x-ndjson;q=0, application/ndjson;q=0", SSE),
    ("text/*, text/event-stream;q=0", TEXT),
    ("text/event-stream;q=0, */*;q=0.1", NDJSON),
    # the most specific range that matches decides, wherever it stands
    ("*/*;q=0.1, text/event-stream;q=0.2", SSE),
    ("text/*;q=0, text/event-stream;q=0.3", SSE),
    ("text/event-stream;q=0.3, text/event-stream;q=0.4, application/x-ndjson;q=0.35", SSE),
    # sloppy
    ("text/event-stream;", SSE),
    (" text/event-stream ; q = 0.5 ", SSE),
    ("text/event-stream;Q=0.5", SSE),
    ("text/event-stream;q=7, application/x-ndjson", NDJSON),
    (",, text/event-stream ,", SSE),
    ("nonsense, text/event-stream", SSE),
    ("text/event-stream;x;y=;=z", SSE),
]


@pytest.mark.parametrize(("accept", "form"), ACCEPTS)
def test_negotiate(accept: str | None, form: NativeFormat) -> None:
    """Quality first; among equals what is named; bare text last; NDJSON where it is up to us."""
    assert negotiate(accept).name == form.name


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "text/html",
        "image/*",
        "*/*;q=0",
        "*/*;q=-1",
        "*/*;q=x",
        "*/*;q=nan",
        "*/*;q=",
        "text/event-stream;q=0",
        "text/event-stream;q=0.0, application/json",
        "text",
        "*",
        "*/plain",
        ",",
        ";",
        ";q=1",
        "\udcff",
    ],
)
def test_not_acceptable(accept: str) -> None:
    """Where none of the three suits, the refusal says what there is."""
    with pytest.raises(NotAcceptable) as caught:
        negotiate(accept)

    assert caught.value.param == "Accept"
    assert caught.value.message == (
        "This stream comes as application/x-ndjson, text/event-stream or text/plain; "
        "for one JSON object use POST /chat/completions."
    )


PIECES = st.sampled_from(
    [
        *("text/event-stream", "text/plain", "application/x-ndjson", "*/*", "text/*", "a/b"),
        *(";q=", ";q=0.5", ";", ",", "=", "0", "1e999", "nan", "-inf", "1_0", " ", '"', "\udcff"),
    ]
)


@given(st.none() | st.text() | st.lists(PIECES, max_size=12).map("".join))
def test_any_header(accept: str | None) -> None:
    """Whatever a caller sends, the answer is a form or a 406."""
    try:
        name = negotiate(accept).name
    except NotAcceptable:
        name = "406"

    assert name in {"ndjson", "sse", "text", "406"}


# ── bytes ─────────────────────────────────────────────────────────────────────────────────────────────

RECORD = {"type": "text_delta", "text": "a\u2028\r\n\ud800"}


def test_ndjson() -> None:
    """One record, one line, by any definition of a line."""
    data = NDJSON.encode(RECORD)

    assert data == b'{"type":"text_delta","text":"a\\u2028\\r\\n\xef\xbf\xbd"}\n'
    assert data.decode().splitlines() == [data.decode()[:-1]]


def test_sse() -> None:
    """The same record as one event."""
    assert SSE.encode(RECORD) == b"data: " + NDJSON.encode(RECORD) + b"\n"


def test_bare_text_has_no_records() -> None:
    """There is no room for a start or an end."""
    assert TEXT.encode(RECORD) == b""


TEXTS = st.text() | st.text(st.characters(categories=["Cc", "Cs", "Zl", "Zp"]) | st.sampled_from('"\\a'))
OTHERS: list[Event] = [
    ReasoningDelta(text="hm"),
    ToolCallDelta(0, "{}"),
    Usage(input_tokens=1),
    Stop(FinishReason.STOP, "x"),
]
EVENTS = st.lists(TEXTS.map(TextDelta) | TEXTS.map(TextDelta) | st.sampled_from(OTHERS), max_size=8)


def test_bare_text() -> None:
    """Bare text keeps the answer's text and nothing else."""
    events = [TextDelta("é\n"), *OTHERS, TextDelta("a\ud800b"), TextDelta("!")]

    assert TEXT.events(events) == "é\na?b!".encode()
    assert TEXT.events(OTHERS) == b""


@pytest.mark.parametrize("form", [NDJSON, SSE])
@given(events=EVENTS)
def test_a_batch_is_its_records_one_by_one(form: NativeFormat, events: list[Event]) -> None:
    """Encoding many at a time gives the bytes of each, whatever the text."""
    records = [native_records.delta(event) for event in events]

    assert form.events(events) == b"".join(form.encode(record) for record in records if record)


def test_any_character() -> None:
    """Characters that Python calls printable, and those that it does not, are encoded as in any record."""
    characters = [chr(point) for point in range(sys.maxunicode + 1)]
    printable = "".join(filter(str.isprintable, characters))
    batches = [[printable], list(filterfalse(str.isprintable, characters[:0x10000])), ['"', "\\", "a"]]

    for texts in batches:
        records = [NDJSON.encode({"type": "text_delta", "text": text}) for text in texts]
        assert NDJSON.events([TextDelta(text) for text in texts]) == b"".join(records)
    assert NDJSON.events([TextDelta(printable.translate({34: "", 92: ""}))]) == NDJSON.encode(
        {"type": "text_delta", "text": printable.translate({34: "", 92: ""})}
    )


@pytest.mark.parametrize("said", ['"', "\\", "\n", "\u2028", "\ud800", "\x7f"])
@pytest.mark.parametrize("beside", [[], ["a"], ["\t"], ["\u2029", "é"]])
def test_one_character_that_needs_an_escape(said: str, beside: list[str]) -> None:
    """Each one alone is enough: beside plain text, and beside text that needs escapes of its own."""
    texts = [f"a{said}", *beside]
    records = [NDJSON.encode({"type": "text_delta", "text": text}) for text in texts]

    assert NDJSON.events([TextDelta(text) for text in texts]) == b"".join(records)


@given(st.dictionaries(st.text(), st.text() | st.integers(-9, 9)))
def test_both_forms_carry_the_same_record(record: dict[str, object]) -> None:
    """Take the frame away, and the record is there."""
    line = NDJSON.encode(record)

    assert line.count(b"\n") == 1
    assert json.loads(line) == record
    assert SSE.encode(record).removeprefix(b"data: ").removesuffix(b"\n") == line


def test_content_types() -> None:
    """What the three forms call themselves."""
    assert [form.content_type for form in (NDJSON, SSE, TEXT)] == [
        "application/x-ndjson",
        "text/event-stream; charset=utf-8",
        "text/plain; charset=utf-8",
    ]
