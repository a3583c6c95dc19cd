"""Whole HTTP answers: JSON of ours, and errors in their one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway.dialects import native_records
from gateway.server.request_id import HEADER
from gateway.wire import json

if TYPE_CHECKING:
    from gateway.errors import GatewayError

SERVER = "bedrock-gateway"
UPSTREAM_HEADER = "X-Upstream-Request-Id"


def json_response(
    value: Any, request_id: str, *, status: int = 200, upstream_request_id: str | None = None
) -> web.Response:
    """Return a JSON answer."""
    headers = {HEADER: request_id, "Server": SERVER, "Cache-Control": "no-store"}
    if upstream_request_id is not None:
        headers[UPSTREAM_HEADER] = upstream_request_id
    return web.Response(
        body=json.dumps(value), status=status, headers=headers, content_type="application/json"
    )


def error_response(fault: GatewayError, request_id: str) -> web.Response:
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
