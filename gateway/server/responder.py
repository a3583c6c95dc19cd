"""Writing a stream: peek, commit, one write a batch, exactly one terminal record.

Every stream that has begun receives either a `done` or an `error` record, but not both. Where the caller
has left or does not read, there is nobody to tell: the connection is dropped and the log says so.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, web

from gateway.dialects import native_records
from gateway.errors import UpstreamProtocolError
from gateway.server import writing
from gateway.server.answers import SERVER, UPSTREAM_HEADER
from gateway.server.heartbeat import Heartbeat
from gateway.server.request_id import HEADER

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gateway.domain import Event, Stop, Usage
    from gateway.errors import GatewayError
    from gateway.pipeline import CompletionStream
    from gateway.server.exchange import Exchange
    from gateway.server.formats import Format


class StreamResponder:
    """Streams one answer to the caller.

    The head goes out with the first events, so that what fails before has a true HTTP status; only where
    they let wait for longer than the heartbeat's grace does the head go out before.
    """

    def __init__(self, exchange: Exchange, form: Format) -> None:
        self.response: web.StreamResponse | None = None
        """What has been sent the head of; None before."""
        self._exchange = exchange
        self._form = form
        self._heartbeat: Heartbeat | None = None
        limits = exchange.services.limits
        if limits.heartbeat_interval and form.heartbeat:
            self._heartbeat = Heartbeat(
                self._beat, grace=limits.heartbeat_grace, interval=limits.heartbeat_interval
            )

    def kept_alive(self) -> AbstractContextManager[None]:
        """Return a block in which heartbeats break the silence."""
        return nullcontext() if self._heartbeat is None else self._heartbeat.beating()

    async def relay(self, stream: CompletionStream) -> bytes:
        """Write what the stream brings until it is whole; return its last bytes, which are still to be sent.

        Raises:
            GatewayError: the answer failed; what came before the fault has been written.
            ConnectionError: the caller is gone, or does not read.
        """
        batch = await stream.next_batch()
        data = self._form.encode(
            native_records.start(
                completion_id=stream.id,
                model=stream.model.id,
                provider=stream.model.provider,
                upstream_request_id=stream.upstream_request_id,
            )
        )
        response = await self._commit(stream.upstream_request_id)
        while batch is not None:
            data += _encode(batch, self._form)
            if stream.ended:
                break
            batch = None  # it is bytes now: nobody who reads slowly holds both
            await writing.write(self._exchange, response, data)
            if self._heartbeat is not None:
                self._heartbeat.wrote()
            data = b""
            batch = await stream.next_batch()
        if stream.stop is None:  # the next line raises, and what came before is the caller's
            await writing.write(self._exchange, response, data)
        whole(stream)
        return data

    async def finish(self, stream: CompletionStream, last: bytes) -> web.StreamResponse:
        """Write the end of an answer that is whole; raises as `relay` does."""
        cost = stream.model.cost_usd(stream.usage)
        timing = self._exchange.timing.milliseconds()
        done = native_records.done(whole(stream), stream.usage, timing, cost_usd=cost)
        return await self._end(last + self._form.encode(done))

    async def fail(self, fault: GatewayError, usage: Usage) -> web.StreamResponse:
        """Write the end of an answer that failed after its head.

        Raises:
            ConnectionError: bare text cannot say that it failed, so the transfer breaks behind what is good.
        """
        if self._form.frame is None:
            writing.break_off(self._exchange)
            raise ConnectionAbortedError("the answer failed")
        record = native_records.error(fault, usage, request_id=self._exchange.log.request_id)
        return await self._end(self._form.encode(record))

    async def _end(self, data: bytes) -> web.StreamResponse:
        response = await self._commit(None)
        self._exchange.settled = True
        await writing.end(self._exchange, response, data)
        return response

    async def _beat(self) -> None:
        transport = self._exchange.request.transport
        if self._exchange.settled or transport is None or transport.get_write_buffer_size():
            return  # what waits in the buffer breaks the silence, too, if it is read at all
        response = await self._commit(None)
        await response.write(self._form.heartbeat)

    async def _commit(self, upstream_request_id: str | None) -> web.StreamResponse:
        """Send the head, once."""
        if self.response is not None:
            return self.response
        headers = {
            "Content-Type": self._form.content_type,
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",  # nginx would deliver the stream in one piece (S17)
            HEADER: self._exchange.log.request_id,
            "Server": SERVER,
        }
        if upstream_request_id is not None:
            headers[UPSTREAM_HEADER] = upstream_request_id
        self.response = response = web.StreamResponse(headers=headers)
        if self._exchange.request.version < HttpVersion11:
            response.force_close()  # without chunks only the end of the connection tells the end of the body
        await response.prepare(self._exchange.request)
        self._exchange.log.status = response.status
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
