"""What is sent downstream: whatever the text, every kind of reader finds the same records (R10).

An input is a kind of text (first byte: how the rest becomes text), then pieces between `|`, each an event.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import re
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from gateway.dialects import native_records
from gateway.dialects.native_stream import NDJSON, SSE, TEXT
from gateway.dialects.protocol import Begun, Ended
from gateway.domain import (
    Citation,
    FinishReason,
    ReasoningDelta,
    Stop,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from gateway.errors import UpstreamFailed
from gateway.wire import sse
from tests.fuzz.mutation import cuts, mutate_bytes
from tests.fuzz.target import Target, demand
from tests.wire.test_framing import events_of, expected_of, repaired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.domain import Event

LONGEST_LINE = 2**20


def text_of(data: bytes) -> str:
    """Return the text that an input means: any code points, half surrogate pairs among them."""
    kind, rest = data[:1], data[1:]
    match kind:
        case b"8":
            return rest.decode("utf-8", "surrogateescape")
        case b"6":
            return rest[: len(rest) // 2 * 2].decode("utf-16-le", "surrogatepass")
        case b"1":
            return rest.decode("latin-1")
        case _:
            return data.decode("utf-8", "backslashreplace")


def events(text: str) -> list[Event]:
    """Return an event for each piece of the text; all kinds of them in turn."""
    made: list[Event] = []
    for number, piece in enumerate(text.split("|")):
        if not piece:
            continue
        match number % 7:
            case 0 | 1:
                made.append(TextDelta(piece))
            case 2:
                made.append(ReasoningDelta(text=piece))
            case 3:
                made.append(ReasoningDelta(signature=piece))
            case 4:
                made.append(ToolCall(number, piece, piece[::-1]))
            case 5:
                made.append(ToolCallDelta(number, piece))
            case _:
                made.append(Citation({piece: piece[1:], piece[:1]: [piece, {"deep": piece}]}))
    return made


def records_of(said: list[Event], text: str) -> list[Any]:
    """Return the records of a stream that says this; its end, good or bad, holds the text as well."""
    start = native_records.start(Begun("c", text[:9], "p", text[:5]))
    stop = Stop(FinishReason.STOP, text[:40])
    fault = UpstreamFailed(text[-40:], param=text[:3])
    return [
        start,
        *(native_records.delta(event) for event in said),
        native_records.done(Ended(stop, Usage(input_tokens=1), lambda: {"total_ms": 1.5}, None)),
        native_records.error(fault, Usage(), request_id=text[:7]),
    ]


class Check:
    """Holds one stream to every law; aiohttp's line reader wants a loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __call__(self, data: bytes) -> None:
        """Hold one stream to every law."""
        rng = Random(crc32(data))  # noqa: S311 - the cuts are a function of the input
        text = text_of(data)
        said = events(text)
        records = records_of(said, text)
        for form in (NDJSON, SSE):
            singly = [form.encode(record) for record in map(native_records.delta, said) if record]
            demand(form.events(said) == b"".join(singly), "a batch differs from its records", said)
        expected = [_as_read(record) for record in records]
        self._check_ndjson([NDJSON.encode(record) for record in records], expected, rng)
        self._check_sse([SSE.encode(record) for record in records], expected, rng)
        bare = TEXT.events(said).decode()
        spoken = [event.text for event in said if isinstance(event, TextDelta)]
        demand(
            bare == "".join(re.sub("[\ud800-\udfff]", "?", text) for text in spoken),
            "bare text differs",
            bare,
        )

    def _check_ndjson(self, frames: list[bytes], expected: list[Any], rng: Random) -> None:
        stream = b"".join(frames)
        demand(
            all(frame.count(b"\n") == 1 and frame.endswith(b"\n") for frame in frames), "not one line", stream
        )
        pieces = cuts(stream, rng)
        read: dict[str, list[bytes] | list[str]] = {
            "bytes.split": stream.split(b"\n")[:-1],
            "bytes.splitlines": stream.splitlines(),
            "str.splitlines": stream.decode().splitlines(),
            "requests": list(_as_requests(pieces)),
            "httpx": _as_httpx(pieces),
            "aiohttp": self._loop.run_until_complete(_as_aiohttp(pieces, self._loop)),
        }
        for name, lines in read.items():
            demand([json.loads(line) for line in lines] == expected, f"{name} reads other records", lines)

    def _check_sse(self, frames: list[bytes], expected: list[Any], rng: Random) -> None:
        between = rng.choice((b"", sse.comment(), sse.comment("queued")))
        stream = between.join(frames)
        pieces = cuts(stream, rng)
        standard = [json.loads(event.data) for event in events_of(stream)]
        demand(standard == expected, "a browser reads other records", stream)
        by_lines = [json.loads(found) for found in _data_of(_as_httpx(pieces))]
        demand(by_lines == expected, "httpx-sse reads other records", stream)
        lines = self._loop.run_until_complete(_as_aiohttp(pieces, self._loop))
        by_bytes = [
            json.loads(found) for found in _data_of([line.rstrip(b"\r\n").decode() for line in lines])
        ]
        demand(by_bytes == expected, "a client on aiohttp reads other records", stream)


def _as_read(value: Any) -> Any:
    """Return a record as a reader gets it: pairs of surrogates joined, lone ones replaced."""
    if isinstance(value, str):
        return repaired(value)
    if isinstance(value, list):
        return [_as_read(item) for item in value]
    if isinstance(value, dict):
        (names,) = expected_of([dict.fromkeys(value, "")])
        return {name: _as_read(item) for name, item in zip(names, value.values(), strict=True)}
    return value


# ── line readers, as clients have them ────────────────────────────────────────────────────────────────


def _as_requests(pieces: list[bytes]) -> Iterator[bytes]:
    """Yield lines as `requests.Response.iter_lines` does (requests/models.py)."""
    pending: bytes | None = None
    for piece in pieces:
        lines = (piece if pending is None else pending + piece).splitlines()
        chunk = piece if pending is None else pending + piece
        pending = lines.pop() if lines and lines[-1] and chunk and lines[-1][-1] == chunk[-1] else None
        yield from lines
    if pending is not None:
        yield pending


def _as_httpx(pieces: list[bytes]) -> list[str]:
    """Return lines as `httpx.Response.iter_lines` does (httpx/_decoders.py, LineDecoder)."""
    text = "".join(_incrementally(pieces))
    lines: list[str] = []
    buffer: list[str] = []
    rng = Random(len(text))  # noqa: S311 - where the text is cut does not matter, but it is
    while text:
        cut = rng.randrange(1, 200)
        part, text = text[:cut], text[cut:]
        ended = part[-1] in "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
        found = part.splitlines()
        if len(found) == 1 and not ended:
            buffer.append(found[0])
            continue
        if buffer:
            found[0] = "".join(buffer) + found[0]
            buffer = []
        if not ended:
            buffer = [found.pop()]
        lines += found
    return lines + (["".join(buffer)] if buffer else [])


def _incrementally(pieces: list[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


async def _as_aiohttp(pieces: list[bytes], loop: asyncio.AbstractEventLoop) -> list[bytes]:
    """Return lines as aiohttp's own reader gives them."""
    reader = StreamReader(BaseProtocol(loop), LONGEST_LINE, loop=loop)
    for piece in pieces:
        reader.feed_data(piece)
    reader.feed_eof()
    return [line async for line in reader]


def _data_of(lines: list[str]) -> Iterator[str]:
    """Yield the data of each event as `httpx_sse` does, from lines without their ends."""
    data: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        if not line and data:
            yield "\n".join(data)
            data = []
        elif name == "data":
            data.append(value.removeprefix(" "))


# ── inputs ────────────────────────────────────────────────────────────────────────────────────────────

PARTS = (
    *("\r", "\n", "\r\n", "\x00", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\ufeff"),
    *("\ud800", "\udbff", "\udc00", "\udfff", "\ud83d\ude00", "\U0001f600", "\U0010ffff", "\ufffd", "|"),
    *("data: x", "event: done", '{"type":"done"}', '"', "\\", "\\u2028", "\\n", "[DONE]", ":", "é", "\x7f"),
)


def _mutate(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.3 or data[:1] not in {b"8", b"6"}:
        return mutate_bytes(data, rng) if data else b"8"
    text = text_of(data)
    for _ in range(rng.choice((1, 2, 5))):
        at = rng.randrange(len(text) + 1)
        part = rng.choice((rng.choice(PARTS), chr(rng.randrange(0x110000))))
        text = text[:at] + part + text[at + rng.randrange(2) :]
    return b"6" + text.encode("utf-16-le", "surrogatepass")


def _seeds() -> Iterator[bytes]:
    yield b"8hello|world|why|sig|id|{}|cite"
    yield b"6" + "|".join(PARTS).encode("utf-16-le", "surrogatepass")
    yield b"1" + bytes(range(256))
    for part in PARTS:
        yield b"6" + "|".join([part] * 7).encode("utf-16-le", "surrogatepass")


@contextmanager
def _opened() -> Iterator[Callable[[bytes], None]]:
    loop = asyncio.new_event_loop()
    try:
        yield Check(loop)
    finally:
        loop.close()


TARGET = Target(
    name="encoders", opened=_opened, seeds=_seeds, recorded=lambda: (), mutate=_mutate, max_length=4096
)
