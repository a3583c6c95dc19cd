"""Frames of `application/vnd.amazon.eventstream`: bytes to messages and back.

A frame, all integers big-endian (bedrock-wire.md §1):

    uint32 total length | uint32 headers length | uint32 prelude CRC | headers | payload | uint32 message CRC

The prelude CRC is CRC-32 of the first 8 bytes, the message CRC that of everything but the last 4. The
decoder pushes: it is given whatever a read brought, and gives back the messages that are whole. It knows
framing only; what `:message-type` means is for its caller.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, TypeAlias
from uuid import UUID
from zlib import crc32

from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
MAX_HEADERS_LENGTH: Final = 128 * 1024
MAX_PAYLOAD_LENGTH: Final = 24 * 1024 * 1024  # both limits are botocore's (botocore/eventstream.py)

HeaderValue: TypeAlias = "bool | int | bytes | str | datetime | UUID"
_Reader: TypeAlias = "Callable[[bytes, int], tuple[HeaderValue, int]]"

_PRELUDE = struct.Struct("!III")
_CRC = struct.Struct("!I")
_checksum_at = _CRC.unpack_from
_new = tuple.__new__  # a NamedTuple's own constructor is Python, and takes twice as long
_PRELUDE_LENGTH = _PRELUDE.size
_OVERHEAD = _PRELUDE.size + _CRC.size
_MAX_NAME_LENGTH = 2**8 - 1
_MAX_VALUE_LENGTH = 2**16 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Message(NamedTuple):
    """One whole, checked frame. `headers` is read-only: frames with equal headers share one mapping."""

    headers: Mapping[str, HeaderValue]
    payload: bytes


class Decoder:
    """Push decoder of one stream. After a fault it is dead: each later call raises that fault again."""

    __slots__ = ("_block", "_fault", "_headers", "_needed", "_pending")

    def __init__(self) -> None:
        self._block = b""  # the header block of the last frame, and what it means
        self._headers: Mapping[str, HeaderValue] = _read_headers(b"")
        self._pending = bytearray()  # the beginning of a frame that is not whole yet
        self._needed = _PRELUDE_LENGTH  # how long `_pending` must become before it is worth a look
        self._fault: tuple[str, str] | None = None

    def __repr__(self) -> str:
        if self._fault is not None:
            return f"<Decoder dead: {self._fault[1]}>"
        return f"<Decoder {len(self._pending)} bytes buffered>"

    def feed(self, data: bytes, messages: list[Message]) -> None:
        """Append to `messages` every message that `data` completes.

        Messages that came before a fault in the same `data` are appended before it is raised. Lengths are
        checked as soon as a prelude is there, so an oversized frame is refused and not collected.

        Raises:
            UpstreamProtocolError: a checksum, a length or a header is wrong; `detail` says which and how.
        """
        if self._fault is not None:
            self._fail(*self._fault)
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:
                return
            data = bytes(self._pending)
        consumed = self._decode(data, messages)
        if consumed != len(data):
            self._pending = bytearray(data[consumed:])
        elif self._pending:
            self._pending = bytearray()

    def close(self) -> None:
        """Say that no more bytes will come.

        Raises:
            UpstreamProtocolError: the stream ended inside a frame, or it was faulty before.
        """
        if self._fault is not None:
            self._fail(*self._fault)
        if self._pending:
            part = "frame" if self._needed > _PRELUDE_LENGTH else "frame's prelude"
            self._fail(
                "The answer from Bedrock ended inside a frame.",
                f"event stream ended after {len(self._pending)} of {self._needed} bytes of a {part}",
            )

    def _decode(self, data: bytes, messages: list[Message]) -> int:
        """Append the messages that are whole in `data` and return how many bytes they took."""
        offset = 0
        size = len(data)
        while True:
            start = offset + _PRELUDE_LENGTH
            if start > size:
                self._needed = _PRELUDE_LENGTH
                return offset
            try:
                total, headers_length = _read_prelude(data[offset:start])
            except ValueError as exc:
                self._fail_framing(str(exc))
            following = offset + total
            if following > size:
                self._needed = total
                return offset
            end = following - 4
            if (crc32(data[offset:end]),) != _checksum_at(data, end):
                self._fail_framing("message checksum mismatch")
            payload_start = start + headers_length
            block = data[start:payload_start]
            if block != self._block:  # frames of one kind, which come in a row, have the same
                self._turn_to(block)
            messages.append(_new(Message, (self._headers, data[payload_start:end])))
            offset = following

    def _turn_to(self, block: bytes) -> None:
        try:
            self._headers = _read_headers(block)
        except ValueError as exc:
            self._fail_framing(str(exc))
        self._block = block

    def _fail_framing(self, detail: str) -> NoReturn:
        self._fail("The answer from Bedrock broke the event stream format.", f"event stream: {detail}")

    def _fail(self, message: str, detail: str) -> NoReturn:
        # Kept as text, not as an exception: that would hold its traceback, and with it the caller's frames.
        self._fault = (message, detail)
        self._pending = bytearray()
        raise UpstreamProtocolError(message, detail=detail)


class FrameDecoder(Decoder):
    """Gives the frames themselves, too, for who passes them on.

    `frames` begins with those of the last `feed`; where that did not raise, nothing is behind them.
    """

    __slots__ = ("frames",)

    def __init__(self) -> None:
        super().__init__()
        self.frames = b""

    def feed(self, data: bytes, messages: list[Message]) -> None:
        """As `Decoder.feed`."""
        self.frames = b""
        if self._pending:  # or a fault, which leaves nothing pending
            if len(self._pending) + len(data) < self._needed:
                self._pending += data
                return
            data, self._pending = bytes(self._pending) + data, bytearray()
        elif self._fault is not None:
            self._fail(*self._fault)
        self.frames = data
        consumed = self._decode(data, messages)
        if consumed != len(data):
            self.frames, self._pending = data[:consumed], bytearray(data[consumed:])


def length_of(frames: bytes, count: int) -> int:
    """Return how many bytes the first `count` frames have, which are good and whole."""
    length = 0
    for _ in range(count):
        length += int.from_bytes(frames[length : length + 4], "big")
    return length


def encode(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame; all headers get type 7 (string), the only one that Bedrock sends.

    Limits on the frame's size are not enforced here: the emulator must be able to break them.

    Raises:
        ValueError: a header's name is over 255, or its value over 65535 bytes of UTF-8.
    """
    block = b"".join(_encode_header(name.encode(), value.encode()) for name, value in headers.items())
    lengths = struct.pack("!II", _OVERHEAD + len(block) + len(payload), len(block))
    frame = b"".join((lengths, _CRC.pack(crc32(lengths)), block, payload))
    return frame + _CRC.pack(crc32(frame))


def _encode_header(name: bytes, value: bytes) -> bytes:
    if len(name) > _MAX_NAME_LENGTH or len(value) > _MAX_VALUE_LENGTH:
        raise ValueError(f"header too long for a frame: name {len(name)}, value {len(value)} bytes")
    return b"".join((bytes([len(name)]), name, b"\x07", len(value).to_bytes(2, "big"), value))


# Lengths repeat: a delta is a few words. At worst the cache holds 2,048 preludes, some 300 kB.
@lru_cache(maxsize=2048)
def _read_prelude(raw: bytes) -> tuple[int, int]:
    """Return the lengths of a frame and of its headers.

    Raises:
        ValueError: the checksum is wrong, or the lengths are beyond the limits or do not fit each other.
    """
    total, headers_length, checksum = _PRELUDE.unpack(raw)
    if crc32(raw[:8]) != checksum:
        raise ValueError("prelude checksum mismatch")
    payload_length = total - headers_length - _OVERHEAD
    if headers_length > MAX_HEADERS_LENGTH:
        raise ValueError(f"headers of {headers_length} bytes exceed the maximum of {MAX_HEADERS_LENGTH}")
    if payload_length > MAX_PAYLOAD_LENGTH:
        raise ValueError(f"payload of {payload_length} bytes exceeds the maximum of {MAX_PAYLOAD_LENGTH}")
    if payload_length < 0:
        raise ValueError(f"a frame of {total} bytes cannot hold {headers_length} bytes of headers")
    return total, headers_length


# ── headers ───────────────────────────────────────────────────────────────────────────────────────────


def _fixed(layout: str, convert: Callable[..., HeaderValue]) -> _Reader:
    """Return a reader of a value of fixed length; readers return the value and the offset after it."""
    value = struct.Struct(layout)

    def read(raw: bytes, offset: int) -> tuple[HeaderValue, int]:
        return convert(*value.unpack_from(raw, offset)), offset + value.size

    return read


def _read_bytes(raw: bytes, offset: int) -> tuple[bytes, int]:
    start = offset + 2
    end = start + int.from_bytes(raw[offset:start], "big")
    if end > len(raw):
        raise IndexError
    return raw[start:end], end


def _read_string(raw: bytes, offset: int) -> tuple[str, int]:
    value, end = _read_bytes(raw, offset)
    return value.decode(), end


_READERS: Final[dict[int, _Reader]] = {
    0: _fixed("!", lambda: True),
    1: _fixed("!", lambda: False),
    2: _fixed("!b", int),
    3: _fixed("!h", int),
    4: _fixed("!i", int),
    5: _fixed("!q", int),
    6: _read_bytes,
    7: _read_string,
    8: _fixed("!q", lambda milliseconds: _EPOCH + timedelta(milliseconds=milliseconds)),
    9: _fixed("!16s", lambda raw: UUID(bytes=raw)),
}


# Frames of one answer repeat the same few header blocks, and so do answers; parsing one costs 2 µs, twice all
# the rest of a frame. Blocks are small in practice; at worst the cache holds 64 of the longest valid ones.
@lru_cache(maxsize=64)
def _read_headers(raw: bytes) -> Mapping[str, HeaderValue]:
    """Return the headers of one block.

    Raises:
        ValueError: the block is malformed.
    """
    headers: dict[str, HeaderValue] = {}
    offset = 0
    try:
        while offset < len(raw):
            name_end = offset + 1 + raw[offset]
            name = raw[offset + 1 : name_end].decode()
            kind = raw[name_end]
            if kind not in _READERS:
                raise ValueError(f"header {name!r} has the unknown type {kind}")
            if name in headers:
                raise ValueError(f"duplicate header {name!r}")
            headers[name], offset = _READERS[kind](raw, name_end + 1)
    except (IndexError, struct.error):
        raise ValueError(f"headers are cut short at byte {offset} of {len(raw)}") from None
    except UnicodeDecodeError:
        raise ValueError(f"header at byte {offset} of {len(raw)} is not UTF-8") from None
    except OverflowError:
        raise ValueError(
            f"timestamp at byte {offset} of {len(raw)} is not between the years 1 and 9999"
        ) from None
    return MappingProxyType(headers)
