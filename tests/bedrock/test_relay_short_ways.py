"""Passing on with and without a look at each payload: the same bytes, accounts and ends."""

from __future__ import annotations

import itertools
import sys
from base64 import b64encode
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bedrock.relay_reader import FrameRelay, PayloadRelay
from gateway.domain import PassedOn
from gateway.errors import GatewayError, UpstreamProtocolError
from gateway.wire.eventstream import FrameDecoder
from tests.bedrock.test_relay_reader import ANSWERS, Lines
from tests.bedrock.test_usual_deltas import (
    CLAUDE_BLOCK,
    CLAUDE_START,
    STREAMS,
    AllFed,
    Counting,
    changed,
    claude_chunk,
    claude_delta,
    extractor_of,
    nearly,
    usual_frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.catalog.model import Family
    from gateway.codecs.protocol import Extractor

Outcome: TypeAlias = "tuple[bytes, list[Any], set[str], str]"


def framed(extractor: Extractor, family: Family, body: bytes) -> Outcome:
    """Return what comes out of an answer whose payloads are framed."""
    return _outcome(PayloadRelay(extractor, Lines(), enveloped=family != "converse"), body)


def passed(extractor: Extractor, family: Family, body: bytes) -> Outcome:
    """Return what comes out of an answer whose frames are passed on."""
    return _outcome(FrameRelay(extractor, enveloped=family != "converse"), body)


def _outcome(reader: FrameRelay | PayloadRelay, body: bytes) -> Outcome:
    events: list[Any] = []
    fault = ""
    try:
        reader.feed(body, events)
        reader.close(events)
    except GatewayError as error:
        fault = f"{type(error).__name__} {error} {error.detail}"
    data = b"".join(event.data for event in events if isinstance(event, PassedOn))
    rest = [event for event in events if not isinstance(event, PassedOn)]
    return data, rest, set(reader.unknown), fault


@given(stream=STREAMS, data=st.data())
@settings(max_examples=200)
def test_both_ways_agree(stream: tuple[Family, bytes], data: st.DataObject) -> None:
    """Framed payloads in all, faults too; frames wherever the look at each finds nothing wrong.

    A frame whose checksum is good, and which begins and ends as the usual ones do, is not looked into: what
    is no JSON in there is its reader's to find, as it would be without a gateway.
    """
    family, body = stream[0], data.draw(changed(stream[1]))
    assert framed(extractor_of(family), family, body) == framed(AllFed(extractor_of(family)), family, body)
    expected = passed(AllFed(extractor_of(family)), family, body)
    if not expected[-1]:
        assert passed(extractor_of(family), family, body) == expected


def test_both_ways_agree_on_what_is_nearly_usual() -> None:
    """Whichever byte of a usual delta is another one."""
    start = claude_chunk(CLAUDE_START) + claude_chunk(CLAUDE_BLOCK)
    for payload in nearly(claude_delta(b'"so"')):
        body = start + claude_chunk(payload)
        expected = framed(AllFed(extractor_of("claude")), "claude", body)
        assert framed(extractor_of("claude"), "claude", body) == expected
    broken = b'{"bytes":"%b","p":' % b64encode(claude_delta(b'"so"'))
    for chunk in (b"{}", broken, b'{"bytes":"e30="', b'{"bytes":"eyJ0eXBlIjoiY29udGVudF9ibG9ja19kZWx0YSI="}'):
        body = start + usual_frame("chunk", chunk)
        expected = framed(AllFed(extractor_of("claude")), "claude", body)
        assert framed(extractor_of("claude"), "claude", body) == expected


@pytest.mark.parametrize("name", ANSWERS)
def test_the_short_way_is_taken(name: str) -> None:
    """Of forty deltas only those are fed with which an answer begins."""
    family, body = ANSWERS[name]
    for way in (passed, framed) if family == "claude" else (passed,):
        counting = Counting(extractor_of(family))
        way(counting, family, body)
        assert counting.fed < 12


def test_bedrocks_own_keys_are_always_heard() -> None:
    """A usual delta that speaks for a guardrail is none, however it ends."""
    start = claude_chunk(CLAUDE_START) + claude_chunk(CLAUDE_BLOCK)
    for text in ("", "a", "ab"):
        delta = claude_delta(b'"%b"' % text.encode())[:-1]
        said = delta + b',"amazon-bedrock-guardrailAction":"INTERVENED","x":{"y":"z"}}'
        counting = Counting(extractor_of("claude"))
        passed(counting, "claude", start + claude_chunk(claude_delta(b'"so"')) + claude_chunk(said))
        assert counting.fed == 3


def test_bedrocks_own_keys_are_heard_among_any_others() -> None:
    """One of many deltas in one read speaks for a guardrail, and others of it: just these are looked at."""
    verdict = b',"amazon-bedrock-guardrailAction":"INTERVENED","x":{"y":"z"}}'
    start = claude_chunk(CLAUDE_START) + claude_chunk(CLAUDE_BLOCK)
    usual = [claude_chunk(claude_delta(b'"%b"' % (b"w" * length))) for length in range(40)]
    of_it = claude_chunk(claude_delta(b'"the header amazon-bedrock-trace"'))
    for place, length in itertools.product((0, 1, 20, 40), range(3)):
        said = claude_chunk(claude_delta(b'"%b"' % (b"a" * length))[:-1] + verdict)
        deltas = [*usual[:place], said, of_it, *usual[place:]]
        for body in (b"".join(deltas), b"".join([*deltas, *deltas])):
            counting = Counting(extractor_of("claude"))
            reader, events = FrameRelay(counting, enveloped=True), list[Any]()
            reader.feed(start + usual[0], events)
            reader.feed(body, events)
            data = b"".join(event.data for event in events if isinstance(event, PassedOn))
            assert (data, counting.fed) == (start + usual[0] + body, 2 + 2 * body.count(said))


def test_a_model_that_speaks_of_bedrock_only_costs_no_more_than_its_length() -> None:
    """Who has it say nothing else must not hold the loop: four times the deltas, four times the calls."""
    calls = []
    for count in (50, 200):
        delta = claude_chunk(claude_delta(b'"amazon-bedrock-trace"'))
        body = claude_chunk(CLAUDE_START) + claude_chunk(CLAUDE_BLOCK) + delta * count
        reader = FrameRelay(extractor_of("claude"), enveloped=True)
        calls.append(_calls(lambda reader=reader, body=body: reader.feed(body, [])))  # type: ignore[misc]
    assert calls[1] < 5 * calls[0]


def _calls(work: Callable[[], object]) -> int:
    """Return how many functions are called in doing it."""
    called = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal called
        called += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return called


def test_what_only_begins_as_usual_is_looked_at() -> None:
    """With one more key, or with a padding of its own."""
    start = claude_chunk(CLAUDE_START) + claude_chunk(CLAUDE_BLOCK)
    more = claude_chunk(claude_delta(b'"so"')[:-1] + b',"novelty":1}')
    padded = usual_frame("chunk", b'{"bytes":"%b","p":"z"}' % b64encode(claude_delta(b'"so"')))
    for frame in (more, padded):
        counting = Counting(extractor_of("claude"))
        data, *_ = passed(counting, "claude", start + frame)
        assert (data, counting.fed) == (start + frame, 3)


def test_a_dead_decoder_stays_dead() -> None:
    """After a fault there are no frames any more."""
    decoder, frame = FrameDecoder(), claude_chunk(CLAUDE_START)
    with pytest.raises(UpstreamProtocolError):
        decoder.feed(frame + bytes(16), [])
    assert decoder.frames.startswith(frame)
    with pytest.raises(UpstreamProtocolError):
        decoder.feed(frame, [])
    assert decoder.frames == b""
    assert "dead" in repr(decoder)
