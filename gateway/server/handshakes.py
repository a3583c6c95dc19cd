"""From a listening socket to connections that speak TLS: only then is there a request handler for them.

The event loop's own TLS servers have one context for all connections, and tell nobody of those that still
handshake; here each has the context of its moment, and they are counted and bounded.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from gateway.server.tls import HANDSHAKES, SHUTDOWN_TIMEOUT, Tls

if TYPE_CHECKING:
    import socket

    from gateway.server.protocol import GatewayServer

PAUSE: Final = 1.0
"""Seconds without an accept where the process has no descriptor left, as asyncio has it."""


class TlsSite(web.SockSite):
    """aiohttp's listening socket, whose connections handshake first."""

    __slots__ = ("_accepting", "_gateway", "_tls")

    def __init__(self, runner: web.ServerRunner, sock: socket.socket, tls: Tls, *, backlog: int) -> None:
        super().__init__(runner, sock, backlog=backlog)
        self._gateway: GatewayServer = runner.server  # type: ignore[assignment]  # it is ours
        self._tls = tls
        self._accepting: asyncio.Task[None]

    async def start(self) -> None:
        """Accept connections."""
        await web.BaseSite.start(self)
        self._sock.listen(self._backlog)
        self._accepting = asyncio.create_task(self._accept())  # noqa: TID251 - ended by `stop`

    async def stop(self) -> None:
        """Accept no more, and close the socket; handshakes go on."""
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._sock.close()
        await super().stop()

    async def _accept(self) -> None:
        loop, handshakes = asyncio.get_running_loop(), self._gateway.handshakes
        while True:
            try:
                connection, address = await loop.sock_accept(self._sock)
            except OSError as error:
                structlog.get_logger().error("no_accept", reason=error.strerror)
                await asyncio.sleep(PAUSE)
                continue
            while len(handshakes) >= HANDSHAKES:
                longest = next(iter(handshakes))
                del handshakes[longest]
                longest.cancel()
            task = asyncio.create_task(self._shake(connection, address[0]))  # noqa: TID251 - ended by time, or the drain
            handshakes[task] = None
            task.add_done_callback(lambda done: handshakes.pop(done, None))

    async def _shake(self, connection: socket.socket, peer: str) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._gateway,
                connection,
                ssl=self._tls.context,
                ssl_handshake_timeout=self._gateway.bounds.head_timeout,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
            )
        except OSError as error:  # of TLS, of the connection, or of time
            self._tell(error, peer)

    def _tell(self, error: OSError, peer: str) -> None:
        """Say why there is no connection: whose certificate is wrong is hard to find out otherwise."""
        self._gateway.events.drop("TLS handshake")
        reason = type(error).__name__
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", None) or error.reason or reason
        structlog.get_logger().warning("handshake_failed", reason=reason, peer=peer)
