"""Passing on with and without a look at each payload: the same bytes, accounts and ends."""

from __future__ import annotations

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
    for chunk in (b"{}", b'{"bytes":"e30="', b'{"bytes":"eyJ0eXBlIjoiY29udGVudF9ibG9ja19kZWx0YSI="}'):
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
