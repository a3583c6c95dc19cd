"""Reading a request body: checked before, while and after it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.deadline import DeadlinePassed
from gateway.errors import InvalidRequest, PayloadTooLarge, RequestTimeout, UnsupportedMediaType
from gateway.wire import json

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

    from gateway.server.exchange import Exchange


async def read_json(exchange: Exchange) -> Any:
    """Return the parsed JSON body.

    Raises:
        UnsupportedMediaType: it is not JSON by its content type, or it is compressed.
        PayloadTooLarge: it is larger than `max_body_bytes`, declared or not.
        RequestTimeout: it took longer than `body_timeout`.
        InvalidRequest: it is empty or not JSON within the bounds of `wire.json`.
    """
    request = exchange.request
    _check_headers(request)
    limits = exchange.services.limits
    if (request.content_length or 0) > limits.max_body_bytes:
        raise _too_large(limits.max_body_bytes)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        # aiohttp's low-level server leaves this to us; only now is the body worth its upload (S22)
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        data = await exchange.within(_read(request, limits.max_body_bytes), limits.body_timeout)
    except DeadlinePassed:
        raise RequestTimeout(f"The request body did not arrive within {limits.body_timeout:g} s.") from None
    if not data:
        raise InvalidRequest("The request body is empty; send a JSON object.", param="body")
    try:
        return json.loads(data)
    except InvalidRequest as error:
        error.param = error.param or "body"
        raise


def _check_headers(request: BaseRequest) -> None:
    if request.content_type != "application/json":
        raise UnsupportedMediaType("Send `Content-Type: application/json`.", param="Content-Type")
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType("Send JSON in UTF-8.", param="Content-Type")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without compression.", param="Content-Encoding")


async def _read(request: BaseRequest, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await request.content.readany():
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body is larger than {limit} bytes.", param="body")
