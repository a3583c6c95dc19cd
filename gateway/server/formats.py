"""Which form of the native stream an `Accept` header asks for."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.dialects.native_stream import NDJSON, SSE, TEXT
from gateway.errors import NotAcceptable

if TYPE_CHECKING:
    from gateway.dialects.native_stream import NativeFormat

_MEDIA_TYPES: tuple[tuple[str, NativeFormat], ...] = (
    ("application/x-ndjson", NDJSON),
    ("application/ndjson", NDJSON),
    ("text/event-stream", SSE),
    ("text/plain", TEXT),
)
_EXACT, _PARTIAL, _ANY = 3, 2, 1
_UNTRUE_TEXT = 0
"""Bare text wins only where nothing else is accepted equally: it cannot say how a stream ended."""


@lru_cache(maxsize=64)  # callers send few different ones, and of 16 KiB at most: a head has no more
def negotiate(accept: str | None) -> NativeFormat:
    """Return the form that suits an `Accept` header best; NDJSON where it leaves the choice to us.

    Raises:
        NotAcceptable: none of the three suits.
    """
    if not accept or not accept.strip():
        return NDJSON
    ranges = [_parse_range(part) for part in accept.split(",")]
    best: tuple[float, int, NativeFormat] | None = None
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
