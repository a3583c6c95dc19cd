"""Frames into writes: how many, after which pause, and what breaks."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from gateway.emulator import EmulatorSettings, Recording
from gateway.emulator.delivery import error_reply, replay_reply, schedule, stream_reply, whole_reply
from gateway.emulator.directives import defaults
from gateway.emulator.errors import CODES, STREAM_EXCEPTIONS, BedrockError, exception_payload, malformed
from gateway.emulator.frames import CHUNK, Event, encode_event, encode_exception

USUAL = defaults(EmulatorSettings())
FRAMES = [(b"start", False), (b"one", True), (b"two", True), (b"stop", False)]
EVENTS = [Event("messageStart", b'{"role":"assistant"}'), *[Event("x", b"{}", delta=True)] * 3]


def decoded(data: bytes) -> list[Any]:
    """Return the messages in some frames, as botocore decodes them."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


@pytest.mark.parametrize(
    ("pace_ms", "frames_per_write", "expected"),
    [
        (0.0, None, [(b"startonetwostop", 0.0)]),
        (0.0, 3, [(b"startonetwo", 0.0), (b"stop", 0.0)]),
        (20.0, None, [(b"start", 0.0), (b"one", 0.02), (b"two", 0.02), (b"stop", 0.0)]),
        (20.0, 2, [(b"startone", 0.02), (b"twostop", 0.02)]),
        (20.0, 0, [(b"startonetwostop", 0.04)]),
    ],
)
def test_frames_become_writes(
    pace_ms: float, frames_per_write: int | None, expected: list[tuple[bytes, float]]
) -> None:
    """However they are cut, all bytes are there and the pauses come to the same."""
    writes = schedule(FRAMES, replace(USUAL, pace_ms=pace_ms, frames_per_write=frames_per_write))

    assert [(write.data, write.pause) for write in writes] == expected


def test_nothing_is_no_write() -> None:
    """A stream that is cut before its first frame has a head and an end."""
    assert stream_reply(EVENTS, {}, replace(USUAL, cut=0)).writes == ()


@pytest.mark.parametrize(
    ("changes", "kinds", "outcome"),
    [
        ({}, ["messageStart", "x", "x", "x"], "complete"),
        ({"cut": 2}, ["messageStart", "x"], "complete"),
        ({"cut": 9}, ["messageStart", "x", "x", "x"], "complete"),
        ({"exception": "throttlingException"}, ["throttlingException"], "error"),
        (
            {"exception": "throttlingException", "after": 2},
            ["messageStart", "x", "throttlingException"],
            "error",
        ),
        (
            {"exception": "throttlingException", "after": 9},
            ["messageStart", "x", "x", "x", "throttlingException"],
            "error",
        ),
    ],
)
def test_a_stream_breaks_where_it_is_told_to(changes: dict[str, Any], kinds: list[str], outcome: str) -> None:
    """After so many frames there is an end, or an exception and an end."""
    reply = stream_reply(EVENTS, {}, replace(USUAL, **changes))

    messages = decoded(b"".join(write.data for write in reply.writes))
    names = [m.headers.get(":event-type") or m.headers[":exception-type"] for m in messages]
    assert (names, reply.outcome) == (kinds, outcome)


@pytest.mark.parametrize("size", [10, 5000])
def test_an_event_is_padded_and_sorted(size: int) -> None:
    """Converse's events carry their padding among their keys, which are sorted."""
    payload = json.dumps({"text": "x" * size, "contentBlockIndex": 0}).encode()

    [message] = decoded(encode_event("contentBlockDelta", payload))

    body = json.loads(message.payload)
    assert list(body) == ["contentBlockIndex", "p", "text"]
    assert body.pop("p").startswith("ab")
    assert body == json.loads(payload)
    assert list(message.headers.items()) == [
        (":event-type", "contentBlockDelta"),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ]


def test_a_chunk_is_wrapped() -> None:
    """InvokeModel's chunks carry the provider's bytes as base64, and their padding after it."""
    [message] = decoded(encode_event(CHUNK, b'{"b":1,"a":2}'))

    body = json.loads(message.payload)
    assert list(body) == ["bytes", "p"]
    assert base64.b64decode(body["bytes"]) == b'{"b":1,"a":2}'


def test_padding_varies_as_recorded() -> None:
    """Its length is anything from 2 to 61, and depends on the event alone."""
    frames = [encode_event("x", b'{"n":%d}' % number) for number in range(2000)]

    lengths = {len(json.loads(message.payload)["p"]) for frame in frames for message in decoded(frame)}
    assert lengths == set(range(2, 62))
    assert encode_event("x", b'{"n":1}') == frames[1]


@pytest.mark.parametrize("member", sorted(STREAM_EXCEPTIONS))
def test_an_exception_has_its_own_frame(member: str) -> None:
    """With the member's name in camel case and its message in the body."""
    [message] = decoded(encode_exception(member))

    assert message.headers[":message-type"] == "exception"
    assert message.headers[":exception-type"] == member
    assert json.loads(message.payload) == exception_payload(member)


def test_a_stream_error_names_its_origin() -> None:
    """The one exception with more than a message."""
    assert set(exception_payload("modelStreamErrorException")) == {
        "message",
        "originalMessage",
        "originalStatusCode",
    }


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_error_can_be_sent(code: str) -> None:
    """Its status is one of an error, its message is not empty, its code is in the header alone."""
    reply = error_reply(BedrockError(code))

    assert 400 <= reply.status <= 503
    assert reply.headers["x-amzn-ErrorType"].startswith(f"{code}:http://")
    assert list(json.loads(reply.writes[0].data)) == ["message"]
    assert json.loads(reply.writes[0].data)["message"]
    assert (reply.outcome, reply.size) == ("error", len(reply.writes[0].data))


def test_a_message_of_ones_own_replaces_the_usual() -> None:
    """Errors say what happened, in the code's stead."""
    assert BedrockError("ValidationException", "so").message == "so"
    assert malformed("#: no").message == (
        "Malformed input request: #: no, please reformat your input and try again."
    )


def test_a_recording_is_paced_like_an_answer() -> None:
    """Frame by frame; an answer in one piece only waits for its first byte."""
    frame = encode_event("x", b"{}")
    recording = Recording(
        id="1",
        operation="converse-stream",
        model_id="m",
        request=None,
        status=200,
        headers={},
        request_id=None,
        body=frame * 2,
        streamed=True,
    )
    directives = replace(USUAL, pace_ms=20.0, first_byte_ms=500.0)

    streamed = replay_reply(recording, directives)
    whole = replay_reply(replace(recording, streamed=False, status=400), directives)

    assert [(write.data, write.pause) for write in streamed.writes] == [(frame, 0.02)] * 2
    assert (streamed.delay, streamed.outcome) == (0.5, "complete")
    assert whole == whole_reply(frame * 2, {}, status=400, delay=0.5, ok=False)
