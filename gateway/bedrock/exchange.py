"""One request on one connection of the pool, and its answer, without the layers of aiohttp's client.

aiohttp makes, keeps and closes the connections; between two exchanges, and while it opens a tunnel through a
proxy, their protocol is aiohttp's own. An exchange takes one over: it writes the request and parses what
comes. When the answer is whole the connection goes back, whoever may still have to read it; else it is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from gateway.errors import GatewayError, UpstreamProtocolError
from gateway.tcp import read_in_pieces
from gateway.wire.http1 import ResponseParser

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from aiohttp.connector import Connection

HIGH_WATER: Final = 32 * 1024
"""Bytes of an answer that wait for a reader; with more of them the connection is read no further (R8)."""
SLICE: Final = 64 * 1024
"""Bytes of a request that are handed to the transport at once: it copies what the kernel does not take."""


class ExchangeProtocol(ResponseHandler):
    """aiohttp's protocol of a client's connection, until an exchange takes what comes."""

    exchange: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read in pieces from here on."""
        super().connection_made(transport)
        read_in_pieces(transport)

    def data_received(self, data: bytes) -> None:
        """Take what a read brought."""
        if self.exchange is None:
            super().data_received(data)
        else:
            self.exchange.received(data)

    def resume_writing(self) -> None:
        """Go on sending."""
        super().resume_writing()
        if self.exchange is not None:
            self.exchange.send_more()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Take the end of the connection; None: an orderly one."""
        super().connection_lost(exc)
        if self.exchange is not None:
            self.exchange.lost(exc)


class Exchange:
    """A request and its answer; `close` it in any case. One task at a time may wait for it."""

    __slots__ = (
        "_body", "_connection", "_fault", "_loop", "_parser", "_paused", "_pieces", "_protocol", "_size",
        "_taker", "_transport", "_unsent", "_waiter", "headers", "status",
    )  # fmt: skip

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        protocol, transport = connection.protocol, connection.transport
        if not isinstance(protocol, ExchangeProtocol) or transport is None:
            connection.close()
            raise aiohttp.ServerDisconnectedError
        self.status = 0
        """0 until the head has come."""
        self.headers: Mapping[str, str] = {}
        """Names are lower-case."""
        self._loop = loop
        self._connection: Connection | None = connection
        self._protocol = protocol
        self._transport = transport
        self._parser = ResponseParser()
        self._pieces: list[bytes] = []
        self._size = 0
        self._paused = False
        self._body = b""
        self._unsent = 0
        self._waiter: asyncio.Future[None] | None = None
        self._taker: Callable[[bytes], bool] | None = None
        self._fault: Exception | None = None
        protocol.exchange = self

    def __repr__(self) -> str:
        return f"<Exchange status {self.status}, {self._size} bytes waiting, {self._parser!r}>"

    # ── the request ─────────────────────────────────────────────────────────────────────────────────────

    def send(self, head: bytes, body: bytes) -> None:
        """Send the request, as much of it as the transport takes for now."""
        if len(body) <= SLICE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._body, self._unsent = body, len(body)
            self.send_more()

    def send_more(self) -> None:
        """Hand over the next slices, as many as the transport takes for now."""
        while self._unsent and not self._protocol.writing_paused:
            start = len(self._body) - self._unsent
            piece = self._body[start : start + SLICE]
            self._unsent -= len(piece)
            self._transport.write(piece)
        if not self._unsent:
            self._body = b""

    # ── the answer ──────────────────────────────────────────────────────────────────────────────────────

    def has_head(self) -> bool:
        """Say whether the head of the answer has come, which `status` and `headers` tell from then on.

        Raises:
            UpstreamProtocolError: what came is no HTTP.
            aiohttp.ClientConnectionError: the connection broke before the head was there.
        """
        head = self._parser.head
        if head is None:
            if self._fault is not None:
                raise self._fault
            return False
        self.status, self.headers = head
        return True

    @property
    def ready(self) -> bool:
        """Whether `take` has something to tell: bytes, the end, or a fault."""
        return bool(self._pieces) or self._fault is not None or self._parser.ended

    @property
    def at_end(self) -> bool:
        """Whether the whole body has been taken."""
        return not self._pieces and self._parser.ended

    def take(self) -> bytes:
        """Return all bytes of the body that have come; empty at its end, and where there is nothing yet.

        Raises:
            UpstreamProtocolError, aiohttp.ClientPayloadError: the answer broke; what came before was given.
        """
        pieces = self._pieces
        if not pieces:
            if self._fault is not None:
                raise self._fault
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def arrival(self) -> asyncio.Future[None]:
        """Return what is done when there may be something to take."""
        waiter = self._waiter = self._loop.create_future()
        self._taker = None  # one whose wait was cancelled is still there
        return waiter

    def forward(self, take: Callable[[bytes], bool]) -> asyncio.Future[None]:
        """Give `take` what comes, each read of it at once, until it returns False; it never raises.

        Return what is done then, and before that when the end or a fault has come, which is not for `take`.
        """
        waiter = self.arrival()
        self._taker = take
        return waiter

    async def read(self) -> bytes:
        """Wait for what `take` returns."""
        while not self.ready:
            await self.arrival()
        return self.take()

    async def read_all(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            UpstreamProtocolError: it is longer than `limit` bytes.
        """
        body = await self.read_up_to(limit)
        if len(body) > limit:
            raise UpstreamProtocolError("Bedrock's answer is too large.", detail=f"over {limit} bytes")
        return body

    async def read_up_to(self, limit: int) -> bytes:
        """Return the body to its end, or what of it came until `limit` bytes or some more were there."""
        pieces: list[bytes] = []
        size = 0
        while size <= limit and (piece := await self.read()):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Let go of the connection: cut it unless the answer was whole."""
        if self._connection is not None:
            self._let_go(reuse=False)
        self._pieces.clear()

    # ── what the protocol tells ─────────────────────────────────────────────────────────────────────────

    def received(self, data: bytes) -> None:
        """Take what a read brought."""
        parser = self._parser
        try:
            parser.feed(data, self._pieces)
        except GatewayError as fault:
            self._fail(fault)
            return
        self._size += len(data)
        ended = parser.ended
        if ended:
            sent = not self._unsent and not self._transport.get_write_buffer_size()
            self._let_go(reuse=parser.reusable and sent)
        elif self._size > HIGH_WATER and not self._paused and self._pieces:
            self._paused = True
            self._transport.pause_reading()
        if ended or not self.status or (self._pieces and not self._is_taken()):
            self._wake()

    def _is_taken(self) -> bool:
        """Give what has come to whoever waits for it by `forward`; say whether that one goes on."""
        waiter, take = self._waiter, self._taker
        if take is None or waiter is None or waiter.done():  # done: who waited has been cancelled
            return False
        return take(self.take())

    def lost(self, exc: BaseException | None) -> None:
        """Take the end of the connection; None: an orderly one."""
        if exc is None and self._parser.feed_end():
            self._let_go(reuse=False)
            self._wake()
        elif self._parser.head is None:
            broken = aiohttp.ClientOSError(*exc.args) if isinstance(exc, OSError) else None
            self._fail(broken or aiohttp.ServerDisconnectedError())
        else:
            words = "the connection was closed" if exc is None else f"{type(exc).__name__}"
            self._fail(aiohttp.ClientPayloadError(f"the answer is not whole: {words}"))

    def _fail(self, fault: Exception) -> None:
        self._fault = fault
        self._let_go(reuse=False)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        self._taker = None
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _let_go(self, *, reuse: bool) -> None:
        connection, self._connection = self._connection, None
        self._protocol.exchange = None
        if connection is None:
            return
        if reuse:
            connection.release()
        else:
            self._protocol.abort()  # `close` would first wait until all of the request is sent
            connection.close()
