"""What a failure means to the caller: the one place where exceptions of a handler become errors of ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from gateway.errors import GatewayError, InternalError

if TYPE_CHECKING:
    from gateway.server.exchange import Exchange


def failure(exchange: Exchange, error: BaseException) -> GatewayError:
    """Return what to tell the caller; where there is nobody to tell, raise the error again.

    A cancellation is the fault that interrupted the exchange, or the caller's leaving. What is none of our
    errors is a defect: it is logged, and all that is told of it is that the gateway failed.
    """
    match error:
        case GatewayError():
            return error
        case asyncio.CancelledError():
            fault = exchange.interruption()
            if fault is not None:
                fault.upstream_request_id = exchange.log.fields.get("upstream_request_id")
                return fault
            raise error
        case Exception() if not isinstance(error, ConnectionError):
            structlog.get_logger().error("defect", request_id=exchange.log.request_id, exc_info=error)
            return InternalError("The gateway failed.")
        case _:
            raise error
