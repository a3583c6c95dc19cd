"""Endpoints that are no Bedrock: a connection to one of these comes to nothing."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

LOOPBACK: Final = "127.0.0.1"


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """A port that nobody listens on, and that nobody else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        yield _url(bound)


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """A port whose queue is full: the kernel drops who knocks, as a firewall does."""
    async with AsyncExitStack() as stack:
        full = stack.enter_context(socket.create_server((LOOPBACK, 0), backlog=0))
        for _ in range(4):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)  # noqa: FBT003 - the socket's own API
            knocking.connect_ex(full.getsockname())
        yield _url(full)


@asynccontextmanager
async def hanging_up() -> AsyncIterator[str]:
    """A server that closes every connection at once."""
    async with await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, 0) as server:
        yield _url(server.sockets[0])


@asynccontextmanager
async def babbling() -> AsyncIterator[str]:
    """A server that speaks at once, before it has been asked anything, and no HTTP."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(babble, LOOPBACK, 0) as server:
        yield _url(server.sockets[0])


def _url(listener: socket.socket) -> str:
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}"


ENDPOINTS: Final[dict[str, Callable[[], AbstractAsyncContextManager[str]]]] = {
    endpoint.__name__: endpoint for endpoint in (refusing, black_hole, hanging_up, babbling)
}
