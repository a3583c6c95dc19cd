"""Where one request ends and the next begins: whatever two servers could read in two ways is refused.

aiohttp's C parser refuses most of it (reliability.md S9). Here is what it lets through (R61), and the size of
a head as a whole, which it bounds line by line only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion10, HttpVersion11, hdrs

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

MAX_HEAD: Final = 16 * 1024
"""Bytes of the request line and the headers together (R58)."""
UPGRADES: Final = frozenset({"tcp", "websocket"})
"""What makes aiohttp keep the bytes behind such a request for another protocol."""
_LINE_ENDS: Final = len(": \r\n")
_CHUNK_OVERHEAD: Final = 8
"""Bytes of framing for a byte of body: chunks of one byte each have 5."""
_CHUNK_EXTENSIONS: Final = 512
"""Bytes of framing for a body that has none: the last chunk, trailers, and what `head_size` guesses wrong."""


def problem(message: RawRequestMessage) -> InvalidRequest | None:
    """Return why a request that aiohttp takes is refused; None where it is not."""
    if message.version not in (HttpVersion10, HttpVersion11):
        return InvalidRequest("Send HTTP/1.1 or HTTP/1.0.", param="path")
    path = message.path or ""  # of a CONNECT without a target aiohttp has None, whatever its types say
    proxied = message.method == hdrs.METH_CONNECT or not path.startswith("/")
    if proxied and (message.method, path) != (hdrs.METH_OPTIONS, "*"):
        return InvalidRequest("The request target is a path; this is no proxy.", param="path")
    if message.upgrade and message.headers.get(hdrs.UPGRADE, "").lower() in UPGRADES:
        return InvalidRequest("There is nothing to upgrade to.", param=hdrs.UPGRADE)
    if hdrs.TRANSFER_ENCODING in message.headers:
        return _bad_transfer(message)
    return None


def _bad_transfer(message: RawRequestMessage) -> InvalidRequest | None:
    words = None
    if message.version < HttpVersion11:
        words = "HTTP/1.0 has no transfer encodings."
    elif [coding.lower() for coding in message.headers.getall(hdrs.TRANSFER_ENCODING)] != ["chunked"]:
        words = "The only transfer encoding is `chunked`, once."
    elif hdrs.CONTENT_LENGTH in message.headers:
        words = "Send a length or chunks, not both."
    return None if words is None else InvalidRequest(words, param=hdrs.TRANSFER_ENCODING)


def head_size(message: RawRequestMessage) -> int:
    """Return about how many bytes a head had on the wire, without the blanks around its values."""
    first = len(message.method) + len(message.path or "") + len(" HTTP/1.1\r\n\r\n")
    return first + sum(len(name) + len(value) + _LINE_ENDS for name, value in message.raw_headers)


def too_large() -> InvalidRequest:
    """Return the refusal of a head beyond `MAX_HEAD`."""
    return InvalidRequest(f"The request line and headers are larger than {MAX_HEAD} bytes.", param="headers")


def bad_chunks() -> InvalidRequest:
    """Return the refusal of a body in chunks that are mostly something else."""
    return InvalidRequest("The chunks of the body are malformed.", param="body")


def wasteful(received: int, requests: Sequence[tuple[RawRequestMessage, StreamReader]]) -> bool:
    """Tell whether what came with these heads, and nothing else, is mostly framing (R61)."""
    size = sum(body.total_bytes for _, body in requests)
    framed = received - size - sum(head_size(message) for message, _ in requests)
    return framed > _CHUNK_EXTENSIONS * len(requests) + _CHUNK_OVERHEAD * size


class Chunks:
    """Watches the rest of a chunked body for bytes that are not its own: extensions, which nobody reads."""

    __slots__ = ("_body", "_wire")

    def __init__(self, body: StreamReader) -> None:
        self._body = body
        self._wire = body.total_bytes

    def receive(self, size: int) -> None:
        """Count bytes that came for the body."""
        self._wire += size

    @property
    def complete(self) -> bool:
        """Whether the body has ended."""
        return self._body.is_eof()

    @property
    def wasteful(self) -> bool:
        """Whether there is more framing than any chunking needs."""
        size = self._body.total_bytes
        return self._wire - size > _CHUNK_EXTENSIONS + _CHUNK_OVERHEAD * size
