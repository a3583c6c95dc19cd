"""Errors in the shape of Anthropic's API, as an HTTP answer and as the last event of a stream.

Its clients choose an exception by the status, tell the cause by `error.type`, and obey `retry-after` and
`x-should-retry`. Our own code, which says more, is in `error.details.error_code`, where they look for one.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.dialects.protocol import ErrorAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.errors import GatewayError

REQUEST_ID: Final = "request-id"
OVERLOADED: Final = 529
"""Anthropic's status for no capacity; its clients retry it as they do every 5xx."""

_STATUSES: Final[Mapping[int, int]] = MappingProxyType({503: OVERLOADED})
_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        408: "timeout_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        OVERLOADED: "overloaded_error",
    }
)
_FIRST_OF_THE_SERVERS: Final = 500


def refusal(fault: GatewayError, request_id: str) -> ErrorAnswer:
    """Return the answer for a failure that came before the first byte."""
    headers = {REQUEST_ID: request_id, "x-should-retry": "true" if fault.retryable else "false"}
    return ErrorAnswer(_status(fault), problem(fault, request_id), headers)


def problem(fault: GatewayError, request_id: str) -> dict[str, Any]:
    """Return the JSON of an error; in a stream it is the data of the event `error`."""
    status = _status(fault)
    broken = "api_error" if status >= _FIRST_OF_THE_SERVERS else "invalid_request_error"
    error: dict[str, Any] = {
        "type": _TYPES.get(status, broken),
        "message": fault.message,
        "details": {"error_code": fault.code},
    }
    if fault.param is not None:
        error["param"] = fault.param
    return {"type": "error", "error": error, "request_id": request_id}


def _status(fault: GatewayError) -> int:
    return _STATUSES.get(fault.status, fault.status)
