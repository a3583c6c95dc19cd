"""Events as Bedrock frames them: the base64 envelope of InvokeModel, the padding, the headers' order."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

import orjson

from gateway.emulator.errors import exception_payload
from gateway.wire import eventstream

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK: Final = "chunk"

# Recorded padding is a prefix of this of random length, about 2 to 61 (bedrock-wire.md §1.1). Here the
# checksum of the event stands in for chance, so that the same answer always has the same bytes.
_PADDING: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_SHORTEST_PADDING: Final = 2
_LENGTHS_OF_PADDING: Final = 60

_CACHED_EVENT: Final = 512
"""Events up to this size in bytes are worth keeping, as they come back."""


_SHORT_TEXT: Final = 32
"""Deltas up to this length in characters are words, which come back in every answer."""


class Event(NamedTuple):
    """One event of a streamed answer.

    `kind` is the frame's `:event-type`; `payload` is the JSON inside: of the provider for `chunk`, of the
    event without its padding for the others. `delta` marks the events that pacing spreads over time.
    """

    kind: str
    payload: bytes
    delta: bool = False


def remember_words(make: Callable[[int, str], Event]) -> Callable[[int, str], Event]:
    """Make a maker of text deltas, from a block's index and a text, keep what it made of short texts."""
    kept = lru_cache(maxsize=8192)(make)

    @wraps(make)
    def make_or_remember(index: int, text: str) -> Event:
        return kept(index, text) if len(text) <= _SHORT_TEXT else make(index, text)

    return make_or_remember


def encode_event(kind: str, payload: bytes) -> bytes:
    """Return the frame of an event."""
    return _encode_cached(kind, payload) if len(payload) <= _CACHED_EVENT else _encode(kind, payload)


def encode_exception(member: str) -> bytes:
    """Return the frame of a modelled exception; none has been recorded (bedrock-wire.md §11)."""
    headers = {":exception-type": member, ":content-type": "application/json", ":message-type": "exception"}
    return eventstream.encode(headers, orjson.dumps(exception_payload(member)))


def encode_error(code: str, message: str) -> bytes:
    """Return a frame of the message type `error`, known to the format (bedrock-wire.md §1) and never seen."""
    headers = {":message-type": "error", ":error-code": code, ":error-message": message}
    return eventstream.encode(headers, b"")


def _encode(kind: str, payload: bytes) -> bytes:
    padding = _PADDING[: _SHORTEST_PADDING + crc32(payload) % _LENGTHS_OF_PADDING]
    if kind == CHUNK:
        body = orjson.dumps({"bytes": b64encode(payload).decode("ascii"), "p": padding})
    else:
        body = orjson.dumps(orjson.loads(payload) | {"p": padding}, option=orjson.OPT_SORT_KEYS)
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return eventstream.encode(headers, body)


_encode_cached = lru_cache(maxsize=16_384)(_encode)
UNKNOWN_EVENT: Final = _encode("somethingNewEvent", b'{"new":true}')
"""An event that no service model has: a reader must not fail over what AWS may add one day."""
