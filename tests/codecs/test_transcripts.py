"""Transcripts: for each family, this request makes this body, and these payloads make these events.

A case is a folder `data/<family>/<case>`: request.json (the question in the gateway's words), body.json
(what Bedrock must get), payloads.ndjson (the streamed answer; Converse's and Nova's events wrapped by their
name), events.json (what it means), answer.json (the same answer whole, with its headers).
"""

from __future__ import annotations

import json

import pytest

from gateway.codecs import CODECS
from gateway.completion import fold
from gateway.domain import Event, Stop, Usage
from gateway.errors import UpstreamProtocolError
from tests.codecs.transcript import CASES, Transcript, comparable


@pytest.fixture(params=CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def transcript(request: pytest.FixtureRequest) -> Transcript:
    """Every case in turn."""
    return Transcript(request.param)


def test_the_request_makes_the_body(transcript: Transcript) -> None:
    """`format` writes exactly the body that the case shows."""
    assert json.loads(transcript.formatted()) == transcript.json("body.json")


def test_the_payloads_make_the_events(transcript: Transcript) -> None:
    """The streamed answer means exactly the events that the case shows, in their order."""
    assert transcript.streamed() == transcript.json("events.json")


def test_the_whole_answer_folds_to_the_same_completion(transcript: Transcript) -> None:
    """The law of the seam: fold(stream) == fold(read)."""
    assert comparable(fold(transcript.read_events())) == comparable(fold(transcript.stream_events()))


def test_a_stream_that_lacks_its_terminal_payload_is_truncated(transcript: Transcript) -> None:
    """`close` complains whenever it is missing, wherever the stream was cut; only counters may follow it."""
    payloads = transcript.payloads()
    extractor, events, finished = transcript.codec.extractor(), list[Event](), list[bool]()
    for length in range(len(payloads)):
        finished.append(extractor.finished)
        if not extractor.finished:
            with pytest.raises(UpstreamProtocolError, match="truncated"):
                extractor.close(events)
        before = len(events)
        extractor.feed(*payloads[length], events)
        assert not finished[-1] or all(isinstance(event, Usage) for event in events[before:])
    assert finished == sorted(finished)
    assert extractor.finished
    assert not any(isinstance(event, Stop) for event in events)


def test_no_event_carries_the_text_before_masking(transcript: Transcript) -> None:
    """A guardrail's trace holds what it removed; nothing of it leaves the codec."""
    said = json.dumps(transcript.streamed())
    assert [secret for secret in ("555-0100", "1234", "Bad") if secret in said] == []


def test_every_family_has_transcripts() -> None:
    """A codec without transcripts is a codec without tests."""
    assert {case.parent.name for case in CASES} == set(CODECS)
