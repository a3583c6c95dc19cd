"""Running completions, in whatever dialect: one pipeline; the unary answer folds its stream."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from gateway.completion import Completion
from gateway.dialects import native_records
from gateway.domain import Usage
from gateway.pipeline import OpenCompletion
from gateway.retries.trail import Trail
from gateway.server.failure import failure
from gateway.server.responder import StreamResponder, begun, ended

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from gateway.catalog.model import Model
    from gateway.dialects.protocol import Begun, Ended, StreamEncoder
    from gateway.observability.request_log import RequestLog
    from gateway.pipeline import CompletionStream
    from gateway.server.exchange import Exchange
    from gateway.server.responder import Told
    from gateway.upstream import UpstreamCall


LEFT = (asyncio.CancelledError, ConnectionError)
"""How it is told that nobody is left to answer, or that the exchange has been interrupted."""


class Folded(NamedTuple):
    """A whole answer: what was known at its beginning, what it said, what was known at its end."""

    begun: Begun
    completion: Completion
    ended: Ended


async def stream(
    exchange: Exchange, calls: Sequence[UpstreamCall], encoder: StreamEncoder, told: Told | None = None
) -> None:
    """Stream the answer of the best of these calls in a dialect, to its terminal record.

    `told` makes the headers that only this dialect has.

    Raises:
        GatewayError: the answer failed before its head was sent.
        ConnectionError: the caller is gone, or does not read, or the dialect cannot say that it failed.
    """
    responder = StreamResponder(exchange, encoder, told)
    usage = Usage()
    with responder.kept_alive():
        try:
            async with _Completion(exchange, calls) as answer:
                try:
                    last = await responder.relay(answer)
                finally:
                    usage = answer.usage
            await responder.finish(answer, last)
        except BaseException as error:
            if not responder.begun or exchange.settled:
                raise
            fault = failure(exchange, error)
            exchange.log.fail(fault)
            await responder.fail(fault, usage)


async def fold(exchange: Exchange, calls: Sequence[UpstreamCall]) -> Folded:
    """Return the whole answer of the best of these calls.

    Raises:
        GatewayError: it failed.
    """
    async with _Completion(exchange, calls) as answer:
        folded = Completion()
        while (batch := await answer.next_batch()) is not None:
            for event in batch:
                folded.add(event)
        return Folded(begun(answer), folded, ended(answer, exchange))


class _Completion:
    """The pipeline run for one exchange, and what the log line says of it; a context manager."""

    __slots__ = ("_asked", "_exchange", "_opened", "_stream", "_trail")

    def __init__(self, exchange: Exchange, calls: Sequence[UpstreamCall]) -> None:
        services = exchange.services
        self._asked = calls[0].model
        _log_model(exchange.log, self._asked)
        self._exchange = exchange
        self._trail = Trail()
        self._opened = OpenCompletion(
            calls,
            upstream=services.upstream,
            limiter=services.limiter,
            retries=services.retries,
            timing=exchange.timing,
            expires=exchange.expires,
            allow_fallback=exchange.allows_fallback(),
            trail=self._trail,
            caller=exchange.caller,
        )
        self._stream: CompletionStream

    async def __aenter__(self) -> CompletionStream:
        log = self._exchange.log
        try:
            self._stream = stream = await self._open()
        except asyncio.CancelledError:
            if self._exchange.timing.admitted is not None:  # it may have been sent, and has told nothing
                log.add(usage_accuracy="unknown")
            raise
        finally:
            log.trail = self._trail
            log.add(**self._trail.facts())
            if self._opened.ticket.position is not None:
                log.add(**self._opened.ticket.facts())
        self._log_stream(stream)
        return stream

    def _log_stream(self, stream: CompletionStream) -> None:
        log = self._exchange.log
        if stream.model is not self._asked:
            _log_model(log, stream.model)
        log.add(completion_id=stream.id, upstream_request_id=stream.upstream_request_id)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, LEFT) and self._is_adopted():
            self._exchange.log.hold()
            return
        try:
            await self._opened.__aexit__(kind, error, traceback)
        finally:
            _log_answer(self._exchange, self._stream)

    async def _open(self) -> CompletionStream:
        """Open the answer: where answers are drained, in a task that the caller's leaving does not end."""
        exchange, opened = self._exchange, self._opened
        if not exchange.services.abandoned.max_running:
            return await opened.__aenter__()
        opening = asyncio.ensure_future(opened.__aenter__())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if not self._is_adopted_unopened(opening):
                opening.cancel()
                await asyncio.wait((opening,))
                if _outcome(opening) is not None:  # it came in the very moment
                    await opened.aclose()
            raise

    def _is_adopted_unopened(self, opening: asyncio.Task[CompletionStream]) -> bool:
        """Hand over what has been sent and tells nothing yet; Bedrock bills it all the same (S36)."""
        exchange = self._exchange
        if exchange.interrupted or not (self._trail.in_flight or opening.done()):
            return False
        self._trail.given_up = True
        settle = partial(self._settle_unopened, opening)
        if not exchange.services.abandoned.adopt(opening, self._opened, settle):
            return False
        exchange.log.hold()
        return True

    def _settle_unopened(self, opening: asyncio.Task[CompletionStream]) -> None:
        exchange = self._exchange
        exchange.log.add(**self._trail.facts())
        stream = _outcome(opening)
        if stream is not None:
            self._log_stream(stream)
            _log_answer(exchange, stream)
        exchange.log.let_go()

    def _is_adopted(self) -> bool:
        """Hand the answer over, if it is the caller who has left and others are there to read it on."""
        exchange, stream = self._exchange, self._stream
        settle = partial(_settle, exchange, stream)
        return not exchange.interrupted and exchange.services.abandoned.adopt(stream, self._opened, settle)


def _outcome(opening: asyncio.Task[CompletionStream]) -> CompletionStream | None:
    """Return what an opening that is over gave; None where it failed or was given up."""
    failed = opening.cancelled() or opening.exception() is not None
    return None if failed else opening.result()


def _settle(exchange: Exchange, stream: CompletionStream) -> None:
    """Write the line of a request whose answer has been drained."""
    _log_answer(exchange, stream)
    exchange.log.let_go()


def _log_model(log: RequestLog, model: Model) -> None:
    log.add(model=model.id, provider=model.provider, family=model.family, operation=model.api)


def _log_answer(exchange: Exchange, stream: CompletionStream) -> None:
    stop = stream.stop
    usage, accuracy = stream.accounted()
    unknown = stream.unknown
    exchange.log.add(
        **native_records.usage(usage),
        usage_accuracy=accuracy,
        cost_usd=stream.cost_usd(usage),
        finish_reason=str(stop.reason) if stop is not None else None,
        stop_reason=stop.raw if stop is not None else None,
        unknown_upstream=sorted(unknown) if unknown else None,
    )
