"""The completion endpoints. Both run the one pipeline; the unary answer folds its stream."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from gateway.completion import Completion
from gateway.dialects import native, native_records
from gateway.domain import Usage
from gateway.errors import InvalidRequest
from gateway.pipeline import OpenCompletion
from gateway.retries.trail import Trail
from gateway.server.answers import json_response
from gateway.server.body import read_json
from gateway.server.failure import failure
from gateway.server.formats import negotiate
from gateway.server.responder import StreamResponder, whole

if TYPE_CHECKING:
    from types import TracebackType

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest
    from gateway.observability.request_log import RequestLog
    from gateway.pipeline import CompletionStream
    from gateway.server.answers import Answer
    from gateway.server.exchange import Exchange


LEFT = (asyncio.CancelledError, ConnectionError)
"""How it is told that nobody is left to answer, or that the exchange has been interrupted."""


async def stream_completion(exchange: Exchange) -> None:
    """`POST /chat/completions/stream`."""
    form = negotiate(", ".join(exchange.request.headers.getall("Accept", ())))
    exchange.log.add(format=form.name)
    request = native.parse(await read_json(exchange), default_model=exchange.services.default_model)
    if form.frame is None and request.tools:
        raise InvalidRequest("Bare text has no room for tool calls: accept another format.", param="tools")
    responder = StreamResponder(exchange, form)
    usage = Usage()
    with responder.kept_alive():
        try:
            async with _Completion(exchange, request) as stream:
                try:
                    last = await responder.relay(stream)
                finally:
                    usage = stream.usage
            await responder.finish(stream, last)
        except BaseException as error:
            if not responder.begun or exchange.settled:
                raise
            fault = failure(exchange, error)
            exchange.log.fail(fault)
            await responder.fail(fault, usage)


async def create_completion(exchange: Exchange) -> Answer:
    """`POST /chat/completions`."""
    request = native.parse(await read_json(exchange), default_model=exchange.services.default_model)
    async with _Completion(exchange, request) as stream:
        folded = Completion()
        while (batch := await stream.next_batch()) is not None:
            for event in batch:
                folded.add(event)
        stop = whole(stream)
        first = native_records.start(
            completion_id=stream.id,
            model=stream.model.id,
            provider=stream.model.provider,
            upstream_request_id=stream.upstream_request_id,
        )
        cost = stream.cost_usd(stream.usage)
        last = native_records.done(stop, stream.usage, exchange.timing.milliseconds(), cost_usd=cost)
    return json_response(
        native_records.completion(first, folded, last),
        exchange.log.request_id,
        upstream_request_id=stream.upstream_request_id,
    )


class _Completion:
    """The pipeline run for one exchange, and what the log line says of it; a context manager."""

    __slots__ = ("_asked", "_exchange", "_opened", "_stream", "_trail")

    def __init__(self, exchange: Exchange, request: CompletionRequest) -> None:
        services = exchange.services
        calls = services.upstream.format(request)
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
        )
        self._stream: CompletionStream

    async def __aenter__(self) -> CompletionStream:
        log = self._exchange.log
        try:
            self._stream = stream = await self._opened.__aenter__()
        except asyncio.CancelledError:
            if self._exchange.timing.admitted is not None:  # it may have been sent, and has told nothing
                log.add(usage_accuracy="unknown")
            raise
        finally:
            log.trail = self._trail
            log.add(**self._trail.facts())
        if stream.model is not self._asked:
            _log_model(log, stream.model)
        log.add(completion_id=stream.id, upstream_request_id=stream.upstream_request_id)
        return stream

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

    def _is_adopted(self) -> bool:
        """Hand the answer over, if it is the caller who has left and others are there to read it on."""
        exchange, stream = self._exchange, self._stream
        settle = partial(_settle, exchange, stream)
        return not exchange.interrupted and exchange.services.abandoned.adopt(stream, self._opened, settle)


def _settle(exchange: Exchange, stream: CompletionStream) -> None:
    """Write the line of a request whose answer has been drained."""
    _log_answer(exchange, stream)
    exchange.log.let_go()


def _log_model(log: RequestLog, model: Model) -> None:
    log.add(model=model.id, provider=model.provider, family=model.family, operation=model.api)


def _log_answer(exchange: Exchange, stream: CompletionStream) -> None:
    stop = stream.stop
    usage, accuracy = stream.accounted()
    exchange.log.add(
        **native_records.usage(usage),
        usage_accuracy=accuracy,
        cost_usd=stream.cost_usd(usage),
        finish_reason=stop.reason.value if stop is not None else None,
        stop_reason=stop.raw if stop is not None else None,
        unknown_upstream=sorted(stream.unknown) or None,
    )
