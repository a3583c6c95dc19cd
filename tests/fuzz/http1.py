"""The parser of HTTP answers: any bytes, however they are cut, are the same answer or the same fault.

What it takes as a whole answer aiohttp's C parser does not read as another one.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

from aiohttp import ClientPayloadError
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser
from aiohttp.http_exceptions import HttpProcessingError

from gateway.errors import UpstreamProtocolError
from gateway.wire.http1 import MAX_HEAD, ResponseParser
from tests.fuzz.mutation import cuts, mutate_bytes
from tests.fuzz.target import Target, demand
from tests.wire.test_http1 import ANSWERS, BODIES, CHUNKED, HEADS, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKENS = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"\x00",
        b"0\r\n\r\n",
        b"1\r\na\r\n",
    ),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"),
    *(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"Te: x\r\n y\r\n"),
)
MAX_LENGTH = 2048


def check(data: bytes, loop: asyncio.AbstractEventLoop) -> None:
    """Hold the bytes of one connection to every law."""
    rng = Random(crc32(data))  # noqa: S311 - the cuts are a function of the input
    whole = _parse([data])
    demand(_parse([data[at : at + 1] for at in range(len(data))]) == whole, "byte by byte differs", whole)
    pieces = cuts(data, rng)
    demand(_parse(pieces) == whole, "cut at random differs", whole, [len(piece) for piece in pieces])
    status, _, body, ended, _, fault = whole
    demand(len(body) <= len(data), "more body than bytes", body)
    theirs = _parse_with_aiohttp(data, loop)
    if ended and fault is None and theirs is not None:
        demand((status, body) == theirs, "aiohttp reads another answer", whole, theirs)


def _parse(pieces: list[bytes]) -> Outcome:
    parser, body, fault = ResponseParser(), list[bytes](), None
    try:
        for piece in pieces:
            parser.feed(piece, body)
            demand(len(parser._pending) < MAX_HEAD, "unbounded buffer", len(parser._pending))
    except UpstreamProtocolError as error:
        fault = (error.message, error.detail)
        _check_dead(parser, error)
    demand(all(body), "an empty piece of a body", body)
    status, headers = parser.head or (0, {})
    return status, dict(headers), b"".join(body), parser.ended, parser.reusable, fault


def _check_dead(parser: ResponseParser, fault: UpstreamProtocolError) -> None:
    demand(not parser._pending and not parser.reusable and not parser.ended, "a dead parser lives", parser)
    try:
        parser.feed(CHUNKED, [])
    except UpstreamProtocolError as again:
        demand(again.detail == fault.detail, "another fault later", again)
    else:
        demand(False, "a dead parser came back")  # noqa: FBT003 - the law is broken


def _parse_with_aiohttp(data: bytes, loop: asyncio.AbstractEventLoop) -> tuple[int, bytes] | None:
    """Return status and body of the first final answer that aiohttp finds whole, None where there is none."""
    parser: Any = HttpResponseParser(
        BaseProtocol(loop), loop, 2**16, payload_exception=ClientPayloadError, auto_decompress=False
    )
    try:
        messages, _, _ = parser.feed_data(data)
    except HttpProcessingError:
        return None
    for message, payload in messages:
        if message.code >= 200:
            if payload.exception() is not None or not payload.is_eof():
                return None
            return message.code, b"".join(iter(payload.read_nowait, b""))
    return None


# ── inputs ────────────────────────────────────────────────────────────────────────────────────────────


def _mutate(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.3:
        return mutate_bytes(data, rng)
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(TOKENS) + data[at + rng.choice((0, 0, 1, 2)) :]


def _seeds() -> Iterator[bytes]:
    for answer in ANSWERS.values():
        yield answer[0]
    for bad in (*HEADS.values(), *(CHUNKED + body for body in BODIES.values())):
        yield bad[:MAX_LENGTH]


@contextmanager
def _opened() -> Iterator[Callable[[bytes], None]]:
    loop = asyncio.new_event_loop()
    try:
        yield lambda data: check(data, loop)
    finally:
        loop.close()


TARGET = Target(
    name="http1", opened=_opened, seeds=_seeds, recorded=list, mutate=_mutate, max_length=MAX_LENGTH
)
