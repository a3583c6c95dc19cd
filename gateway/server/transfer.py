"""One answer on its way to the caller: its head, its chunks and its end, straight into the transport.

aiohttp's response and writer objects do the same for everybody's needs; here there are only ours, and what
goes out together is one write.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import HttpVersion10

from gateway.server.head import date_line, status_line

if TYPE_CHECKING:
    import asyncio

    from gateway.server.heartbeat import Heartbeat
    from gateway.server.request import Request
    from gateway.server.tls import PeerCertificate

_HEAD: Final = "HEAD"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Connection(Protocol):
    """What a transfer needs of the connection that it goes over."""

    transport: asyncio.Transport | None
    heartbeat: Heartbeat
    peer: PeerCertificate | None

    @property
    def writing_paused(self) -> bool:
        """Whether the caller is to take something before more is written."""

    @property
    def draining(self) -> bool:
        """Whether the process is to end, so that no connection is kept."""

    async def drain(self) -> None:
        """Return when more may be written; raises `ConnectionError` where the caller has gone."""


class Transfer:
    """One answer. `begin` it, `write` to it while it goes on, `end` it; each raises `ConnectionError`.

    Nothing here waits: who has written looks at `blocked`.
    """

    __slots__ = ("_chunked", "_connection", "_head", "_request", "kept", "sent")

    def __init__(self, request: Request, connection: Connection) -> None:
        self._request = request
        self._connection = connection
        self._head = b""
        self._chunked = False
        self.kept = False
        """Whether the head has promised that the connection serves another request."""
        self.sent = 0
        """Bytes so far, head and framing included."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """What the bytes go to; None once the caller has gone."""
        return self._connection.transport

    @property
    def peer(self) -> PeerCertificate | None:
        """What the caller has proven by TLS."""
        return self._connection.peer

    @property
    def heartbeat(self) -> Heartbeat:
        """What breaks the silences of the connection's streams."""
        return self._connection.heartbeat

    @property
    def blocked(self) -> bool:
        """Whether the caller is to take something before more is written."""
        return self._connection.writing_paused

    async def drain(self) -> None:
        """Return when more may be written; raises `ConnectionError` where the caller has gone."""
        await self._connection.drain()

    def begin(self, status: int, fields: bytes, *, length: int | None = None, last: bool = False) -> None:
        """Make the head, which goes out with the first bytes behind it.

        Without a `length` the body comes in chunks, or, in HTTP/1.0, ends with the connection, as it does
        behind an answer that is to be the `last`.
        """
        request = self._request
        version = request.version
        old = version == HttpVersion10
        self._chunked = length is None and not old
        closes = last or request.should_close or (length is None and old)
        self.kept = not (closes or self._connection.draining)
        framing = b"" if length is None else b"Content-Length: %d\r\n" % length
        if self._chunked:
            framing = _CHUNKED
        ending = b"\r\n"
        if self.kept is old:  # what is not the rule in this version is told
            ending = b"Connection: keep-alive\r\n\r\n" if old else b"Connection: close\r\n\r\n"
        self._head = b"".join(
            (status_line(version, status), fields, framing, date_line(int(time.monotonic())), ending)
        )

    def write(self, data: bytes) -> None:
        """Send the next bytes of the body; without any the head goes out alone, if it is still to go."""
        if data and self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if data or self._head:
            self._send(data)

    def end(self, data: bytes) -> None:
        """Send the last bytes of the body, and the end."""
        if self._chunked:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else _LAST_CHUNK
        elif self._request.method == _HEAD:
            data = b""
        self._send(data)

    def _send(self, data: bytes) -> None:
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the caller has gone")
        if self._head:
            data, self._head = self._head + data, b""
        self.sent += len(data)
        transport.write(data)
