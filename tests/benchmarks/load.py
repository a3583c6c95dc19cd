"""The callers: raw HTTP/1.1 over asyncio streams, because it is not them that is measured.

Bounded in count and in time, loopback only. Every stream is read to its end and checked; one that failed
fails the run, since a subject that drops work is cheap.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HOST = "127.0.0.1"
STREAM_TIMEOUT = 60.0
"""Seconds for one stream; the longest of the table takes three."""
_READ = 262_144
_LAST_CHUNK = b"0\r\n\r\n"
_OK = b"HTTP/1.1 200 "


class StreamFailedError(Exception):
    """A stream was refused, cut, or not what was asked for."""


class Connection(NamedTuple):
    """One kept connection to a subject."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def encode_post(path: str, body: bytes) -> bytes:
    """Return a whole POST request with a JSON body."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@asynccontextmanager
async def connected(port: int, count: int) -> AsyncIterator[list[Connection]]:
    """Open `count` connections for as long as the block runs."""
    connections: list[Connection] = []
    try:
        while len(connections) < count:
            connections.append(Connection(*await asyncio.open_connection(HOST, port, limit=_READ)))
        yield connections
    finally:
        for connection in connections:
            connection.writer.close()
        await asyncio.gather(
            *(connection.writer.wait_closed() for connection in connections), return_exceptions=True
        )


async def run(
    connections: list[Connection],
    request: bytes,
    count: int,
    check: Callable[[bytes], None],
    *,
    spread: float = 0.0,
) -> None:
    """Send `request` `count` times in all, each connection one after the other, and check every answer.

    The connections begin evenly spread over `spread` seconds.

    Raises:
        StreamFailedError: an answer was not whole, or `check` said that it is not right.
    """
    left = iter(range(count))

    async def call(connection: Connection, delay: float) -> None:
        await asyncio.sleep(delay)
        for _ in left:
            check(await exchange(connection, request))

    try:
        async with asyncio.TaskGroup() as callers:
            for number, connection in enumerate(connections):
                callers.create_task(call(connection, spread * number / len(connections)))
    except* (StreamFailedError, OSError, asyncio.IncompleteReadError) as group:
        first = group.exceptions[0]
        raise StreamFailedError(str(first) or type(first).__name__) from first


async def exchange(connection: Connection, request: bytes) -> bytes:
    """Send one request and return the body of its answer, which is 200 and chunked.

    Raises:
        StreamFailedError: it is not, or it took too long.
    """
    try:
        async with asyncio.timeout(STREAM_TIMEOUT):
            connection.writer.write(request)
            head = await connection.reader.readuntil(b"\r\n\r\n")
            if not head.startswith(_OK) or b"\r\ntransfer-encoding: chunked\r\n" not in head.lower():
                raise StreamFailedError(f"not a stream: {head[:200]!r}")
            return await _read_chunked(connection.reader)
    except TimeoutError:
        raise StreamFailedError(f"no end of the stream within {STREAM_TIMEOUT:g} s") from None


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    data = bytearray()
    while piece := await reader.read(_READ):
        data += piece
        if data.endswith(_LAST_CHUNK):
            body = dechunk(bytes(data))
            if body is not None:
                return body
    raise StreamFailedError(f"the connection broke after {len(data)} bytes of the body")


def dechunk(data: bytes) -> bytes | None:
    """Return the body that was transferred in chunks, None where its last chunk has not come."""
    chunks: list[bytes] = []
    start = 0
    while (line_end := data.find(b"\r\n", start)) >= 0:
        size = int(data[start:line_end], 16)
        if not size:
            return b"".join(chunks)
        chunk_start = line_end + 2
        start = chunk_start + size + 2
        chunks.append(data[chunk_start : start - 2])
    return None
