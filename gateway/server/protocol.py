"""aiohttp's HTTP server, with bounds on what a connection may do before, between and behind its requests.

aiohttp repeats the offending header line in the body of its 400 and in its log (reliability.md S20); here it
is answered in our own shape, and nothing of it is repeated. It waits for a head as long as for a next request
(S21); here a head has its own time. And it stops reading where a caller sends more than the running handler
takes, so that it never sees that caller leave (S9); here such a connection is dropped. The private attributes
this file touches are guarded by `tests/server/test_protocol.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from gateway.errors import Overloaded, RequestTimeout
from gateway.observability.events import Events
from gateway.server import framing, routes
from gateway.server.connections import Connections
from gateway.server.request_loop import RequestLoop, malformed
from gateway.server.tls import PeerCertificate
from gateway.tcp import read_in_pieces, reset

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from aiohttp.http_parser import RawRequestMessage

    from gateway.errors import GatewayError
    from gateway.observability.request_log import Observer
    from gateway.server.drain import Drain
    from gateway.server.request import Request
    from gateway.server.transfer import Transfer

MAX_PIPELINED: Final = 8
"""Requests that may wait behind an unanswered one. At 32 aiohttp stops reading (S9); no client of ours
pipelines at all."""
WRITE_BUFFER: Final = 16 * 1024
"""Bytes of an answer that may wait for a caller in the process; aiohttp adds 64 KiB and a batch (R8)."""
SURPLUS_HEAD_TIMEOUT: Final = 2.0
"""Seconds for the head of a connection beyond the cap."""
RETRY_AFTER: Final = 1
"""Seconds after which a connection may be free: they come and go within one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionBounds:
    """How many connections there may be, and how many seconds a head may take."""

    max_connections: int = 2_000
    head_timeout: float = 10.0


class GatewayServer(web.Server):
    """Makes our request handler for every connection, and counts them."""

    def __init__(
        self,
        handle: Callable[[Request, Transfer], Awaitable[None]],
        *,
        bounds: ConnectionBounds | None = None,
        drain: Drain | None = None,
        events: Events | None = None,
        observer: Observer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(handle, **kwargs)  # type: ignore[arg-type]  # called by our own loop only
        self._handle = handle
        self._drain = drain
        self._observer = observer
        self.events = events or Events()
        self.bounds = bounds or ConnectionBounds()
        self.counted = Connections(self.bounds.max_connections)
        self.handshakes: dict[asyncio.Task[None], None] = {}

    def __call__(self) -> GatewayRequestHandler:
        """Return the protocol for a new connection."""
        ours: dict[str, Any] = {"handle": self._handle, "drain": self._drain, "observer": self._observer}
        return GatewayRequestHandler(self, loop=self._loop, **ours, **self._kwargs)

    def close_idle(self) -> None:
        """Close the connections on which nothing has come, or nothing since the last answer."""
        for connection in self.connections:
            if isinstance(connection, GatewayRequestHandler):
                connection.close_idle()

    def unsent(self) -> int:
        """Return to how many callers bytes are still to be sent."""
        return sum(transport.get_write_buffer_size() > 0 for transport in self._connections.values())


class GatewayRequestHandler(RequestLoop):
    """One connection."""

    __slots__ = ("_chunks", "_gateway", "_head_received", "_head_timer", "_within")

    def __init__(self, manager: GatewayServer, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._gateway = manager
        self._within = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_received = 0
        self._chunks: framing.Chunks | None = None

    # ── beginning and end ─────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # over TCP it is
        """Let the connection in; its first head is waited for from now on."""
        super().connection_made(transport)
        self.peer = PeerCertificate.of(transport)
        transport.set_write_buffer_limits(WRITE_BUFFER)
        read_in_pieces(transport)
        self._within = self._gateway.counted.add(self)
        seconds = self._gateway.bounds.head_timeout
        self._wait_for_head(seconds if self._within else min(seconds, SURPLUS_HEAD_TIMEOUT))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count the connection out."""
        if self._manager is not None:  # aiohttp allows for being told twice
            self._gateway.counted.remove(within=self._within, connection=self)
            self._stop_waiting()
            self.heartbeat.close()
        super().connection_lost(exc)

    def turn_away(self) -> None:
        """Close a connection beyond the cap to make room for another one beyond it."""
        if self._idle():
            self._refuse(self._too_many())
        else:
            self._drop("too many connections")

    def close_idle(self) -> None:
        """Close the connection if nothing is under way on it, not even a part of a head."""
        if self._idle() and not self._head_received:
            self.force_close()

    # ── what the caller sends ─────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Take bytes of the caller, and look at what they complete, and at what they do not."""
        known = len(self._messages)
        if not known and self._idle() and not self._head_received:
            self._receive_first(data)
            return
        in_head = self._in_head()
        chunks = None if self._chunks is None or self._chunks.complete else self._chunks
        super().data_received(data)
        if len(self._messages) > known:
            self._check_heads(known, len(data) if in_head else 0)
        elif in_head:
            self._check_part_of_head(data)
        elif chunks is not None:
            chunks.receive(len(data))
            if chunks.wasteful:
                self._fail_body(framing.bad_chunks())
        if self._messages:
            self._check_queue()

    def _receive_first(self, data: bytes) -> None:
        """Take what comes to an idle connection: most often one whole request, with little to look at."""
        super().data_received(data)
        if len(self._messages) == 1:
            message, body = self._messages[0]
            small = len(data) <= framing.MAX_HEAD and self._within
            if small and not isinstance(message, _ErrInfo) and not message.chunked:
                self._stop_waiting()
                self._chunks = None
                fault = framing.problem(message)
                if fault is not None:
                    self._messages[0] = (_told(fault), body)
                return
        if self._messages:
            self._check_heads(0, len(data))
            self._check_queue()
        else:
            self._check_part_of_head(data)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's own signature
        """Read on; aiohttp asks for it behind each piece of a body, and its parser looks for more then."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _check_queue(self) -> None:
        """Look at what waits behind a running request: it may keep the caller's leaving unseen."""
        last, _ = self._messages[-1]
        request = self._current_request
        if request is not None and isinstance(last, _ErrInfo) and not request.content.is_eof():
            # aiohttp queues the parser's error behind the request, whose body then never ends
            self._fail_body(malformed(last.exc))
        if len(self._messages) > MAX_PIPELINED:
            self._drop("requests behind an unanswered one")
        elif self._reading_paused and len(self._messages) + (request is not None) > 1:
            self._drop("a large body behind an unanswered request")

    def _check_heads(self, known: int, received: int) -> None:
        """Look at the requests whose heads are complete now; `received` is 0 where other bytes came too."""
        self._stop_waiting()
        received += self._head_received
        self._head_received = 0
        new = [(message, body) for message, body in islice(self._messages, known, None)]
        heads = [(message, body) for message, body in new if not isinstance(message, _ErrInfo)]
        chunked = any(message.chunked for message, _ in heads)
        bad_chunks = chunked and received > 0 and framing.wasteful(received, heads)
        for place, (message, body) in enumerate(new, known):
            if isinstance(message, _ErrInfo):
                continue
            fault = framing.problem(message) or self._beyond(message, received)
            if fault is not None or bad_chunks:
                self._messages[place] = (_told(fault or framing.bad_chunks()), body)
            elif not self._within:
                self._messages[place] = (message._replace(should_close=True), body)
        self._chunks = framing.Chunks(heads[-1][1]) if chunked else None

    def _beyond(self, message: RawRequestMessage, received: int) -> GatewayError | None:
        """Return which bound a request is beyond."""
        if not 0 < received <= framing.MAX_HEAD and framing.head_size(message) > framing.MAX_HEAD:
            return framing.too_large()
        if not self._within and message.url.path not in routes.QUIET:
            return self._too_many()
        return None

    def _check_part_of_head(self, data: bytes) -> None:
        if not data.strip(b"\r\n") and not self._head_received:
            return  # some clients send an empty line behind a body
        self._head_received += len(data)
        if self._idle():
            if self._head_received > framing.MAX_HEAD:
                self._refuse(framing.too_large())
            elif self._head_timer is None:
                self._wait_for_head(self._gateway.bounds.head_timeout)
        elif self._head_received > framing.MAX_HEAD:
            self._drop("a head behind an unanswered request")

    def _in_head(self) -> bool:
        """Whether the next byte belongs to a head."""
        if self._messages:
            return self._messages[-1][1].is_eof()
        current = self._current_request
        return self._idle() if current is None else current.content.is_eof()

    def _idle(self) -> bool:
        """Whether the connection waits for a request."""
        return self._waiter is not None and not self._waiter.done()

    # ── what becomes of the caller ────────────────────────────────────────────────────────────────────

    def _wait_for_head(self, seconds: float) -> None:
        self._head_timer = self._loop.call_later(seconds, self._head_is_late)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._idle():
            return
        if self._within:
            seconds = self._gateway.bounds.head_timeout
            self._refuse(RequestTimeout(f"The head of a request did not arrive within {seconds:g} s."))
        else:
            self._refuse(self._too_many())

    def _refuse(self, fault: GatewayError) -> None:
        """Answer an idle connection as if it had asked, and close it."""
        waiter = self._waiter
        assert waiter is not None, "only an idle connection can be told"  # noqa: S101 - for the type checker
        self._messages.append((_told(fault), EMPTY_PAYLOAD))
        waiter.set_result(None)

    def _fail_body(self, fault: GatewayError) -> None:
        request = self._current_request
        if request is not None and request.content.exception() is None:
            request.content.set_exception(fault)

    def _drop(self, reason: str) -> None:
        if self.transport is not None and not self.transport.is_closing():
            structlog.get_logger().warning("connection dropped", reason=reason)
            self._gateway.events.drop(reason)
            reset(self.transport)

    def _too_many(self) -> Overloaded:
        return Overloaded(
            f"All {self._gateway.counted.limit} connections are in use.", retry_after=RETRY_AFTER
        )


def _told(fault: GatewayError) -> _ErrInfo:
    """Return what makes aiohttp ask `handle_error` for the answer."""
    return _ErrInfo(status=400, exc=fault, message="")
