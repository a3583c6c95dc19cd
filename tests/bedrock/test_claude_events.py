"""Claude's chunks as Anthropic's events: one stream however it is cut, one end however it is broken."""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bedrock.relay_reader import PayloadRelay
from gateway.codecs.claude import ClaudeExtractor
from gateway.dialects.anthropic_relay import PASSED_STREAM, ClaudeEvents, without_additions
from gateway.dialects.protocol import Ended
from gateway.domain import Event, Stop, Usage
from gateway.errors import GatewayError
from gateway.wire.eventstream import encode
from tests.dialects.anthropic_reading import counted, events_of, folded

DATA = Path(__file__).parent.parent / "codecs" / "data" / "claude"
ANSWERS = {
    path.parent.name: [json.loads(line) for line in path.read_text().splitlines()]
    for path in sorted(DATA.glob("*/payloads.ndjson"))
}
HEADERS = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}


def frames(chunks: list[Any]) -> list[bytes]:
    """Return the frames of these chunks, spelt and padded as Bedrock does."""
    found = []
    for number, chunk in enumerate(chunks):
        payload = json.dumps(chunk, separators=(",", ":"), ensure_ascii=False).encode()
        padding = b"abcdefghijklmnopqrstuvwxyz"[: number % 26]
        found.append(encode(HEADERS, b'{"bytes":"%b","p":"%b"}' % (b64encode(payload), padding)))
    return found


def relayed(reads: list[bytes]) -> bytes:
    """Return the whole stream that a caller gets, its end included."""
    reader = PayloadRelay(ClaudeExtractor(), ClaudeEvents(), enveloped=True)
    data, events = [], list[Event]()
    try:
        for read in reads:
            events = []
            try:
                reader.feed(read, events)
            finally:
                data.append(PASSED_STREAM.events(events))
        events = []
        reader.close(events)
    except GatewayError as fault:
        return b"".join([*data, PASSED_STREAM.error(fault, Usage(), request_id="r")])
    stop = events[-1]
    assert isinstance(stop, Stop)
    end = PASSED_STREAM.done(Ended(stop, Usage(), dict, None))
    return b"".join([*data, PASSED_STREAM.events(events), end])


def expected(chunks: list[Any]) -> list[Any]:
    """Return the events of a whole answer."""
    return counted([kept for chunk in chunks if (kept := without_additions(chunk))])


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return the data, cut at these places."""
    places = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places) if start < end]


@pytest.mark.parametrize("name", ANSWERS)
def test_whole_and_byte_by_byte(name: str) -> None:
    """The events are the chunks, and each byte by itself makes the same stream."""
    data = b"".join(frames(ANSWERS[name]))

    stream = relayed([data])

    assert events_of(stream) == expected(ANSWERS[name])
    assert relayed([bytes([byte]) for byte in data]) == stream


WORDS = st.text(max_size=8)
DELTAS = st.lists(
    st.builds(lambda text: {"type": "text_delta", "text": text}, WORDS)
    | st.builds(
        lambda key: {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": key}},
        WORDS,
    ),
    max_size=6,
)


@st.composite
def answers(draw: st.DrawFn) -> list[Any]:
    """Return the chunks of an answer with some blocks of text."""
    usage = {"input_tokens": 3, "output_tokens": 1}
    start = {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": usage}
    chunks: list[Any] = [{"type": "message_start", "message": start}]
    for number in range(draw(st.integers(0, 3))):
        block = {"type": "text", "text": ""}
        chunks.append({"type": "content_block_start", "index": number, "content_block": block})
        for delta in draw(DELTAS):
            chunk = {"type": "content_block_delta", "index": number, "delta": delta}
            verdict = {"amazon-bedrock-guardrailAction": "NONE"} if draw(st.booleans()) else {}
            chunks.append({**chunk, **verdict})
        chunks.append({"type": "content_block_stop", "index": number})
        if draw(st.booleans()):
            chunks.append({"type": "ping"})
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    chunks.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}})
    chunks.append({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3}})
    return chunks


@settings(max_examples=120)
@given(answers(), st.lists(st.integers(0, 10_000), max_size=6))
def test_random_cuts(chunks: list[Any], cuts: list[int]) -> None:
    """However the answer is cut, the stream is the chunks, folds into a message, and ends once."""
    stream = relayed(pieces(b"".join(frames(chunks)), cuts))

    assert events_of(stream) == expected(chunks)
    assert folded(events_of(stream))["usage"]["output_tokens"] == 9


@settings(max_examples=120)
@given(answers(), st.integers(0, 10_000), st.integers(0, 7))
def test_a_broken_answer_ends_in_the_error(chunks: list[Any], place: int, bit: int) -> None:
    """Cut off at any byte, or with any bit turned, a stream is what was good of it and then the error."""
    data = b"".join(frames(chunks))
    place %= len(data)
    damaged = bytearray(data)
    damaged[place] ^= 1 << bit

    for stream in (relayed([data[:place]]), relayed([bytes(damaged)])):
        *good, end = events_of(stream)
        assert end["type"] == "error"
        assert good == expected(chunks)[: len(good)]
        assert "message_stop" not in {event["type"] for event in good}


def test_the_models_own_error() -> None:
    """It ends the stream as every other failure does, in our words: its own may quote the prompt."""
    chunks = [
        *ANSWERS["text"][:3],
        {"type": "error", "error": {"type": "overloaded_error", "message": "CANARY"}},
    ]

    stream = relayed(frames(chunks))

    assert events_of(stream)[-1]["error"]["type"] == "overloaded_error"
    assert b"CANARY" not in stream


def test_what_a_guardrail_masked_stays_here() -> None:
    """The trace quotes the text before masking."""
    chunks = ANSWERS["guardrail_speaks_last"]
    assert "555-0100" in json.dumps(chunks)

    assert b"555-0100" not in relayed(frames(chunks))


def test_a_chunk_that_is_no_event() -> None:
    """An answer in other words is no answer."""
    [end] = events_of(relayed(frames([["x"]])))

    assert end["error"]["details"] == {"error_code": "upstream_protocol"}


def test_a_frame_that_is_no_chunk() -> None:
    """Whatever it holds, it is none of Claude's events, and Anthropic's clients do not see it."""
    chunks = ANSWERS["text"]
    headers = HEADERS | {":event-type": "novelty"}
    payloads = [json.dumps(chunk, separators=(",", ":")).encode() for chunk in chunks]
    strange = [encode(headers, payload) for payload in payloads if b"content_block" in payload]
    assert any(payload in ClaudeEvents.known for payload in payloads)
    first, *rest = frames(chunks)

    assert relayed([first, *strange, *rest]) == relayed([first, *rest])


def test_a_block_that_no_chunk_begins() -> None:
    """The very bytes with which a text begins begin none in an event of another kind."""
    extractor, events = ClaudeExtractor(), list[Event]()
    extractor.feed("chunk", b'{"type":"message_start","message":{}}', events)
    extractor.feed("novelty", next(iter(ClaudeEvents.known)), events)

    assert (extractor.usual, extractor.unknown) == (None, {"event:novelty"})
