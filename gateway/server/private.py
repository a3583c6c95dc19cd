"""The private port: what operators read and callers must not (reliability.md R60).

It is aiohttp's plain server, with none of the bounds that the callers' port has: whoever reaches a private
address is trusted to be one of us.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web

from gateway.server.head import SERVER

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Sequence

    from aiohttp.web_request import BaseRequest

PATH: Final = "/metrics"
SHUTDOWN_TIMEOUT: Final = 0.25
"""Seconds for a scrape that is under way at the end."""


class Scraped(Protocol):
    """What is read there."""

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in the form that `Accept` asks for, and its content type."""


@asynccontextmanager
async def serving(sockets: Sequence[socket.socket], scraped: Scraped) -> AsyncIterator[None]:
    """Answer `GET /metrics` on these sockets for as long as the block runs; they are closed with it."""

    async def answer(request: BaseRequest) -> web.StreamResponse:
        if request.path != PATH:
            return _told(404, "There is nothing at this path: metrics are at /metrics.")
        if request.method not in {"GET", "HEAD"}:
            return _told(405, "This path takes GET only.", Allow="GET, HEAD")
        body, content_type = await scraped.scrape(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type, "Server": SERVER})

    server = web.Server(answer, handler_cancellation=True, access_log=None, auto_decompress=False)
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        for one in sockets:
            await web.SockSite(runner, one).start()
        yield
    finally:
        await runner.cleanup()


def _told(status: int, words: str, **headers: str) -> web.Response:
    return web.Response(status=status, text=words + "\n", headers={"Server": SERVER, **headers})
