"""A caller who speaks bytes: half a request, ten at once, or none at all."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.harness import ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE = 60.0
"""Seconds after which a test would hang; nothing is measured with it."""


class RawCaller:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes; a peer who has closed is no error here."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            pass

    async def until(self, end: bytes) -> bytes:
        """Read up to and including `end`."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(end)

    async def rest(self) -> bytes:
        """Read what comes up to the end of the connection, however it ends."""
        data = bytearray()
        async with asyncio.timeout(PATIENCE):
            try:
                while piece := await self.reader.read(65536):
                    data += piece
            except ConnectionError:
                pass
        return bytes(data)

    def reset(self) -> None:
        """Leave with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def connected(url: str, *, receive_buffer: int | None = None) -> AsyncIterator[RawCaller]:
    """Connect to a gateway; a small receive buffer makes a slow reader felt."""
    address = urlsplit(url)
    sock = socket.socket()
    sock.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(sock, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    try:
        yield RawCaller(reader, writer)
    finally:
        writer.transport.abort()


async def exchanged(url: str, data: bytes) -> bytes:
    """Send bytes and return all that comes back until the gateway closes the connection."""
    async with connected(url) as caller:
        await caller.send(data)
        return await caller.rest()


def post(body: dict[str, Any] | bytes, path: str = "/chat/completions/stream", *headers: str) -> bytes:
    """Return the bytes of a request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
        *headers,
    )
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + data


SILENT = ask("[[emulator first_byte_ms=60000]]")
"""A request whose answer does not come."""


def heads(answer: bytes) -> list[bytes]:
    """Return the status lines in what came back, as far as they follow a body without a line's end."""
    return re.findall(rb"HTTP/1\.[01] \d{3} [^\r]*", answer)
