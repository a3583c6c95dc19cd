"""Whole HTTP answers: JSON of ours, and errors in their one shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.dialects import native_records
from gateway.server.head import SERVER, UPSTREAM_REQUEST_ID
from gateway.server.request_id import HEADER
from gateway.wire import json

if TYPE_CHECKING:
    from gateway.errors import GatewayError


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


def error_response(fault: GatewayError, request_id: str) -> Answer:
    """Return the HTTP answer for an error that came before the first byte."""
    problem = native_records.problem(fault, request_id=request_id)
    response = json_response(
        {"error": problem},
        request_id,
        status=fault.status,
        upstream_request_id=fault.upstream_request_id,
    )
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    return response
