"""The straight line of a request: format → invoke-stream → extract → chunk.

The slot and the upstream connection live exactly as long as the `async with` of `open_completion`; whatever
ends it (the last event, a fault, the caller's leaving) gives both back.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from gateway.domain import Stop, Usage
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from collections.abc import Set as AbstractSet

    from gateway.admission.queue import ConcurrencyLimiter
    from gateway.domain import CompletionRequest, Event
    from gateway.upstream import Upstream, UpstreamAnswer, UpstreamCall


@dataclass(slots=True)
class Timing:
    """Where the time went, in monotonic seconds; the properties are milliseconds."""

    started: float = field(default_factory=time.monotonic)
    admitted: float | None = None
    first_byte: float | None = None

    def mark_admitted(self) -> None:
        """The slot has been taken."""
        self.admitted = time.monotonic()

    def mark_first_byte(self) -> None:
        """The first bytes of the answer's body have been read."""
        self.first_byte = time.monotonic()

    def milliseconds(self) -> dict[str, float | None]:
        """Queue, first byte and total so far, in ms since the request came in; None: it never happened."""
        return {
            "queue_ms": self._since_start(self.admitted),
            "first_byte_ms": self._since_start(self.first_byte),
            "total_ms": self._since_start(time.monotonic()),
        }

    def _since_start(self, moment: float | None) -> float | None:
        return None if moment is None else round((moment - self.started) * 1000, 3)


class CompletionStream:
    """One answer being streamed: batches of events, then nothing, or a `GatewayError`.

    A batch is what one network read brought; it is never held back to wait for more. Invariant:
    `next_batch` returns None only after the model's own terminal event and the end of the body.
    """

    def __init__(self, call: UpstreamCall, answer: UpstreamAnswer, timing: Timing) -> None:
        self.id = f"cmpl_{uuid4().hex}"
        self.model = call.model
        self.upstream_request_id = answer.request_id
        self.usage = Usage()
        self.stop: Stop | None = None
        self._answer = answer
        self._timing = timing
        self._fault: GatewayError | None = None
        self._ended = False

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of things upstream sent that this gateway does not know."""
        return self._answer.reader.unknown

    async def next_batch(self) -> list[Event] | None:
        """Return the next events, or None when the answer is whole.

        Raises:
            GatewayError: the answer failed. Events that came before the fault have been returned before.
        """
        while True:
            if self._fault is not None:
                raise self._fault
            if self._ended:
                return None
            events: list[Event] = []
            try:
                await self._extract(events)
            except GatewayError as fault:
                fault.upstream_request_id = fault.upstream_request_id or self.upstream_request_id
                self._fault = fault
            if events:
                self._account(events)
                return events

    async def _extract(self, events: list[Event]) -> None:
        data = await self._answer.read()
        if not data:
            self._answer.reader.close(events)
            self._ended = True
        else:
            if self._timing.first_byte is None:
                self._timing.mark_first_byte()
            self._answer.reader.feed(data, events)

    def _account(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is Usage:
                self.usage = self.usage.merge(event)
            elif type(event) is Stop:
                self.stop = event


@asynccontextmanager
async def open_completion(
    request: CompletionRequest, *, upstream: Upstream, limiter: ConcurrencyLimiter, timing: Timing
) -> AsyncIterator[CompletionStream]:
    """Run a request up to its first byte and yield the stream of its answer.

    Raises:
        GatewayError: the request could not be formatted, admitted or sent.
    """
    call = upstream.format(request)
    await limiter.acquire()
    with limiter.held():
        timing.mark_admitted()
        async with upstream.invoke_stream(call) as answer:
            yield CompletionStream(call, answer, timing)
