"""One connection's requests, one after the other: what stands in the place of aiohttp's own loop.

aiohttp runs every handler in a task of its own, makes a request and a writer for everybody's needs, and
prepares what comes back: a third of what a request costs here. This loop keeps its duties: one request at a
time and in order, no second one behind an answer that promised none, room in the parser's queue for what
comes, an answer to whatever could not be parsed, the rest of a body that nobody wanted, keep-alive in time,
and an end that `shutdown` and `connection_lost` find. The private attributes that this file and `protocol`
touch are guarded by `tests/server/test_protocol.py`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import http_exceptions, web
from aiohttp.web_protocol import ERROR, _ErrInfo

from gateway.errors import GatewayError, InternalError, InvalidRequest
from gateway.observability.request_log import RequestLog
from gateway.server.answers import error_response
from gateway.server.head import encode_fields
from gateway.server.heartbeat import Heartbeat
from gateway.server.request import Request
from gateway.server.request_id import new_request_id
from gateway.server.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.streams import StreamReader

    from gateway.observability.request_log import Observer
    from gateway.server.drain import Drain
    from gateway.server.tls import PeerCertificate

MALFORMED: tuple[tuple[type[BaseException], str, str], ...] = (
    (http_exceptions.LineTooLong, "The request line or a header is too long.", "headers"),
    (http_exceptions.InvalidURLError, "The request target is malformed.", "path"),
    (http_exceptions.BadHttpMethod, "The method is malformed.", "method"),
    (http_exceptions.BadStatusLine, "The request line is malformed.", "path"),
    (http_exceptions.BadHttpMessage, "A header, or the framing of the body, is malformed.", "headers"),
)
"""What aiohttp's parser raises, our words for it, and the part of the request that they name."""


class RequestLoop(web.RequestHandler):
    """aiohttp's connection, whose requests are `handle`d by whoever writes to a `Transfer`.

    `handle` raises `ConnectionError` where the connection is to end now. `observer` is told of requests that
    it never saw.
    """

    __slots__ = ("_drain", "_handle", "_observer", "heartbeat", "peer")

    def __init__(
        self,
        manager: web.Server,
        *,
        handle: Callable[[Request, Transfer], Awaitable[None]],
        drain: Drain | None,
        observer: Observer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(manager, **kwargs)
        self._handle = handle
        self._drain = drain
        self._observer = observer
        self.heartbeat = Heartbeat(self._loop)
        self.peer: PeerCertificate | None = None

    # ── what a transfer needs ─────────────────────────────────────────────────────────────────────────

    @property
    def draining(self) -> bool:
        """Whether the process is to end, or what the caller has proven by TLS is about to count no more."""
        if self._drain is not None and self._drain.begun:
            return True
        return self.peer is not None and self.peer.retired

    async def drain(self) -> None:
        """Return when more may be written; raises `ConnectionError` where the caller has gone."""
        if self._drain_waiter is not None and self._drain_waiter.cancelled():
            self._drain_waiter = None  # aiohttp keeps it, and it would cancel whoever writes next
        await self._drain_helper()

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Serve requests until the connection ends."""
        try:
            while not self._force_close:
                if not self._messages:
                    await self._next()
                if not await self._serve(*self._messages.popleft()) or self._close or self._force_close:
                    break
                self._keep_alive()
        except BaseException:
            self.force_close()
            raise
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _next(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _keep_alive(self) -> None:
        """Wait so long for the next request; the one timer is armed again when it fires, as aiohttp does."""
        self._next_keepalive_close_time = close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(close_time, self._process_keepalive)

    async def _serve(self, message: Any, body: StreamReader) -> bool:
        """Answer one request and return whether another one may come."""
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused:
            self._resume_reading_if_drained()
        fault = malformed(message.exc) if isinstance(message, _ErrInfo) else None
        request = Request(message if fault is None else ERROR, body)
        transfer = Transfer(request, self)
        self._request_in_progress = True
        self._current_request = request  # type: ignore[assignment]  # what aiohttp calls of it is there
        try:
            await self._answer(request, transfer, fault)
        except ConnectionError:
            return False
        finally:
            self._current_request = None
            self._request_in_progress = False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)
        if not body.is_eof():
            await self._take_the_rest(body)
        task = self._task_handler
        whole = body.is_eof() and not self._upgraded
        return transfer.kept and whole and task is not None and not task.cancelling()

    async def _answer(self, request: Request, transfer: Transfer, fault: GatewayError | None) -> None:
        if fault is not None:
            self._answer_fault(transfer, fault)
            return
        try:
            await self._handle(request, transfer)
        except ConnectionError:
            raise
        except Exception as defect:  # noqa: BLE001 - outside of the net that every handler runs in
            self._answer_fault(transfer, InternalError("The gateway failed."), defect)

    async def _take_the_rest(self, body: StreamReader) -> None:
        """Go on reading a body that nobody wanted, so that its sender sees the answer before a reset."""
        with suppress(Exception):  # that it is malformed, or does not end in time, closes the connection
            async with asyncio.timeout(self._lingering_time):
                while not body.is_eof() and not self._force_close:
                    await body.readany()

    def _answer_fault(self, transfer: Transfer, fault: GatewayError, defect: Exception | None = None) -> None:
        """Answer what never reached our handler, or failed outside its net; the connection ends behind it.

        Raises:
            ConnectionError: there is an answer already, or nobody to answer.
        """
        if transfer.sent:
            raise ConnectionAbortedError("the answer has begun: close the connection")
        route = "malformed" if isinstance(fault, InvalidRequest) else "unread"
        log = RequestLog(new_request_id(), "-", route, status=fault.status)
        log.fail(fault)
        log.add(detail=None if defect is None else type(defect).__name__)
        log.write(self._observer)
        answer = error_response(fault, log.request_id)
        transfer.begin(answer.status, encode_fields(answer.headers), length=len(answer.body), last=True)
        transfer.end(answer.body)


def malformed(error: BaseException) -> GatewayError:
    """Return what is wrong with a request that aiohttp, or one of our bounds, refused."""
    if isinstance(error, GatewayError):
        return error
    for kind, words, param in MALFORMED:
        if isinstance(error, kind):
            return InvalidRequest(words, param=param)
    return InvalidRequest("The request is not valid HTTP.", param="request")
