"""Writing a stream: peek, commit, one write a batch, exactly one terminal record.

Every stream that has begun receives either a `done` or an `error` record, but not both. Where the caller
has left or does not read, there is nobody to tell: the connection is dropped and the log says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from aiohttp import HttpVersion11, web

from gateway.dialects import native_records
from gateway.errors import GatewayError, InternalError, UpstreamProtocolError
from gateway.server import writing
from gateway.server.answers import SERVER, UPSTREAM_HEADER
from gateway.server.request_id import HEADER

if TYPE_CHECKING:
    from gateway.domain import Event, Stop
    from gateway.pipeline import CompletionStream
    from gateway.server.exchange import Exchange
    from gateway.server.formats import Format


async def respond(exchange: Exchange, stream: CompletionStream, form: Format) -> web.StreamResponse:
    """Stream the answer to the caller.

    Raises:
        GatewayError: nothing has been sent yet, so the failure has a true HTTP status.
        ConnectionError: the caller is gone, or bare text failed and the transfer must break.
    """
    batch = await stream.next_batch()
    data = form.encode(
        native_records.start(
            completion_id=stream.id,
            model=stream.model.id,
            provider=stream.model.provider,
            upstream_request_id=stream.upstream_request_id,
        )
    )
    response = await _commit(exchange, stream, form)
    fault: GatewayError | None = None
    try:
        while batch is not None:
            data += _encode(batch, form)
            if stream.ended:
                break
            await writing.write(exchange, response, data)
            data = b""
            batch = await stream.next_batch()
        cost = stream.model.cost_usd(stream.usage)
        timing = exchange.timing.milliseconds()
        data += form.encode(native_records.done(whole(stream), stream.usage, timing, cost_usd=cost))
    except ConnectionError:
        raise
    except GatewayError as error:
        fault = error
    except Exception as error:  # noqa: BLE001 - the law of one terminal record holds for our own defects too
        structlog.get_logger().error("defect", request_id=exchange.log.request_id, exc_info=error)
        fault = InternalError("The gateway failed.")
    if fault is not None:
        exchange.log.fail(fault)
        if form.frame is None:  # bare text cannot say that it failed: break the transfer behind what is good
            await writing.write(exchange, response, data)
            raise ConnectionAbortedError("the answer failed")
        data += form.encode(native_records.error(fault, stream.usage, request_id=exchange.log.request_id))
    await writing.end(exchange, response, data)
    return response


def whole(stream: CompletionStream) -> Stop:
    """Return how a stream that has ended stopped.

    Raises:
        UpstreamProtocolError: it ended without the model's word for it.
    """
    if stream.stop is None:
        raise UpstreamProtocolError("The answer ended without a stop reason.")
    return stream.stop


def _encode(batch: list[Event], form: Format) -> bytes:
    if form.frame is None:
        return b"".join([form.encode_text(event) for event in batch])
    records = [native_records.delta(event) for event in batch]
    return b"".join([form.encode(record) for record in records if record is not None])


async def _commit(exchange: Exchange, stream: CompletionStream, form: Format) -> web.StreamResponse:
    headers = {
        "Content-Type": form.content_type,
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",  # nginx would deliver the stream in one piece (S17)
        HEADER: exchange.log.request_id,
        "Server": SERVER,
    }
    if stream.upstream_request_id is not None:
        headers[UPSTREAM_HEADER] = stream.upstream_request_id
    response = web.StreamResponse(headers=headers)
    if exchange.request.version < HttpVersion11:
        response.force_close()  # without chunks only the end of the connection tells the end of the body
    await response.prepare(exchange.request)
    exchange.log.status = response.status
    return response
