"""From bytes to events: the fragmentation law, and the truth about how an answer ended."""

from __future__ import annotations

import base64
import itertools
import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bedrock.reader import StreamReader, UnaryReader
from gateway.codecs import CODECS
from gateway.domain import FinishReason, Stop, TextDelta, Usage
from gateway.emulator.replay import split_frames
from gateway.errors import GatewayError, UpstreamFailed, UpstreamProtocolError, UpstreamThrottled
from gateway.wire.eventstream import MAX_PAYLOAD_LENGTH, Decoder, encode
from tests.harness import shared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.catalog.model import Family
    from gateway.domain import Event

STREAMS = ("converse-stream", "invoke-with-response-stream")


def _chunk(payload: dict[str, Any]) -> bytes:
    envelope = {"bytes": base64.b64encode(orjson.dumps(payload)).decode(), "p": "abcd"}
    return _event("chunk", envelope)


def _event(kind: str, payload: dict[str, Any]) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, orjson.dumps(payload))


def _exception(kind: str, message: str) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode(headers, orjson.dumps({"message": message}))


def _titan(text: str, **more: Any) -> bytes:
    return _chunk({"outputText": text, "index": 0, **more})


LAST = {"completionReason": "FINISH", "totalOutputTextTokenCount": 2}
WHOLE = _titan("Hel", inputTextTokenCount=3) + _titan("lo", **LAST)


def _reader(family: Family = "titan") -> StreamReader:
    return StreamReader(CODECS[family].extractor(), enveloped=family != "converse")


def _read(*pieces: bytes, family: Family = "titan") -> list[Event]:
    reader, events = _reader(family), list[Any]()
    for piece in pieces:
        reader.feed(piece, events)
    reader.close(events)
    return events


EVENTS = [
    TextDelta("Hel"),
    Usage(input_tokens=3),
    TextDelta("lo"),
    Usage(output_tokens=2),
    Stop(FinishReason.STOP, "FINISH"),
]


def test_whole() -> None:
    """Two chunks become their events, and the end is accepted."""
    assert _read(WHOLE) == EVENTS


@given(st.lists(st.integers(0, len(WHOLE)), max_size=8).map(sorted))
def test_fragmentation(cuts: list[int]) -> None:
    """However the network cuts the bytes, the events are the same."""
    edges = [0, *cuts, len(WHOLE)]

    assert _read(*(WHOLE[a:b] for a, b in itertools.pairwise(edges))) == EVENTS


def test_byte_by_byte() -> None:
    """One byte at a time gives the same events."""
    assert _read(*(WHOLE[i : i + 1] for i in range(len(WHOLE)))) == EVENTS


def test_events_before_a_fault_are_kept() -> None:
    """A bad checksum in the second frame loses nothing of the first."""
    reader, events = _reader(), list[Any]()
    broken = bytearray(WHOLE)
    broken[-1] ^= 1

    with pytest.raises(UpstreamProtocolError):
        reader.feed(bytes(broken), events)

    assert events == EVENTS[:2]
    assert not reader.finished


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (_exception("throttlingException", "slow down"), UpstreamThrottled),
        (_exception("someNewException", "?"), UpstreamFailed),
        (encode({":message-type": "error", ":error-code": "InternalFailure"}, b""), UpstreamFailed),
        (encode({":message-type": "riddle"}, b""), UpstreamProtocolError),
        (encode({}, b""), UpstreamProtocolError),
        (_event("chunk", {"bytes": "***"}), UpstreamProtocolError),
        (_event("chunk", {"bytes": 5}), UpstreamProtocolError),
        (encode({":message-type": "event", ":event-type": "chunk"}, b"[]"), UpstreamProtocolError),
        (encode({":message-type": "event", ":event-type": "chunk"}, b"no"), UpstreamProtocolError),
    ],
)
def test_faults(frame: bytes, error: type[GatewayError]) -> None:
    """Exception and error frames, and envelopes that cannot be read, are named for what they are."""
    reader, events = _reader(), list[Any]()

    with pytest.raises(error):
        reader.feed(_titan("Hel") + frame, events)

    assert events == [TextDelta("Hel")]


ENVELOPES = (
    b'{"bytes":"%b","p":"abc"}',
    b'{"bytes":"%b"}',
    b'{"bytes" : "%b", "p" : "abc"}',
    b'{"p":"xyz","bytes":"%b"}',
)


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("escaped", [False, True])
def test_any_spelling_of_an_envelope(envelope: bytes, *, escaped: bool) -> None:
    """What is in a chunk does not depend on how its JSON is written."""
    inner = base64.b64encode(orjson.dumps({"outputText": "????"}))
    assert b"/" in inner
    inner = inner.replace(b"/", rb"\/") if escaped else inner
    reader, events = _reader(), list[Any]()

    reader.feed(encode({":message-type": "event", ":event-type": "chunk"}, envelope % inner), events)

    assert events == [TextDelta("????")]


NOT_QUITE: dict[bytes, list[Event]] = {
    b'{"bytes":"e30=","p":"abc","bytes":"%b"}': [TextDelta("said")],  # the last one counts
    b'{"bytes":"%b","p":"abc","bytes":""}': [],
    b'{"other":"%b","p":"abc"}': [],
}


@pytest.mark.parametrize("envelope", NOT_QUITE)
def test_what_is_nearly_the_usual_envelope(envelope: bytes) -> None:
    """It is parsed, not cut."""
    inner = base64.b64encode(orjson.dumps({"outputText": "said"}))
    reader, events = _reader(), list[Any]()

    reader.feed(encode({":message-type": "event", ":event-type": "chunk"}, envelope % inner), events)

    assert events == NOT_QUITE[envelope]


def test_unknown_event_type_is_reported() -> None:
    """A frame type that we do not know breaks nothing and does not vanish."""
    reader, events = _reader("converse"), list[Any]()

    reader.feed(_event("messageStart", {"role": "assistant"}) + _event("novelty", {}), events)

    assert events == []
    assert reader.unknown == {"event:novelty"}


def test_an_endless_answer_is_not_kept() -> None:
    """What waits for its end is bounded, and let go with the fault."""
    reader = UnaryReader(CODECS["titan"], {})
    mebibyte = bytes(2**20)
    for _ in range(MAX_PAYLOAD_LENGTH // len(mebibyte)):
        reader.feed(mebibyte, [])
    with pytest.raises(UpstreamProtocolError, match="too long") as fault:
        reader.feed(b"x", [])
    assert fault.value.detail == "a body of more than 25165824 bytes"
    assert reader._pieces == []


def test_unary_reader_reads_at_the_end() -> None:
    """A unary body means nothing before it is whole."""
    body = orjson.dumps(
        {
            "inputTextTokenCount": 3,
            "results": [{"tokenCount": 2, "outputText": "Hello", "completionReason": "FINISH"}],
        }
    )
    reader, events = UnaryReader(CODECS["titan"], {}), list[Any]()

    reader.feed(body[:10], events)
    reader.feed(body[10:], events)
    before = list(events)
    reader.close(events)

    assert before == []
    assert [e for e in events if not isinstance(e, Usage)] == [TextDelta("Hello"), EVENTS[-1]]
    assert reader.unknown == frozenset()


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_garbage_never_ends_well(data: bytes) -> None:
    """Arbitrary bytes never make a whole answer, and only our own errors come out."""
    with pytest.raises(GatewayError):
        _read(data)


def _recorded() -> list[Any]:
    try:
        folder = shared("recordings", "GATEWAY_RECORDINGS")
    except pytest.skip.Exception:
        return []
    recordings = [json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    return [
        pytest.param(recording, id=recording["id"])
        for recording in recordings
        if recording["operation"] in STREAMS and recording["status"] == 200
    ]


def _family(recording: dict[str, Any]) -> Family:
    if recording["operation"] == "converse-stream":
        return "converse"
    model = recording["model_id"]
    return "claude" if "anthropic." in model else "nova" if "nova" in model else "titan"


SMALL = 5_000
"""Bytes of a stream that is cut at every byte from its start; a larger one would take its square."""


def _whole_ends(data: bytes, family: Family, ends: Iterable[int]) -> list[int]:
    """Return those of the ends after which the stream counts as whole."""
    whole = []
    for end in ends:
        try:
            events = _read(data[:end], family=family)
        except UpstreamProtocolError:
            continue
        assert isinstance(events[-1], Stop)
        whole.append(end)
    return whole


@pytest.mark.parametrize("recording", _recorded())
def test_recorded_stream_cut_at_every_byte(recording: dict[str, Any]) -> None:
    """A recorded stream is whole after its last byte and after no byte before it."""
    data, family = base64.b64decode(recording["response_base64"]), _family(recording)
    if len(data) <= SMALL:
        assert _whole_ends(data, family, range(len(data) + 1)) == [len(data)]
        return
    edges = [0, *itertools.accumulate(len(frame) for frame in split_frames(data))]
    assert _whole_ends(data, family, edges) == [len(data)]
    for start, end in itertools.pairwise(edges):  # inside a frame it is the decoder that refuses the end
        for cut in range(start + 1, end):
            decoder = Decoder()
            decoder.feed(data[start:cut], [])
            with pytest.raises(UpstreamProtocolError):
                decoder.close()
