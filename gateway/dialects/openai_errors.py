"""OpenAI's errors: one object with `message`, `type`, `param` and `code`, alike before and in a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.dialects.protocol import ErrorAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.errors import GatewayError

CODES: Final[Mapping[str, str]] = {
    "unknown_model": "model_not_found",
    "upstream_throttled": "rate_limit_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "budget_exhausted": "insufficient_quota",
}
"""Codes that OpenAI's clients ask for by name; every other failure keeps our code for it."""

_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_SERVER: Final = 500


def refusal(fault: GatewayError, request_id: str) -> ErrorAnswer:
    """Return the answer for an error that came before the first byte.

    The SDKs send again what has a status of 408, 409, 429 or 5xx, unless the header says what is better.
    """
    retry = {"x-should-retry": "true" if fault.retryable else "false"}
    return ErrorAnswer(fault.status, {"error": problem(fault, request_id=request_id)}, retry)


def problem(fault: GatewayError, *, request_id: str) -> dict[str, Any]:
    """Return the error object; `request_id` is ours beside OpenAI's four."""
    kind = "server_error" if fault.status >= _SERVER else "invalid_request_error"
    return {
        "message": fault.message,
        "type": _TYPES.get(fault.status, kind),
        "param": fault.param,
        "code": CODES.get(fault.code, fault.code),
        "request_id": request_id,
    }
