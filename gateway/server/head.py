"""The head of an answer as bytes. What is the same in every head is encoded once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache, lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from gateway.server.request_id import HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import HttpVersion

UPSTREAM_REQUEST_ID: Final = "X-Upstream-Request-Id"
SERVER: Final = "bedrock-gateway"
_UPSTREAM: Final = UPSTREAM_REQUEST_ID.encode()
_REGISTERED: Final = frozenset(HTTPStatus)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def encode_value(value: str) -> bytes:
    """Return the value of a header as it goes over the wire.

    Raises:
        ValueError: it would end the header: what follows would be read as another one.
    """
    if not value.isprintable() and _CONTROL.search(value) is not None:  # both together take half
        raise ValueError("a control character in the value of a header")
    return value.encode("utf-8", "surrogateescape")


def encode_fields(headers: Mapping[str, str]) -> bytes:
    """Return header lines; raises as `encode_value` does."""
    if not "".join(headers.values()).isprintable():
        for value in headers.values():
            encode_value(value)
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return fields.encode("utf-8", "surrogateescape")


def stream_fields(content_type: str, request_id: str, upstream_request_id: str | None) -> bytes:
    """Return the header lines of a stream; raises as `encode_value` does."""
    before, behind = _stream_constants(content_type)
    fields = before + encode_value(request_id) + behind
    if upstream_request_id is not None:
        fields += b"%b: %b\r\n" % (_UPSTREAM, encode_value(upstream_request_id))
    return fields


@cache  # of the formats of a stream, which are few
def _stream_constants(content_type: str) -> tuple[bytes, bytes]:
    fields = encode_fields(
        {
            "Content-Type": content_type,
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",  # nginx would deliver the stream in one piece (S17)
        }
    )
    return fields + f"{HEADER}: ".encode(), b"\r\n" + encode_fields({"Server": SERVER})


@lru_cache(maxsize=64)
def status_line(version: HttpVersion, status: int) -> bytes:
    """Return the first line of an answer."""
    phrase = HTTPStatus(status).phrase if status in _REGISTERED else "Overloaded"  # Anthropic's own 529
    return f"HTTP/{version.major}.{version.minor} {status} {phrase}\r\n".encode()


@lru_cache(maxsize=1)
def date_line(_monotonic_second: int) -> bytes:
    """Return the line that tells the date, made once for each second of the monotonic clock."""
    return f"Date: {format_datetime(datetime.now(UTC), usegmt=True)}\r\n".encode()
