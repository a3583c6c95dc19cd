"""An answer that the gateway ends itself, at a stop sequence: what upstream says behind it does not count."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bedrock.reader import CuttingReader, StreamReader, UnaryReader
from gateway.codecs import CODECS
from gateway.completion import fold
from gateway.domain import Event, FinishReason, Stop, TextDelta, Usage
from gateway.errors import UpstreamProtocolError, UpstreamThrottled
from gateway.wire.eventstream import encode

CUT = Stop(FinishReason.STOP, "stop_sequence")


def llama(text: str, count: int, reason: str | None = None) -> bytes:
    """Return one chunk of Llama's as a frame."""
    payload = {
        "generation": text,
        "prompt_token_count": 9 if count == 1 else None,
        "generation_token_count": count,
        "stop_reason": reason,
    }
    envelope = {"bytes": base64.b64encode(orjson.dumps(payload)).decode()}
    return encode({":event-type": "chunk", ":message-type": "event"}, orjson.dumps(envelope))


THROTTLED = encode(
    {":exception-type": "throttlingException", ":message-type": "exception"}, b'{"message":"slow"}'
)


def streamed(*stop: str) -> CuttingReader:
    """Return a reader of Llama's stream that looks for these sequences."""
    return CuttingReader(StreamReader(CODECS["llama"].extractor(), enveloped=True), stop)


def test_the_answer_ends_at_the_sequence() -> None:
    """Nothing more need be read: the stop is told at once, with the counters so far."""
    reader, events = streamed("END"), list[Event]()
    reader.feed(llama("one E", 1), events)
    before = (reader.cut, list(events))
    reader.feed(llama("ND two", 2), events)
    assert before == (False, [TextDelta("one "), Usage(input_tokens=9)])
    assert (reader.cut, reader.finished, reader.unknown) == (True, False, set())
    reader.close(events)
    assert events == [TextDelta("one "), Usage(input_tokens=9), Usage(output_tokens=2), CUT]


def test_an_answer_without_a_sequence_ends_as_ever() -> None:
    """What waited is told before the stop, which is the model's."""
    reader, events = streamed("END"), list[Event]()
    reader.feed(llama("one E", 1) + llama("", 2, "length"), events)
    assert (reader.cut, reader.finished) == (False, True)
    reader.close(events)
    assert events[-2:] == [TextDelta("E"), Stop(FinishReason.LENGTH, "length")]
    assert fold(events).text == "one E"


@pytest.mark.parametrize("late", [THROTTLED, b"garbage that is no frame", llama("more", 3, "stop")])
def test_what_comes_behind_the_sequence_in_one_read_does_not_count(late: bytes) -> None:
    """As if it had come with the next read, which nobody waits for."""
    reader, events = streamed("END"), list[Event]()
    reader.feed(llama("one END", 1) + late, events)
    reader.close(events)
    answer = fold(events)
    assert (answer.text, answer.stop_reason, events[-1]) == ("one ", "stop_sequence", CUT)


def test_what_waited_is_told_before_a_fault() -> None:
    """The caller gets every word that came before it."""
    reader, events = streamed("END"), list[Event]()
    with pytest.raises(UpstreamThrottled):
        reader.feed(llama("one E", 1) + THROTTLED, events)
    assert events == [TextDelta("one "), Usage(input_tokens=9), TextDelta("E")]


def test_a_sequence_that_waited_is_found_at_a_fault() -> None:
    """`c` was complete when the stream broke: the answer was over."""
    reader, events = streamed("abcd", "c"), list[Event]()
    reader.feed(llama("xabc", 1) + THROTTLED, events)
    reader.close(events)
    assert (reader.cut, fold(events).text, events[-1]) == (True, "xab", CUT)


def test_a_truncated_answer_stays_truncated() -> None:
    """Without a sequence the end of the body is no excuse; what waited and what was counted is told."""
    reader, events = streamed("END"), list[Event]()
    reader.feed(llama("one E", 1), events)
    with pytest.raises(UpstreamProtocolError, match="truncated"):
        reader.close(events)
    assert events[-2:] == [Usage(output_tokens=1), TextDelta("E")]


def test_a_sequence_that_waited_is_found_at_the_end_of_a_truncated_body() -> None:
    """As at any other fault."""
    reader, events = streamed("abcd", "c"), list[Event]()
    reader.feed(llama("xabc", 1), events)
    reader.close(events)
    assert (fold(events).text, events[-1]) == ("xab", CUT)


@given(
    text=st.text("abc", min_size=1, max_size=20),
    stop=st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple),
    reads=st.lists(st.integers(0, 4000), max_size=6),
)
def test_the_stream_and_the_whole_answer_are_cut_alike(text: str, stop: Any, reads: list[int]) -> None:
    """However the network cuts the bytes; only of the counters the whole answer knows more."""
    data = b"".join(llama(letter, number) for number, letter in enumerate(text, 1))
    data += llama("", len(text) + 1, "length")
    edges = sorted({0, *(edge for edge in reads if edge < len(data)), len(data)})
    reader, events = streamed(*stop), list[Event]()
    for start, end in pairwise(edges):
        if not reader.cut:
            reader.feed(data[start:end], events)
    reader.close(events)
    body = {"generation": text, "stop_reason": "length", "generation_token_count": len(text)}
    unary, whole = CuttingReader(UnaryReader(CODECS["llama"], {}), stop), list[Event]()
    unary.feed(orjson.dumps(body), whole)
    unary.close(whole)
    first, second = fold(events), fold(whole)
    assert (first.text, first.finish_reason, first.stop_reason) == (
        second.text,
        second.finish_reason,
        second.stop_reason,
    )
    assert [event for event in events if isinstance(event, Stop)] == [events[-1]]
