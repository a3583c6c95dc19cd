"""Around every request: its id, its one log line, and the one place where errors become HTTP answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from gateway.errors import GatewayError, InternalError, MethodNotAllowed
from gateway.observability.request_log import RequestLog
from gateway.pipeline import Timing
from gateway.server import routes
from gateway.server.answers import error_response
from gateway.server.exchange import Exchange
from gateway.server.request_id import request_id_of

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.web_request import BaseRequest

    from gateway.server.exchange import Services


class Dispatcher:
    """Answers requests; the handler of the HTTP server."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, request: BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever happens, and write its line.

        Raises:
            ConnectionError: there is nobody left to answer.
        """
        path = request.path
        known = path in routes.ROUTES
        log = RequestLog(request_id_of(request.headers), request.method, path if known else "other")
        exchange = Exchange(request, log, Timing(), self._services)
        try:
            response = await self._answer(exchange)
            log.status = response.status
            if path in routes.QUIET and log.outcome == "ok":
                log.level = "debug"
        except (asyncio.CancelledError, ConnectionError):
            if log.outcome == "ok":
                log.leave("cut" if self._services.readiness.draining else "disconnected")
            raise
        else:
            return response
        finally:
            exchange.deadline.close()
            log.add(**exchange.timing.milliseconds())
            log.write()

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        request, log = exchange.request, exchange.log
        try:
            return await routes.find(request.method, request.path)(exchange)
        except ConnectionError:
            raise
        except GatewayError as error:
            fault = error
        except Exception as error:  # noqa: BLE001 - a defect must still be answered and logged
            structlog.get_logger().error("defect", request_id=log.request_id, exc_info=error)
            fault = InternalError("The gateway failed.")
        if request.writer.output_size > 0:  # a second head inside the body would be worse than no end
            log.fail(fault)
            raise ConnectionAbortedError("the answer has begun: break the transfer")
        log.fail(fault)
        response = error_response(fault, log.request_id)
        if isinstance(fault, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(sorted(routes.ROUTES[request.path]))
        if not request.content.at_eof():
            response.force_close()  # the rest of this body is not the next request
        return response
