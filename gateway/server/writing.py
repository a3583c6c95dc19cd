"""Writing to a caller, who may not read: who takes nothing for too long is dropped, who is slow is not.

Nothing times out by itself: waiting for a caller who takes no byte would block for ever (reliability.md S11).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.deadline import DeadlinePassed
from gateway.server.head import encode_fields
from gateway.tcp import reset

if TYPE_CHECKING:
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


async def send(exchange: Exchange, answer: Answer) -> None:
    """Send a whole answer.

    Raises:
        ConnectionError: the caller is gone, or did not read in time.
    """
    transfer = exchange.transfer
    exchange.settled = True
    exchange.log.status = answer.status
    transfer.begin(answer.status, encode_fields(answer.headers), length=len(answer.body), last=answer.last)
    transfer.end(answer.body)
    if transfer.blocked:
        await drain(exchange)


async def drain(exchange: Exchange) -> None:
    """Wait for the caller to take what has been written; raises as `send` does."""
    progress = exchange.progress
    look = progress.start(asyncio.get_running_loop().time())
    try:
        await exchange.deadline.bound(exchange.transfer.drain(), look, progress.look)
    except DeadlinePassed:
        exchange.log.add(detail="the caller did not read")
        exchange.services.events.slow_readers += 1
        transport = exchange.transfer.transport
        if transport is not None:
            reset(transport)  # a close would wait for the caller to read what is buffered (S11)
        raise ConnectionAbortedError("the caller did not read in time") from None


def break_off(exchange: Exchange) -> None:
    """Make sure that nobody takes an answer which has begun, and failed, for whole. Raise behind this.

    In HTTP/1.1 the missing last chunk tells. Without chunks a close is the end of a good answer, and nginx,
    which speaks HTTP/1.0 unless it is told otherwise, passes it on as one (S17): there only a reset tells.
    """
    transport = exchange.transfer.transport
    if transport is not None and not exchange.request.speaks_chunks:
        reset(transport)
