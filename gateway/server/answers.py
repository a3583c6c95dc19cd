"""Whole HTTP answers: JSON of ours, and errors in the shape of the caller's dialect."""

from __future__ import annotations

from dataclasses import dataclass
from http.client import UNAUTHORIZED
from typing import TYPE_CHECKING, Any, Final

from gateway.dialects import native_records
from gateway.server.head import SERVER, UPSTREAM_REQUEST_ID
from gateway.server.request_id import HEADER
from gateway.wire import json

if TYPE_CHECKING:
    from gateway.dialects.protocol import ErrorShape
    from gateway.errors import GatewayError

CHALLENGE: Final = 'Bearer realm="bedrock-gateway"'
"""Behind every 401 (RFC 9110, 11.6.1)."""


@dataclass(slots=True)
class Answer:
    """An answer that has not been sent."""

    status: int
    headers: dict[str, str]
    body: bytes
    last: bool = False
    """Whether the connection ends behind it."""


def json_response(
    value: Any, request_id: str, *, status: int = 200, upstream_request_id: str | None = None
) -> Answer:
    """Return a JSON answer."""
    return rendered_json(
        json.dumps(value), request_id, status=status, upstream_request_id=upstream_request_id
    )


def rendered_json(
    body: bytes, request_id: str, *, status: int = 200, upstream_request_id: str | None = None
) -> Answer:
    """Return an answer with a body that is JSON already."""
    headers = {HEADER: request_id, "Server": SERVER, "Cache-Control": "no-store"}
    if upstream_request_id is not None:
        headers[UPSTREAM_REQUEST_ID] = upstream_request_id
    headers["Content-Type"] = "application/json"
    return Answer(status, headers, body)


def error_response(
    fault: GatewayError, request_id: str, shape: ErrorShape = native_records.refusal
) -> Answer:
    """Return the HTTP answer for an error that came before the first byte, in a dialect's shape."""
    refusal = shape(fault, request_id)
    response = json_response(
        refusal.value,
        request_id,
        status=refusal.status,
        upstream_request_id=fault.upstream_request_id,
    )
    response.headers.update(refusal.headers)
    if response.status == UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = CHALLENGE
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    return response
