"""Writing a stream: peek, commit, one write a batch, exactly one terminal record.

Every stream that has begun receives its dialect's end of a whole answer or of a failed one, but not both.
Where the caller has left or does not read, there is nobody to tell: the connection is dropped and the log
says so.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.dialects.protocol import Begun, Ended
from gateway.errors import UpstreamProtocolError
from gateway.server import writing
from gateway.server.head import encode_fields, stream_fields

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from gateway.dialects.protocol import StreamEncoder
    from gateway.domain import Event, Stop, Usage
    from gateway.errors import GatewayError
    from gateway.pipeline import CompletionStream
    from gateway.server.exchange import Exchange
    from gateway.server.heartbeat import Heartbeat


Told: TypeAlias = "Callable[[Begun, str], Mapping[str, str]]"
"""What a dialect tells in headers of an answer that has begun; the text is the request's id."""
_OK: Final = 200
_SILENT: Final = nullcontext()
_new = tuple.__new__  # a NamedTuple's own constructor is Python, and takes thrice as long


class StreamResponder:
    """Streams one answer to the caller.

    The head goes out with the first events, so that what fails before has a true HTTP status; only where
    they let wait for longer than the heartbeat's grace does the head go out before.
    """

    __slots__ = ("_encoder", "_exchange", "_heartbeat", "_told", "_transfer", "begun")

    def __init__(self, exchange: Exchange, encoder: StreamEncoder, told: Told | None = None) -> None:
        self.begun = False
        """Whether the head has been sent."""
        self._exchange = exchange
        self._transfer = exchange.transfer
        self._encoder = encoder
        self._told = told
        self._heartbeat: Heartbeat | None = None

    def kept_alive(self) -> AbstractContextManager[None]:
        """Return a block in which heartbeats break the silence."""
        limits = self._exchange.services.limits
        if not limits.heartbeat_interval or not self._encoder.heartbeat:
            return _SILENT
        self._heartbeat = heartbeat = self._transfer.heartbeat
        return heartbeat.beating(self._beat, grace=limits.heartbeat_grace, interval=limits.heartbeat_interval)

    async def relay(self, stream: CompletionStream) -> bytes:
        """Write what the stream brings until it is whole; return its last bytes, which are still to be sent.

        Raises:
            GatewayError: the answer failed; what came before the fault has been written.
            ConnectionError: the caller is gone, or does not read.
        """
        batch = await stream.next_batch()
        beginning = begun(stream)
        data = self._encoder.start(beginning)
        self._commit(beginning)
        while batch is not None:
            data += self._encoder.events(batch)
            if stream.ended:
                break
            batch = None  # it is bytes now: nobody who reads slowly holds both
            await self._write(data)
            data = b""
            await stream.forward(self._deliver)
            if self._transfer.blocked:
                await writing.drain(self._exchange)
            batch = await stream.next_batch()
        if stream.stop is None:  # the next line raises, and what came before is the caller's
            await self._write(data)
        whole(stream)
        return data

    def finish(self, stream: CompletionStream, last: bytes) -> Awaitable[None]:
        """Write the end of an answer that is whole; raises as `relay` does."""
        return self._end(last + self._encoder.done(ended(stream, self._exchange)))

    async def fail(self, fault: GatewayError, usage: Usage) -> None:
        """Write the end of an answer that failed after its head.

        Raises:
            ConnectionError: the dialect has no word for it, so the transfer breaks behind what is good.
        """
        data = self._encoder.error(fault, usage, request_id=self._exchange.log.request_id)
        if data is None:
            writing.break_off(self._exchange)
            raise ConnectionAbortedError("the answer failed")
        await self._end(data)

    def _deliver(self, batch: list[Event]) -> bool:
        """Write a batch where it comes in, and say whether the caller may have more."""
        self._transfer.write(self._encoder.events(batch))
        if self._heartbeat is not None:
            self._heartbeat.wrote()
        return not self._transfer.blocked

    async def _write(self, data: bytes) -> None:
        self._transfer.write(data)
        if self._transfer.blocked:
            await writing.drain(self._exchange)
        if self._heartbeat is not None:
            self._heartbeat.wrote()

    async def _end(self, data: bytes) -> None:
        self._exchange.settled = True
        self._transfer.end(data)
        if self._transfer.blocked:
            await writing.drain(self._exchange)

    def _beat(self) -> None:
        transport = self._transfer.transport
        if self._exchange.settled or transport is None or transport.get_write_buffer_size():
            return  # what waits in the buffer breaks the silence, too, if it is read at all
        self._commit(None)
        self._transfer.write(self._encoder.heartbeat)
        self._exchange.services.events.heartbeats += 1

    def _commit(self, beginning: Begun | None) -> None:
        """Make the head, once; it goes out with what is written next."""
        if self.begun:
            return
        exchange = self._exchange
        request_id, told = exchange.log.request_id, b""
        upstream_request_id = None
        if beginning is not None:
            upstream_request_id = beginning.upstream_request_id
            if self._told is not None:
                told = encode_fields(self._told(beginning, request_id))
        fields = stream_fields(self._encoder.content_type, request_id, upstream_request_id)
        fields += told + exchange.answer_fields
        self._transfer.begin(_OK, fields)
        exchange.log.status = _OK
        self.begun = True


def whole(stream: CompletionStream) -> Stop:
    """Return how a stream that has ended stopped.

    Raises:
        UpstreamProtocolError: it ended without the model's word for it.
    """
    if stream.stop is None:
        raise UpstreamProtocolError("The answer ended without a stop reason.")
    return stream.stop


def begun(stream: CompletionStream) -> Begun:
    """Return what is known of an answer when it begins."""
    model = stream.model
    return _new(
        Begun, (stream.id, model.id, model.provider, stream.upstream_request_id, stream.upstream_headers)
    )


def ended(stream: CompletionStream, exchange: Exchange) -> Ended:
    """Return what is known of an answer that has ended just now; raises as `whole` does."""
    usage = stream.usage
    return _new(Ended, (whole(stream), usage, exchange.timing.milliseconds, stream.cost_usd(usage)))
