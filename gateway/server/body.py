"""Reading a request body: checked before, while and after it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.deadline import DeadlinePassed
from gateway.dialects import bedrock_headers
from gateway.dialects.bedrock_headers import BEGINNING, TAKEN
from gateway.errors import (
    ExpectationFailed,
    InvalidRequest,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)
from gateway.wire import json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.server.exchange import Exchange
    from gateway.server.request import Request


async def read_json(exchange: Exchange, *, taken: Mapping[str, str] = TAKEN) -> Any:
    """Return the parsed JSON body; `taken` and what is raised are those of `read_json_bytes`."""
    return (await read_json_bytes(exchange, taken=taken))[1]


async def read_json_bytes(
    exchange: Exchange, *, typed: bool = True, taken: Mapping[str, str] = TAKEN
) -> tuple[bytes, Any]:
    """Return the JSON body as it came, and parsed.

    `typed`: its content type must be told. `taken`: the headers of AWS's that may go with it, by their names
    in lower case.

    Raises:
        UnsupportedMediaType: it is not JSON by its content type, or it is compressed.
        PayloadTooLarge: it is larger than `max_body_bytes`, declared or not.
        ExpectationFailed: the caller expects something other than `100-continue`.
        Overloaded: there is no room for it beside the bodies that others have sent.
        RequestTimeout: it took longer than `body_timeout`.
        InvalidRequest: it is empty or not JSON within the bounds of `wire.json`, or a header of AWS's
            goes with it that is not taken, or comes twice.
    """
    request = exchange.request
    _check_headers(request, typed=typed)
    # no loop over names for those who send none
    request.speaks_of_aws = spoken = BEGINNING in "\n".join(request.headers).lower()
    if spoken:
        bedrock_headers.check(request.headers, taken)
    limits = exchange.services.limits
    announced = request.content_length
    if announced > limits.max_body_bytes:
        raise _too_large(limits.max_body_bytes)
    exchange.services.bodies.check(announced)
    if _waits_for_continue(request) and (transport := exchange.transfer.transport) is not None:
        # aiohttp's low-level server leaves this to us; only now is the body worth its upload (S22)
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if request.content.is_eof():  # as most bodies it has come with its head: nothing is waited for
        data = _take(exchange, request.content.read_nowait())
    else:
        data = await _arrival(exchange)
    if not data:
        raise InvalidRequest("The request body is empty; send a JSON object.", param="body")
    try:
        return data, json.loads(data)
    except InvalidRequest as error:
        error.param = error.param or "body"
        raise


def _check_headers(request: Request, *, typed: bool) -> None:
    media_type, charset = request.media_type
    # A browser need not ask before it sends a page's request without a type: such a one is not served.
    untyped = not typed and "Content-Type" not in request.headers and "Origin" not in request.headers
    if media_type != "application/json" and not untyped:
        raise UnsupportedMediaType("Send `Content-Type: application/json`.", param="Content-Type")
    if (charset or "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType("Send JSON in UTF-8.", param="Content-Type")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without compression.", param="Content-Encoding")


def _waits_for_continue(request: Request) -> bool:
    expectation = request.headers.get("Expect")
    if expectation is None or not request.speaks_chunks:  # which may not be told to continue (RFC 9110)
        return False
    if expectation.strip().lower() != "100-continue":
        raise ExpectationFailed("The only expectation met here is `100-continue`.", param="Expect")
    return True


async def _arrival(exchange: Exchange) -> bytes:
    seconds = exchange.services.limits.body_timeout
    try:
        return await exchange.within(_read(exchange), seconds)
    except DeadlinePassed:
        raise RequestTimeout(f"The request body did not arrive within {seconds:g} s.") from None


async def _read(exchange: Exchange) -> bytes:
    pieces: list[bytes] = []
    while piece := await exchange.request.content.readany():
        pieces.append(_take(exchange, piece))
    return b"".join(pieces)


def _take(exchange: Exchange, piece: bytes) -> bytes:
    limit = exchange.services.limits.max_body_bytes
    exchange.services.bodies.take(len(piece))
    exchange.held_bytes += len(piece)
    if exchange.held_bytes > limit:
        raise _too_large(limit)
    return piece


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body is larger than {limit} bytes.", param="body")
