"""Writing to a caller, who may not read: every write has a deadline, and who lets it pass is dropped.

aiohttp has no write timeout: a write to a caller who takes no byte blocks for ever (reliability.md S11).
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion11

from gateway.deadline import DeadlinePassed

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aiohttp import web

    from gateway.server.exchange import Exchange

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for no time: closing the socket then resets the connection."""


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
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()


async def _in_time(exchange: Exchange, writing: Awaitable[None]) -> None:
    try:
        await exchange.within(writing, exchange.services.limits.write_timeout)
    except DeadlinePassed:
        exchange.log.add(detail="the caller did not read")
        transport = exchange.request.transport
        if transport is not None:
            transport.abort()  # a close would wait for the caller to read what is buffered (S11)
        raise ConnectionAbortedError("the caller did not read in time") from None
