"""One request as our handlers see it: aiohttp's own carries what forms, cookies and redirects need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion11
from aiohttp.helpers import parse_content_type

if TYPE_CHECKING:
    from aiohttp import HttpVersion
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader
    from multidict import CIMultiDictProxy, MultiMapping

_PLAIN: Final = re.compile(r"[A-Za-z0-9/_-]+", re.ASCII)
"""Paths in which there is nothing to decode."""
_JSON: Final = "application/json"


class Request:
    """The head of a request, and its body as it comes."""

    __slots__ = (
        "content", "headers", "method", "path", "query", "raw_path", "should_close", "speaks_of_aws",
        "version",
    )  # fmt: skip

    headers: MultiMapping[str] | CIMultiDictProxy[str]

    def __init__(self, message: RawRequestMessage, content: StreamReader) -> None:
        raw = message.path
        self.method: str = message.method
        plain = _PLAIN.fullmatch(raw) is not None
        self.path: str = raw if plain else message.url.path
        self.raw_path: str = raw if plain else _undecoded(raw, message)
        """As it was sent, without its query: an encoded slash in it separates nothing."""
        self.query: str = "" if plain else message.url.raw_query_string
        """As it was sent."""
        self.version: HttpVersion = message.version
        self.headers = message.headers
        self.should_close: bool = message.should_close
        """Whether the caller wants the connection to end behind the answer."""
        self.content = content
        self.speaks_of_aws = True
        """Whether there may be headers of AWS's own; what has read the body knows."""

    @property
    def media_type(self) -> tuple[str, str]:
        """The type of the body, `application/octet-stream` where none is told, and its charset or nothing."""
        raw = self.headers.get("Content-Type", "")
        if raw == _JSON:
            return _JSON, ""
        media_type, parameters = parse_content_type(raw)
        return media_type, parameters.get("charset", "")

    @property
    def content_length(self) -> int:
        """How long the body is said to be; 0 where that is not told."""
        return int(self.headers.get("Content-Length", "0"))

    @property
    def speaks_chunks(self) -> bool:
        """Whether the caller understands HTTP/1.1."""
        return self.version >= HttpVersion11

    def _cancel(self, error: BaseException) -> None:
        """Tell whoever reads the body that it does not come; aiohttp calls this when the caller leaves."""
        self.content.set_exception(error)


def _undecoded(raw: str, message: RawRequestMessage) -> str:
    return raw.partition("?")[0] if raw.startswith("/") else message.url.raw_path
