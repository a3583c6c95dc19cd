"""Frames into writes: how many, after which pause, and what breaks."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer

from gateway.emulator import EmulatorSettings, Recording
from gateway.emulator.delivery import (
    broken_reply,
    error_reply,
    replay_reply,
    schedule,
    stream_reply,
    whole_reply,
)
from gateway.emulator.directives import defaults
from gateway.emulator.errors import (
    CODES,
    STREAM_EXCEPTIONS,
    UNMODELLED_EXCEPTIONS,
    BedrockError,
    exception_payload,
    malformed,
)
from gateway.emulator.faults import BEFORE_THE_HEAD, GARBAGE, Fault, Place
from gateway.emulator.frames import CHUNK, Event, encode_event, encode_exception

USUAL = defaults(EmulatorSettings())
FRAMES = [(b"start", False), (b"one", True), (b"two", True), (b"stop", False)]
NAMES = (":event-type", ":exception-type", ":error-code")
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
    assert stream_reply(EVENTS, {}, replace(USUAL, fault=Fault("cut", Place(0)))).writes == ()


@pytest.mark.parametrize(
    ("fault", "kinds", "outcome"),
    [
        (None, ["messageStart", "x", "x", "x"], "complete"),
        (Fault("cut", Place(2)), ["messageStart", "x"], "complete"),
        (Fault("cut", Place(4)), ["messageStart", "x", "x", "x"], "complete"),
        (Fault("exception", Place(0), "throttlingException"), ["throttlingException"], "error"),
        (
            Fault("exception", Place(2), "throttlingException"),
            ["messageStart", "x", "throttlingException"],
            "error",
        ),
        (
            Fault("exception", Place(4), "somethingNewException"),
            ["messageStart", "x", "x", "x", "somethingNewException"],
            "error",
        ),
        (Fault("error_frame", Place(1)), ["messageStart", "InternalError"], "error"),
        (
            Fault("duplicate", Place(4)),
            ["messageStart", "x", "x", "x", "somethingNewEvent", "somethingNewEvent"],
            "complete",
        ),
        (Fault("duplicate", Place(0)), ["messageStart", "messageStart", "x", "x", "x"], "complete"),
        (
            Fault("unknown_event", Place(1)),
            ["messageStart", "somethingNewEvent", "x", "x", "x"],
            "complete",
        ),
        (Fault("stall", Place(2)), ["messageStart", "x"], "error"),
        (Fault("close", Place(2)), ["messageStart", "x"], "error"),
        (Fault("reset", Place(0)), [], "error"),
        (Fault("reset", BEFORE_THE_HEAD), [], "error"),
    ],
)
def test_a_stream_breaks_where_it_is_told_to(fault: Fault | None, kinds: list[str], outcome: str) -> None:
    """Frames as botocore decodes them: what came before the fault is whole."""
    reply = stream_reply(EVENTS, {}, replace(USUAL, fault=fault))

    messages = decoded(b"".join(write.data for write in reply.writes))
    names = [next(m.headers[n] for n in NAMES if n in m.headers) for m in messages]
    assert (names, reply.outcome) == (kinds, outcome)
    assert reply.headless == (fault is not None and fault.headless)


@pytest.mark.parametrize("kind", ["cut", "close", "reset", "stall"])
def test_a_break_inside_a_frame(kind: str) -> None:
    """So many bytes of it are sent, and of the next ones, if they are more than it has."""
    whole = b"".join(write.data for write in stream_reply(EVENTS, {}, USUAL).writes)
    first = len(decoded_at(whole, 1))

    reply = stream_reply(EVENTS, {}, replace(USUAL, fault=Fault(kind, Place(1, 200))))

    assert b"".join(write.data for write in reply.writes) == whole[: first + 200]
    assert reply.ending == kind


def decoded_at(data: bytes, frames: int) -> bytes:
    """Return the first frames in `data`, which are told by their lengths."""
    end = 0
    for _ in range(frames):
        end += int.from_bytes(data[end : end + 4], "big")
    return data[:end]


def test_a_flipped_bit_is_found_by_the_checksum() -> None:
    """One bit of one payload: lengths are right, the sum is not."""
    reply = stream_reply(EVENTS, {}, replace(USUAL, fault=Fault("flip", Place(1))))
    whole = stream_reply(EVENTS, {}, USUAL)

    wrong, right = reply.writes[0].data, whole.writes[0].data
    assert [(a ^ b).bit_count() for a, b in zip(wrong, right, strict=True) if a != b] == [1]
    with pytest.raises(ChecksumMismatch, match="expected 0x"):
        decoded(wrong)


def test_garbage_is_no_frame() -> None:
    """Behind a good frame come bytes that no reader can take for one."""
    reply = stream_reply(EVENTS, {}, replace(USUAL, fault=Fault("garbage", Place(1))))

    data = reply.writes[0].data
    assert data[len(decoded_at(data, 1)) :].startswith(GARBAGE)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("flip", Place(5)), "The directive [flip] needs 5 frames, not 4."),
        (Fault("cut", Place(7)), "The directive [cut] needs 7 frames, not 4."),
        (Fault("cut", Place(3, 999)), "There are only 144 bytes behind 3 frames of this answer."),
    ],
)
def test_a_fault_that_would_do_nothing_is_refused(fault: Fault, message: str) -> None:
    """An answer without that place cannot break there."""
    with pytest.raises(BedrockError) as caught:
        stream_reply(EVENTS, {}, replace(USUAL, fault=fault))

    assert caught.value.message == message


def test_slices() -> None:
    """Every write comes in pieces, the first one when the write was due."""
    writes = schedule(FRAMES, replace(USUAL, pace_ms=20.0, frames_per_write=2, slice=5, slice_ms=1.0))

    assert [(write.data, write.pause) for write in writes] == [
        (b"start", 0.02),
        (b"one", 0.001),
        (b"twost", 0.02),
        (b"op", 0.001),
    ]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("cut", Place(0, 2)), (b'{"', None, False)),
        (Fault("close", Place(0, 2)), (b'{"', 7, False)),
        (Fault("reset", Place(0)), (b"", 7, False)),
        (Fault("stall", BEFORE_THE_HEAD), (b"", 7, True)),
    ],
)
def test_an_answer_in_one_piece_breaks(fault: Fault, expected: tuple[bytes, int | None, bool]) -> None:
    """A cut announces what it sends, as a proper end does; the others promise the whole."""
    reply = broken_reply(whole_reply(b'{"a":1}', {}), fault)

    assert (b"".join(write.data for write in reply.writes), reply.promised, reply.headless) == expected
    assert reply.ending == fault.kind


@pytest.mark.parametrize("fault", [Fault("flip", Place(0)), Fault("cut", Place(1))])
def test_frames_are_for_streams(fault: Fault) -> None:
    """An answer in one piece has no frame to damage."""
    with pytest.raises(BedrockError, match="needs, at that place, an operation that streams"):
        broken_reply(whole_reply(b"{}", {}), fault)


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


@pytest.mark.parametrize("member", sorted(STREAM_EXCEPTIONS | UNMODELLED_EXCEPTIONS))
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
