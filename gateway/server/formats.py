"""The three forms of a stream, and which one an `Accept` header asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.dialects.native_records import PING
from gateway.domain import TextDelta
from gateway.errors import NotAcceptable
from gateway.wire import json, ndjson, sse

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.dialects.native_records import Record
    from gateway.domain import Event


@dataclass(frozen=True, slots=True)
class Format:
    """How records become bytes.

    `frame` is None for bare text, which has room for the answer's text only: no start, no terminal record.
    There a failure breaks the transfer instead.
    """

    name: str
    content_type: str
    frame: Callable[[bytes], bytes] | None
    heartbeat: bytes
    """What breaks a silence; empty where there is no room for it."""

    def encode(self, record: Record) -> bytes:
        """Return the bytes of one record; empty where the format has no place for it."""
        return b"" if self.frame is None else self.frame(json.dumps(record))

    def encode_text(self, event: Event) -> bytes:
        """Return what bare text keeps of an event."""
        return event.text.encode("utf-8", "replace") if isinstance(event, TextDelta) else b""


NDJSON = Format("ndjson", ndjson.CONTENT_TYPE, ndjson.frame, ndjson.frame(json.dumps(PING)))
SSE = Format("sse", sse.CONTENT_TYPE, sse.frame, sse.comment())
TEXT = Format("text", "text/plain; charset=utf-8", None, b"")

_MEDIA_TYPES: tuple[tuple[str, Format], ...] = (
    ("application/x-ndjson", NDJSON),
    ("application/ndjson", NDJSON),
    ("text/event-stream", SSE),
    ("text/plain", TEXT),
)
_EXACT, _PARTIAL, _ANY = 3, 2, 1
_UNTRUE_TEXT = 0
"""Bare text wins only where nothing else is accepted equally: it cannot say how a stream ended."""


def negotiate(accept: str | None) -> Format:
    """Return the form that suits an `Accept` header best; NDJSON where it leaves the choice to us.

    Raises:
        NotAcceptable: none of the three suits.
    """
    if not accept or not accept.strip():
        return NDJSON
    ranges = [_parse_range(part) for part in accept.split(",")]
    best: tuple[float, int, Format] | None = None
    for media_type, candidate in _MEDIA_TYPES:
        quality, specificity = _quality(media_type, ranges)
        rank = _UNTRUE_TEXT if candidate is TEXT else specificity
        if quality > 0 and (best is None or (quality, rank) > best[:2]):
            best = (quality, rank, candidate)
    if best is None:
        raise NotAcceptable(
            "This stream comes as application/x-ndjson, text/event-stream or text/plain; "
            "for one JSON object use POST /chat/completions.",
            param="Accept",
        )
    return best[2]


def _parse_range(part: str) -> tuple[str, float]:
    """Return (media range, quality); a malformed quality counts as 0."""
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return media, 0.0
    return media, 1.0


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """Return the quality that the most specific matching range gives, and how specific it is (RFC 9110)."""
    wanted = {media_type: _EXACT, media_type.partition("/")[0] + "/*": _PARTIAL, "*/*": _ANY}
    matches = [(wanted[media], quality) for media, quality in ranges if media in wanted]
    if not matches:
        return 0.0, 0
    specificity, quality = max(matches)
    return quality, specificity
