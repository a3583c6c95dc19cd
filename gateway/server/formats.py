"""The three forms of a stream, and which one an `Accept` header asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from gateway.dialects import native_records
from gateway.domain import TextDelta
from gateway.errors import NotAcceptable
from gateway.wire import json, ndjson, sse

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.dialects.native_records import Record
    from gateway.domain import Event


class TextRecords:
    """The framed records of text deltas, many at a time: the text is all that differs between them."""

    __slots__ = ("_before", "_behind", "_between")

    def __init__(self, frame: Callable[[bytes], bytes]) -> None:
        empty = json.dumps(native_records.delta(TextDelta("")))
        before, _, behind = frame(empty).decode().rpartition('""')
        self._before: Final = f'{before}"'
        self._between: Final = f'"{behind}{before}"'
        self._behind: Final = f'"{behind}'

    def encode(self, texts: list[str]) -> bytes:
        """Return the record of each text, one behind the other; there is one at least."""
        said = "".join(texts)
        if not (said.isprintable() and '"' not in said and "\\" not in said):
            texts = [_literal(text) for text in texts]
        return (self._before + self._between.join(texts) + self._behind).encode()


def _literal(text: str) -> str:
    """Return what stands between the quotation marks of a JSON string.

    What Python calls printable JSON writes as it is, except for two characters: neither control characters
    nor what breaks a line (R10) nor half surrogate pairs are printable.
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return json.dumps(text)[1:-1].decode()


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
    texts: TextRecords | None
    """None where `frame` is."""

    def encode(self, record: Record) -> bytes:
        """Return the bytes of one record; empty where the format has no place for it."""
        return b"" if self.frame is None else self.frame(json.dumps(record))

    def encode_events(self, events: list[Event]) -> bytes:
        """Return the bytes of a batch of events: of their records, or of what bare text keeps of them."""
        if self.texts is None:
            said = "".join([event.text for event in events if type(event) is TextDelta])
            return said.encode("utf-8", "replace")
        pieces: list[bytes] = []
        texts: list[str] = []  # of the text deltas in a row
        for event in events:
            if type(event) is TextDelta:
                texts.append(event.text)
            elif (record := native_records.delta(event)) is not None:
                if texts:
                    pieces.append(self.texts.encode(texts))
                    texts = []
                pieces.append(self.encode(record))
        if texts:
            pieces.append(self.texts.encode(texts))
        return b"".join(pieces)


NDJSON = Format(
    "ndjson",
    ndjson.CONTENT_TYPE,
    ndjson.frame,
    ndjson.frame(json.dumps(native_records.PING)),
    TextRecords(ndjson.frame),
)
SSE = Format("sse", sse.CONTENT_TYPE, sse.frame, sse.comment(), TextRecords(sse.frame))
TEXT = Format("text", "text/plain; charset=utf-8", None, b"", None)

_MEDIA_TYPES: tuple[tuple[str, Format], ...] = (
    ("application/x-ndjson", NDJSON),
    ("application/ndjson", NDJSON),
    ("text/event-stream", SSE),
    ("text/plain", TEXT),
)
_EXACT, _PARTIAL, _ANY = 3, 2, 1
_UNTRUE_TEXT = 0
"""Bare text wins only where nothing else is accepted equally: it cannot say how a stream ended."""


@lru_cache(maxsize=64)  # callers send few different ones, and of 16 KiB at most: a head has no more
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
