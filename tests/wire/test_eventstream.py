"""The event stream decoder: the fragmentation law, equality with botocore, and every way to be broken."""

from __future__ import annotations

import base64
import json
import os
import struct
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamProtocolError
from gateway.wire.eventstream import (
    MAX_HEADERS_LENGTH,
    MAX_PAYLOAD_LENGTH,
    Decoder,
    HeaderValue,
    Message,
    encode,
)

SHARED = Path(__file__).parents[3] / "shared"
RECORDINGS = Path(os.environ.get("GATEWAY_RECORDINGS", SHARED / "recordings"))
VECTORS = SHARED / "vectors" / "eventstream"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# A header as the wire has it: type and Python value before conversion (botocore's view of it).
WireHeader: TypeAlias = "tuple[int, Any]"
WireMessage: TypeAlias = "tuple[dict[str, WireHeader], bytes]"

# ── an encoder of all header types, written apart from the one under test ─────────────────────────────

LAYOUTS = {0: "", 1: "", 2: "b", 3: "h", 4: "i", 5: "q", 8: "q", 9: "16s"}


def header_block(headers: dict[str, WireHeader]) -> bytes:
    """Return the headers as they stand in a frame."""
    block = b""
    for name, (kind, value) in headers.items():
        block += struct.pack("!B", len(name.encode())) + name.encode() + struct.pack("!B", kind)
        if kind in (6, 7):
            raw = value if kind == 6 else value.encode()
            block += struct.pack("!H", len(raw)) + raw
        else:
            block += struct.pack("!" + LAYOUTS[kind], *([value] if LAYOUTS[kind] else []))
    return block


def frame(block: bytes, payload: bytes) -> bytes:
    """Return a frame around a header block that may be malformed."""
    lengths = struct.pack("!II", 16 + len(block) + len(payload), len(block))
    checked = lengths + struct.pack("!I", crc32(lengths)) + block + payload
    return checked + struct.pack("!I", crc32(checked))


def prelude(total: int, headers: int) -> bytes:
    """Return only a prelude, with a right checksum."""
    lengths = struct.pack("!II", total, headers)
    return lengths + struct.pack("!I", crc32(lengths))


def expected_value(header: WireHeader) -> HeaderValue:
    """Return the value that the decoder gives for a header on the wire."""
    kind, value = header
    if kind == 8:
        return EPOCH + timedelta(milliseconds=value)
    result: HeaderValue = UUID(bytes=value) if kind == 9 else value
    return result


def expected_message(message: WireMessage) -> Message:
    """Return the message that the decoder gives for a message on the wire."""
    headers, payload = message
    return Message({name: expected_value(header) for name, header in headers.items()}, payload)


def signed(bits: int) -> st.SearchStrategy[int]:
    """Integers of that many bits, two's complement."""
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


MILLISECONDS = st.datetimes(timezones=st.just(UTC)).map(
    lambda when: (when - EPOCH) // timedelta(milliseconds=1)
)
WIRE_HEADERS = st.one_of(
    st.just((0, True)),
    st.just((1, False)),
    st.tuples(st.just(2), signed(8)),
    st.tuples(st.just(3), signed(16)),
    st.tuples(st.just(4), signed(32)),
    st.tuples(st.just(5), signed(64)),
    st.tuples(st.just(6), st.binary(max_size=40)),
    st.tuples(st.just(7), st.text(max_size=40)),
    st.tuples(st.just(8), MILLISECONDS),
    st.tuples(st.just(9), st.binary(min_size=16, max_size=16)),
)
NAMES = st.text(max_size=20)
WIRE_MESSAGES = st.tuples(st.dictionaries(NAMES, WIRE_HEADERS, max_size=5), st.binary(max_size=80))


# ── running the decoders ──────────────────────────────────────────────────────────────────────────────


def decode(*pieces: bytes) -> tuple[list[Message], str | None]:
    """Return the messages in the pieces, and the detail of the fault that ended the stream if one did."""
    decoder = Decoder()
    messages: list[Message] = []
    try:
        for piece in pieces:
            decoder.feed(piece, messages)
        decoder.close()
    except UpstreamProtocolError as fault:
        return messages, fault.detail
    return messages, None


def decode_with_botocore(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """Return the messages in `data` as botocore reads them: timestamps as integers, UUIDs as bytes."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(message.headers, message.payload) for message in buffer]


def as_botocore(message: Message) -> tuple[dict[str, Any], bytes]:
    """Return one of our messages the way botocore would give it."""

    def plain(value: HeaderValue) -> Any:
        if isinstance(value, datetime):
            return (value - EPOCH) // timedelta(milliseconds=1)
        return value.bytes if isinstance(value, UUID) else value

    return {name: plain(value) for name, value in message.headers.items()}, message.payload


def byte_by_byte(data: bytes) -> list[bytes]:
    """Return `data` in pieces of one byte."""
    return [data[i : i + 1] for i in range(len(data))]


def cut(data: bytes, offsets: list[int]) -> list[bytes]:
    """Return `data` cut at the offsets, which may repeat (an empty piece) and lie beyond it."""
    return [data[start:end] for start, end in pairwise([0, *sorted(offsets), len(data)])]


# ── what is right ─────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(WIRE_MESSAGES, max_size=4), st.lists(st.integers(0, 400), max_size=8))
def test_fragmentation_law(wire_messages: list[WireMessage], offsets: list[int]) -> None:
    """Whole, byte by byte and randomly cut, a stream decodes to the same messages: the right ones."""
    data = b"".join(frame(header_block(headers), payload) for headers, payload in wire_messages)
    expected = ([expected_message(message) for message in wire_messages], None)
    assert decode(data) == expected
    assert decode(*byte_by_byte(data)) == expected
    assert decode(*cut(data, offsets)) == expected


@given(st.lists(WIRE_MESSAGES, max_size=4))
def test_equal_to_botocore(wire_messages: list[WireMessage]) -> None:
    """The decoder reads what botocore reads."""
    data = b"".join(frame(header_block(headers), payload) for headers, payload in wire_messages)
    messages, fault = decode(data)
    assert fault is None
    assert [as_botocore(message) for message in messages] == decode_with_botocore(data)


@given(st.dictionaries(NAMES, st.text(max_size=300), max_size=5), st.binary(max_size=300))
def test_encode_round_trip(headers: dict[str, str], payload: bytes) -> None:
    """What `encode` writes, the decoder and botocore read back."""
    data = encode(headers, payload)
    assert decode(data) == ([Message(headers, payload)], None)
    assert decode_with_botocore(data) == [(headers, payload)]


def test_long_headers_and_payload() -> None:
    """The longest name and value that fit are encoded; a large payload is collected over many reads."""
    headers = {"n" * 255: "v" * 65535}
    payload = bytes(range(256)) * 4096
    data = encode(headers, payload)
    pieces = [data[i : i + 65536] for i in range(0, len(data), 65536)]
    assert decode(*pieces) == ([Message(headers, payload)], None)


@pytest.mark.parametrize(("name", "value"), [("n" * 256, ""), ("n", "v" * 65536), ("é" * 128, "")])
def test_encode_refuses_long_headers(name: str, value: str) -> None:
    """A header that does not fit its length field is refused, not truncated."""
    with pytest.raises(ValueError, match="header too long"):
        encode({name: value}, b"")


def test_bedrock_frame_in_bytes() -> None:
    """A small frame, byte for byte; its checksums come from a bit by bit CRC-32."""
    expected = bytes.fromhex("0000001800000006dcd1a61f01 61 07 0001 627b7df3d78873")
    assert encode({"a": "b"}, b"{}") == expected


def test_headers_are_read_only() -> None:
    """Frames with equal headers share them, so nobody can change them."""
    first, second = decode(encode({"a": "b"}, b"1") + encode({"a": "b"}, b"2"))[0]
    assert first.headers is second.headers
    with pytest.raises(TypeError, match="does not support item assignment"):
        first.headers["a"] = "c"  # type: ignore[index] # the point of the test


def test_empty_stream() -> None:
    """No bytes are no messages and no fault."""
    assert decode() == ([], None)
    assert decode(b"", b"") == ([], None)


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────


def test_cut_at_every_offset() -> None:
    """The end of the stream is fine at a frame boundary only; elsewhere it says how much was missing."""
    first, second = encode({"a": "b"}, b"one"), encode({}, b"")
    data = first + second
    messages = [Message({"a": "b"}, b"one"), Message({}, b"")]
    for offset in range(len(data) + 1):
        complete = (offset >= len(first)) + (offset == len(data))
        start, length = (0, len(first)) if offset < len(first) else (len(first), len(second))
        pending = offset - start if offset < len(data) else 0
        if pending >= 12:
            fault = f"event stream ended after {pending} of {length} bytes of a frame"
        elif pending:
            fault = f"event stream ended after {pending} of 12 bytes of a frame's prelude"
        else:
            fault = None
        assert decode(data[:offset]) == (messages[:complete], fault)
        assert decode(*byte_by_byte(data[:offset])) == (messages[:complete], fault)


def test_close_after_a_fault() -> None:
    """A faulty stream does not end well, although nothing is pending."""
    decoder = Decoder()
    with pytest.raises(UpstreamProtocolError):
        decoder.feed(b"{" * 12, [])
    with pytest.raises(UpstreamProtocolError) as closing:
        decoder.close()
    assert closing.value.detail == "event stream: prelude checksum mismatch"


# ── what is wrong ─────────────────────────────────────────────────────────────────────────────────────


def test_every_wrong_byte_is_noticed() -> None:
    """Whatever byte of a frame changes into whatever other, no message comes of it."""
    good = encode({":event-type": "chunk"}, b"{}")
    for position in range(len(good)):
        part = "prelude" if position < 12 else "message"
        for value in set(range(256)) - {good[position]}:
            bad = good[:position] + bytes([value]) + good[position + 1 :]
            assert decode(bad) == ([], f"event stream: {part} checksum mismatch")


def test_prelude_checksum_counts_by_itself() -> None:
    """A wrong prelude checksum is a fault even where the message checksum covers it."""
    data = encode({"a": "b"}, b"{}")
    forged = data[:8] + b"\x00\x00\x00\x00" + data[12:-4]
    forged += struct.pack("!I", crc32(forged))
    assert decode(forged) == ([], "event stream: prelude checksum mismatch")


@pytest.mark.parametrize("split", [False, True])
def test_good_messages_before_a_fault(*, split: bool) -> None:
    """Messages before the fault are delivered, those behind it are not, however the bytes arrive."""
    good = [Message({"a": "b"}, b"1"), Message({"a": "b"}, b"2")]
    frames = [encode({"a": "b"}, message.payload) for message in good]
    broken = frames[0][:-1] + bytes([frames[0][-1] ^ 1])
    data = b"".join([*frames, broken, *frames])
    pieces = byte_by_byte(data) if split else [data]
    assert decode(*pieces) == (good, "event stream: message checksum mismatch")


def test_dead_after_a_fault() -> None:
    """After a fault every later call raises it again, even for good bytes."""
    decoder = Decoder()
    messages: list[Message] = []
    for data in (prelude(15, 0), encode({}, b""), b""):
        with pytest.raises(UpstreamProtocolError) as fault:
            decoder.feed(data, messages)
        assert fault.value.detail == "event stream: a frame of 15 bytes cannot hold 0 bytes of headers"
        assert str(fault.value) == "The answer from Bedrock broke the event stream format."
    assert messages == []


def test_a_dead_decoder_holds_nothing() -> None:
    """A fault frees what was buffered."""
    decoder = Decoder()
    decoder.feed(encode({}, b"x" * 1000)[:-4], [])
    with pytest.raises(UpstreamProtocolError):
        decoder.feed(b"\x00" * 4, [])
    assert decoder._pending == b""


@pytest.mark.parametrize(
    ("total", "headers", "fault"),
    [
        (16 + MAX_HEADERS_LENGTH, MAX_HEADERS_LENGTH, None),
        (
            17 + MAX_HEADERS_LENGTH,
            MAX_HEADERS_LENGTH + 1,
            "event stream: headers of 131073 bytes exceed the maximum of 131072",
        ),
        (16 + MAX_PAYLOAD_LENGTH, 0, None),
        (116 + MAX_PAYLOAD_LENGTH, 100, None),
        (
            17 + MAX_PAYLOAD_LENGTH,
            0,
            "event stream: payload of 25165825 bytes exceeds the maximum of 25165824",
        ),
        (0, 0, "event stream: a frame of 0 bytes cannot hold 0 bytes of headers"),
        (15, 0, "event stream: a frame of 15 bytes cannot hold 0 bytes of headers"),
        (20, 5, "event stream: a frame of 20 bytes cannot hold 5 bytes of headers"),
        (2**32 - 1, 0, "event stream: payload of 4294967279 bytes exceeds the maximum of 25165824"),
        (2**32 - 1, 2**32 - 1, "event stream: headers of 4294967295 bytes exceed the maximum of 131072"),
    ],
)
def test_lengths_are_checked_in_the_prelude(total: int, headers: int, fault: str | None) -> None:
    """A frame of impossible or excessive length is refused as soon as its prelude is there."""
    decoder = Decoder()
    raised = None
    try:
        for byte in byte_by_byte(prelude(total, headers)):
            decoder.feed(byte, [])
    except UpstreamProtocolError as exc:
        raised = exc.detail
    assert raised == fault


NOT_UTF8 = b"\xff"


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        (b"\x01a\x0a", "header 'a' has the unknown type 10"),
        (b"\x01a\xff", "header 'a' has the unknown type 255"),
        (b"\x01a\x00\x01a\x01", "duplicate header 'a'"),
        (b"\x01a\x07\x00\x01b\x01a\x07\x00\x01b", "duplicate header 'a'"),
        (b"\x01" + NOT_UTF8 + b"\x00", "header at byte 0 of 3 is not UTF-8"),
        (b"\x01a\x00\x01b\x07\x00\x01" + NOT_UTF8, "header at byte 3 of 9 is not UTF-8"),
        (b"\x01", "headers are cut short at byte 0 of 1"),
        (b"\x01a", "headers are cut short at byte 0 of 2"),
        (b"\x01a\x00\x05b", "headers are cut short at byte 3 of 5"),
        (b"\x01a\x02", "headers are cut short at byte 0 of 3"),
        (b"\x01a\x05\x00\x00\x00", "headers are cut short at byte 0 of 6"),
        (b"\x01a\x07", "headers are cut short at byte 0 of 3"),
        (b"\x01a\x07\x00", "headers are cut short at byte 0 of 4"),
        (b"\x01a\x07\x00\x02b", "headers are cut short at byte 0 of 6"),
        (b"\x01a\x06\xff\xff", "headers are cut short at byte 0 of 5"),
        (b"\x01a\x09" + b"\x00" * 15, "headers are cut short at byte 0 of 18"),
        (b"\x01a\x08\x7f" + b"\xff" * 7, "timestamp at byte 0 of 11 is not between the years 1 and 9999"),
        (b"\x01a\x08\x80" + b"\x00" * 7, "timestamp at byte 0 of 11 is not between the years 1 and 9999"),
    ],
)
def test_malformed_headers(block: bytes, fault: str) -> None:
    """A header block that does not parse to its end is a fault, checksums notwithstanding."""
    assert decode(frame(block, b"{}")) == ([], f"event stream: {fault}")


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_any_header_block(block: bytes, offsets: list[int]) -> None:
    """Random headers give a message or a protocol error, never another exception, however they arrive."""
    data = frame(block, b"")
    assert decode(*cut(data, offsets)) == decode(data)


@given(st.binary(max_size=100), st.lists(st.integers(0, 100), max_size=4))
def test_any_bytes(data: bytes, offsets: list[int]) -> None:
    """Random bytes are not a stream, unless there are none, and fail the same way however they arrive."""
    messages, fault = decode(data)
    assert messages == []
    assert (fault is None) == (data == b"")
    assert decode(*cut(data, offsets)) == (messages, fault)


def test_json_instead_of_frames() -> None:
    """A JSON body in place of a stream is a fault (botocore ignores it if it is short)."""
    assert decode(b'{"message":"Too many requests"}') == ([], "event stream: prelude checksum mismatch")
    assert decode(b'{"a":1}') == ([], "event stream ended after 7 of 12 bytes of a frame's prelude")


def test_repr_tells_the_state() -> None:
    """An operator sees in a log what the decoder holds, and why it died."""
    decoder = Decoder()
    assert repr(decoder) == "<Decoder 0 bytes buffered>"
    decoder.feed(encode({}, b"")[:13], [])
    assert repr(decoder) == "<Decoder 13 bytes buffered>"
    decoder.feed(encode({}, b"")[13:], [])
    assert repr(decoder) == "<Decoder 0 bytes buffered>"
    with pytest.raises(UpstreamProtocolError):
        decoder.feed(b"\x00" * 12, [])
    assert repr(decoder) == "<Decoder dead: event stream: prelude checksum mismatch>"


# ── other people's bytes ──────────────────────────────────────────────────────────────────────────────


def files(folder: Path, pattern: str, *, containing: str = "") -> list[Any]:
    """Return the files as test parameters; where there are none, one that skips and says so."""
    found = [path for path in sorted(folder.glob(pattern)) if containing.encode() in path.read_bytes()]
    if found:
        return [pytest.param(path, id=path.stem) for path in found]
    reason = f"no {pattern} in {folder.parent.name}/{folder.name} beside the repository"
    return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]


@pytest.mark.parametrize("path", files(VECTORS / "encoded" / "positive", "*"))
def test_good_vectors_of_aws(path: Path) -> None:
    """AWS's good vectors decode to what AWS says, and to what botocore reads."""
    data = path.read_bytes()
    meaning = json.loads((VECTORS / "decoded" / "positive" / path.name).read_text())
    headers: dict[str, HeaderValue] = {}
    for header in meaning["headers"]:
        kind, value = header["type"], header["value"]
        raw = base64.b64decode(value) if kind in (6, 7, 9) else value
        headers[header["name"]] = expected_value((kind, raw.decode() if kind == 7 else raw))
    expected = [Message(headers, base64.b64decode(meaning["payload"]))]
    assert decode(data) == (expected, None)
    assert decode(*byte_by_byte(data)) == (expected, None)
    assert [as_botocore(message) for message in expected] == decode_with_botocore(data)


@pytest.mark.parametrize("path", files(VECTORS / "encoded" / "negative", "*"))
def test_bad_vectors_of_aws(path: Path) -> None:
    """AWS's bad vectors fail with the fault that AWS names."""
    fault = (VECTORS / "decoded" / "negative" / path.name).read_text().strip()
    assert decode(path.read_bytes()) == ([], f"event stream: {fault.lower()}")


@pytest.mark.parametrize("path", files(RECORDINGS, "*-stream_*.json", containing='"response_base64"'))
def test_recorded_streams(path: Path) -> None:
    """Real streams decode to what botocore reads, whole and in pieces of any size."""
    data = base64.b64decode(json.loads(path.read_text())["response_base64"])
    messages, fault = decode(data)
    assert fault is None
    assert [as_botocore(message) for message in messages] == decode_with_botocore(data)
    for size in (1, 7, 100, 1460):
        assert decode(*(data[i : i + size] for i in range(0, len(data), size))) == (messages, None)
