"""Writing to a caller, who may not read: who takes nothing for too long is dropped, who is slow is not.

aiohttp has no write timeout: a write to a caller who takes no byte blocks for ever (reliability.md S11).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11

from gateway.deadline import DeadlinePassed
from gateway.tcp import reset

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aiohttp import web

    from gateway.server.exchange import Exchange


async def write(exchange: Exchange, response: web.StreamResponse, data: bytes) -> None:
    """Send the next bytes of a stream.

    Raises:
        ConnectionError: the caller is gone, or did not read in time.
    """
    if data:
        await _in_time(exchange, response.write(data))


async def end(exchange: Exchange, response: web.StreamResponse, data: bytes) -> None:
    """Send the last bytes of a stream and the end of the transfer; raises as `write` does."""
    await _in_time(exchange, response.write_eof(data))


async def send(exchange: Exchange, response: web.Response) -> None:
    """Send a whole answer; raises as `write` does."""
    exchange.settled = True
    await response.prepare(exchange.request)
    exchange.log.status = response.status
    await _in_time(exchange, response.write_eof())


def break_off(exchange: Exchange) -> None:
    """Make sure that nobody takes an answer which has begun, and failed, for whole. Raise behind this.

    In HTTP/1.1 the missing last chunk tells. Without chunks a close is the end of a good answer, and nginx,
    which speaks HTTP/1.0 unless it is told otherwise, passes it on as one (S17): there only a reset tells.
    """
    request = exchange.request
    transport = request.transport
    if transport is not None and request.version < HttpVersion11:
        reset(transport)


async def _in_time(exchange: Exchange, writing: Awaitable[None]) -> None:
    progress = exchange.progress
    look = progress.start(asyncio.get_running_loop().time())
    try:
        await exchange.deadline.bound(writing, look, progress.look)
    except DeadlinePassed:
        exchange.log.add(detail="the caller did not read")
        transport = exchange.request.transport
        if transport is not None:
            reset(transport)  # a close would wait for the caller to read what is buffered (S11)
        raise ConnectionAbortedError("the caller did not read in time") from None
