"""The event stream decoder: any bytes, however they are cut, are the same messages or the same fault."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import crc32

from botocore.eventstream import EventStreamBuffer

from gateway.errors import UpstreamProtocolError
from gateway.wire.eventstream import MAX_HEADERS_LENGTH, MAX_PAYLOAD_LENGTH, Decoder, Message, encode
from tests.fuzz.mutation import cuts, mutate_bytes
from tests.fuzz.recordings import streams
from tests.fuzz.target import Target, demand
from tests.wire.test_eventstream import as_botocore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Outcome: TypeAlias = "tuple[list[Message], tuple[str, str | None] | None]"
LONGEST_FRAME = 16 + MAX_HEADERS_LENGTH + MAX_PAYLOAD_LENGTH
BYTE_BY_BYTE = 4096
"""Longer inputs are only cut at random: a law that holds for all short ones is the same for long ones."""


def check(data: bytes) -> None:
    """Hold one stream to every law."""
    rng = Random(crc32(data))  # noqa: S311 - the cuts are a function of the input
    whole = _decode([data])
    messages, fault = whole
    if len(data) <= BYTE_BY_BYTE:
        demand(
            _decode([data[at : at + 1] for at in range(len(data))]) == whole, "byte by byte differs", whole
        )
    pieces = cuts(data, rng)
    demand(_decode(pieces) == whole, "cut at random differs", whole, [len(piece) for piece in pieces])
    _check_round_trip(data, messages, whole=fault is None)
    theirs = _decode_with_botocore(data)
    demand(
        [as_botocore(one) for one in messages] == theirs[: len(messages)], "botocore reads otherwise", theirs
    )


def _decode(pieces: list[bytes]) -> Outcome:
    decoder, messages = Decoder(), list[Message]()
    fed = 0
    try:
        for piece in pieces:
            fed += len(piece)
            decoder.feed(piece, messages)
            pending = len(decoder._pending)
            demand(pending <= fed, "the decoder holds more than it was given", pending, fed)
            demand(pending < decoder._needed <= LONGEST_FRAME, "unbounded buffer", pending, decoder._needed)
        decoder.close()
    except UpstreamProtocolError as fault:
        _check_dead(decoder, fault)
        return messages, (str(fault), fault.detail)
    return messages, None


def _check_dead(decoder: Decoder, fault: UpstreamProtocolError) -> None:
    demand(not decoder._pending, "a dead decoder holds bytes")
    more: list[Message] = []
    try:
        decoder.feed(encode({}, b""), more)
    except UpstreamProtocolError as again:
        demand(
            (str(again), again.detail, more) == (str(fault), fault.detail, []), "another fault later", again
        )
    else:
        demand(False, "a dead decoder came back")  # noqa: FBT003 - the law is broken


def _check_round_trip(data: bytes, messages: list[Message], *, whole: bool) -> None:
    """What has string headers only is encoded to the very bytes that it came from."""
    offset = 0
    for message in messages:
        (length,) = struct.unpack_from("!I", data, offset)
        strings = {name: value for name, value in message.headers.items() if isinstance(value, str)}
        if len(strings) == len(message.headers):
            frame = data[offset : offset + length]
            demand(encode(strings, message.payload) == frame, "encoding gives other bytes", message)
        offset += length
    demand(not whole or offset == len(data), "bytes are lost", offset, len(data))


def _decode_with_botocore(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """Return what botocore reads before it raises whatever it raises."""
    buffer, messages = EventStreamBuffer(), list[tuple[dict[str, Any], bytes]]()
    try:
        buffer.add_data(data)
        messages.extend((message.headers, message.payload) for message in buffer)
    except Exception:  # noqa: BLE001 - it leaks all kinds; only its good messages count
        return messages
    return messages


# ── inputs ────────────────────────────────────────────────────────────────────────────────────────────


def _frame(block: bytes, payload: bytes, total: int | None = None, headers: int | None = None) -> bytes:
    lengths = struct.pack(
        "!II",
        (16 + len(block) + len(payload) if total is None else total) & 0xFFFFFFFF,
        (len(block) if headers is None else headers) & 0xFFFFFFFF,
    )
    checked = lengths + struct.pack("!I", crc32(lengths)) + block + payload
    return checked + struct.pack("!I", crc32(checked))


def _frames(data: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Take apart what has sensible lengths, whatever its checksums; and return the rest."""
    found, offset = list[tuple[bytes, bytes]](), 0
    while len(data) - offset >= 16:
        total, headers = struct.unpack_from("!II", data, offset)
        if not 16 + headers <= total <= len(data) - offset:
            break
        start = offset + 12
        found.append((data[start : start + headers], data[start + headers : offset + total - 4]))
        offset += total
    return found, data[offset:]


BLOCKS = (
    *(b"", b"\x01a\x00", b"\x01a\x01", b"\x01a\x02\x7f", b"\x01a\x03\x00\x01", b"\x01a\x04\x00\x00\x00\x01"),
    *(
        b"\x01a\x05" + b"\xff" * 8,
        b"\x01a\x06\x00\x02ab",
        b"\x01a\x07\x00\x02ab",
        b"\x01a\x09" + b"\x07" * 16,
    ),
    *(
        b"\x01a\x08\x00\x00\x01\x90\x00\x00\x00\x00",
        b"\x01a\x08\x7f" + b"\xff" * 7,
        b"\x01a\x0a",
        b"\x00\x00",
    ),
    *(b"\x01a\x00\x01a\x00", b"\x01a\x07\xff\xff", b"\x0d:message-type\x07\x00\x05event", b"\x01\xff\x00"),
)


def _mutate(data: bytes, rng: Random) -> bytes:
    frames, rest = _frames(data)
    if not frames or rng.random() < 0.1:
        return mutate_bytes(data, rng)
    at = rng.randrange(len(frames))
    block, payload = frames[at]
    wrong = b""
    match rng.randrange(8):
        case 0:
            frames.insert(at, rng.choice(frames))
        case 1:
            del frames[at]
        case 2:
            frames[at] = (mutate_bytes(block, rng), payload)
        case 3:
            frames[at] = (block, mutate_bytes(payload, rng))
        case 4 | 5:
            frames[at] = (rng.choice((block, b"")) + rng.choice(BLOCKS), payload)
        case 6:
            length = rng.choice((0, 11, 15, 16, 17, 2**17, 2**17 + 1, 2**32 - 1))
            wrong = _frame(block, payload, *rng.choice(((length, None), (None, length))))
        case _:
            rest = mutate_bytes(rest, rng)
    made = [_frame(*frame) for frame in frames]
    return b"".join([*made[:at], wrong, *made[at:], rest])


def _seeds() -> Iterator[bytes]:
    yield b""
    for block in BLOCKS:
        yield _frame(block, b"{}")
    yield encode({":event-type": "chunk", ":message-type": "event"}, b'{"bytes":"e30="}') * 3
    yield encode({":exception-type": "throttlingException", ":message-type": "exception"}, b"{}")
    yield encode({}, b"")[:-1]


@contextmanager
def _opened() -> Iterator[Callable[[bytes], None]]:
    yield check


TARGET = Target(
    name="eventstream",
    opened=_opened,
    seeds=_seeds,
    recorded=lambda: [data[:8192] for _, data in streams()],
    mutate=_mutate,
    max_length=8192,
)
