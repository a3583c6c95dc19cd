"""Around every request: its id, its one log line, and the one place where errors become HTTP answers."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from gateway.errors import GatewayError, InvalidRequest, MethodNotAllowed
from gateway.observability.request_log import RequestLog
from gateway.server import routes, writing
from gateway.server.answers import error_response
from gateway.server.exchange import DEADLINE_HEADER, Exchange
from gateway.server.failure import failure
from gateway.server.request_id import request_id_of
from gateway.timing import Timing

if TYPE_CHECKING:
    from gateway.server.answers import Answer
    from gateway.server.exchange import Services
    from gateway.server.request import Request
    from gateway.server.transfer import Transfer


_MILLISECONDS = re.compile(r"[0-9]{1,8}", re.ASCII)
_DAY_MS = 86_400_000


class Dispatcher:
    """Answers requests; the handler of the HTTP server."""

    services: Services
    """For the requests that are to come; each keeps those that it began with."""

    def __init__(self, services: Services | None = None) -> None:
        if services is not None:
            self.services = services
        self.exchanges: set[Exchange] = set()
        """Those being answered at this moment."""
        self.cutting = False
        """Whether whoever is left is left because the process ends."""

    async def __call__(self, request: Request, transfer: Transfer) -> None:
        """Answer one request, whatever happens, and write its line.

        Raises:
            ConnectionError: there is nobody left to answer.
        """
        route, parameters = routes.find(request)
        log = RequestLog(request_id_of(request.headers), request.method, route.template)
        task = asyncio.current_task()
        assert task is not None, "a handler runs in a task"  # noqa: S101 - for the type checker
        exchange = Exchange(request, transfer, log, Timing(), self.services, task, route, parameters)
        self.exchanges.add(exchange)
        try:
            await self._answer(exchange)
            if route.template in routes.QUIET and log.outcome == "ok":
                log.level = "debug"
        except (asyncio.CancelledError, ConnectionError):
            if log.outcome == "ok":
                log.leave("cut" if self.cutting else "disconnected")
            raise
        finally:
            self.exchanges.discard(exchange)
            exchange.close()
            if log.outcome != "ok":
                log.fields.setdefault("phase", exchange.timing.phase)
            log.add(**exchange.timing.milliseconds())
            log.write(exchange.services.observer, exchange.timing)

    async def _answer(self, exchange: Exchange) -> None:
        request, log = exchange.request, exchange.log
        try:
            if (patience := exchange.header(DEADLINE_HEADER)) is not None:
                exchange.expire_in(_milliseconds(patience))
            callers = exchange.services.callers
            if callers is not None and exchange.route.template not in routes.OPEN:
                exchange.caller = callers.identify(request.headers, exchange.transfer.peer)
                log.add(caller=exchange.caller.name)
            answer = await exchange.route.handler(request.method)(exchange)
        except BaseException as error:  # noqa: BLE001 - `failure` raises what is not to be answered
            fault = failure(exchange, error)
            log.fail(fault)
            if exchange.transfer.sent:  # a second head inside the body would be worse than no end
                writing.break_off(exchange)
                raise ConnectionAbortedError("the answer has begun: break the transfer") from None
            answer = _refusal(exchange, fault)
        if answer is not None:
            await writing.send(exchange, answer)


def _refusal(exchange: Exchange, fault: GatewayError) -> Answer:
    request = exchange.request
    response = error_response(fault, exchange.log.request_id, routes.shape_of(request))
    if isinstance(fault, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(exchange.route.methods))
    if not request.content.at_eof():
        response.last = True  # the rest of this body is not the next request
    return response


def _milliseconds(text: str) -> int:
    if not _MILLISECONDS.fullmatch(text) or not 1 <= int(text) <= _DAY_MS:
        raise InvalidRequest(
            f"{DEADLINE_HEADER} is a whole number of milliseconds from 1 to {_DAY_MS}.", param=DEADLINE_HEADER
        )
    return int(text)
