"""aiohttp's HTTP server with our own answers to requests that are not HTTP.

aiohttp repeats the offending header line in the body of its 400 and in its log (reliability.md S20); here it
is answered in our own shape, and nothing of it is repeated. The private attributes this file touches are
guarded by `tests/server/test_protocol.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import http_exceptions, web
from aiohttp.web_protocol import _ErrInfo

from gateway.errors import GatewayError, InternalError, InvalidRequest
from gateway.observability.request_log import RequestLog
from gateway.server.answers import error_response
from gateway.server.request_id import new_request_id

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

MALFORMED: tuple[tuple[type[BaseException], str, str], ...] = (
    (http_exceptions.LineTooLong, "The request line or a header is too long.", "headers"),
    (http_exceptions.InvalidURLError, "The request target is malformed.", "path"),
    (http_exceptions.BadHttpMethod, "The method is malformed.", "method"),
    (http_exceptions.BadStatusLine, "The request line is malformed.", "path"),
    (http_exceptions.BadHttpMessage, "A header, or the framing of the body, is malformed.", "headers"),
)
"""What aiohttp's parser raises, our words for it, and the part of the request that they name."""


class GatewayServer(web.Server):
    """Makes our request handler for every connection."""

    def __call__(self) -> GatewayRequestHandler:
        """Return the protocol for a new connection."""
        return GatewayRequestHandler(self, loop=self._loop, **self._kwargs)


class GatewayRequestHandler(web.RequestHandler):
    """One connection."""

    def data_received(self, data: bytes) -> None:
        """Take bytes of the caller; where they break a body that is being read, fail that body at once.

        aiohttp queues the parser's error behind the request, whose body then never ends.
        """
        super().data_received(data)
        request = self._current_request
        if request is not None and self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            body = request.content
            if not body.is_eof() and body.exception() is None:
                body.set_exception(_malformed(self._messages[-1][0].exc))

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that aiohttp could not parse, or whose handler failed outside our own net."""
        del message  # it repeats what the peer sent
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("the answer has begun: close the connection") from exc
        fault = _malformed(exc) if status < 500 else InternalError("The gateway failed.")  # noqa: PLR2004 - 5xx
        log = RequestLog(new_request_id(), "-", "malformed", status=fault.status)
        log.fail(fault)
        log.add(detail=type(exc).__name__ if exc is not None else None)
        log.write()
        response = error_response(fault, log.request_id)
        response.force_close()
        return response


def _malformed(error: BaseException | None) -> GatewayError:
    for kind, words, param in MALFORMED:
        if isinstance(error, kind):
            return InvalidRequest(words, param=param)
    return InvalidRequest("The request is not valid HTTP.", param="request")
