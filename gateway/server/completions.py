"""The completion endpoints. Both run the one pipeline; the unary answer folds its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.completion import Completion
from gateway.dialects import native, native_records
from gateway.pipeline import open_completion
from gateway.server.answers import json_response
from gateway.server.body import read_json
from gateway.server.formats import negotiate
from gateway.server.responder import respond, whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from gateway.pipeline import CompletionStream
    from gateway.server.exchange import Exchange

from contextlib import asynccontextmanager


async def stream_completion(exchange: Exchange) -> web.StreamResponse:
    """`POST /chat/completions/stream`."""
    form = negotiate(exchange.request.headers.get("Accept"))
    exchange.log.add(format=form.name)
    async with _completion(exchange) as stream:
        return await respond(exchange, stream, form)


async def create_completion(exchange: Exchange) -> web.StreamResponse:
    """`POST /chat/completions`."""
    async with _completion(exchange) as stream:
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
        cost = stream.model.cost_usd(stream.usage)
        last = native_records.done(stop, stream.usage, exchange.timing.milliseconds(), cost_usd=cost)
    return json_response(
        native_records.completion(first, folded, last),
        exchange.log.request_id,
        upstream_request_id=stream.upstream_request_id,
    )


@asynccontextmanager
async def _completion(exchange: Exchange) -> AsyncIterator[CompletionStream]:
    """Run the pipeline for this exchange, and gather what the log line says of it."""
    services = exchange.services
    request = native.parse(await read_json(exchange), default_model=exchange.services.default_model)
    async with open_completion(
        request, upstream=services.upstream, limiter=services.limiter, timing=exchange.timing
    ) as stream:
        model = stream.model
        exchange.log.add(
            completion_id=stream.id,
            upstream_request_id=stream.upstream_request_id,
            model=model.id,
            provider=model.provider,
            family=model.family,
            operation=model.api,
        )
        try:
            yield stream
        finally:
            _log_answer(exchange, stream)


def _log_answer(exchange: Exchange, stream: CompletionStream) -> None:
    stop = stream.stop
    exchange.log.add(
        **native_records.usage(stream.usage),
        cost_usd=stream.model.cost_usd(stream.usage),
        finish_reason=stop.reason.value if stop is not None else None,
        stop_reason=stop.raw if stop is not None else None,
        unknown_upstream=sorted(stream.unknown) or None,
    )
