"""The short way of the usual delta: its text is cut out of the bytes, as all the rest is known beforehand.

Nearly every frame of an answer is a delta that differs from the one before in its text and its padding only.
A codec says what such a delta looks like (`Extractor.usual`); here that is looked for byte by byte, so that
what is parsed is one JSON string instead of an object in base64 in an object. Anything else is left to the
general way, which knows everything: all that the short one may do is give the same events sooner. Both agree
on every input (tests/bedrock/test_usual_deltas.py).
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.codecs.protocol import UsualDelta
    from gateway.domain import Event
    from gateway.wire.eventstream import HeaderValue, Message

_PADDING: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
"""What Bedrock pads with: a beginning of this, of random length (bedrock-wire.md §1.1)."""
PADDED: Final = tuple(b',"p":"%b"' % _PADDING[:length] for length in range(len(_PADDING) + 1))

OPENING: Final = b'{"bytes":"'
ENDINGS: Final = frozenset(b"%b}" % padding for padding in (b"", *PADDED))
"""What stands behind the base64 of a chunk and its quotation mark: its padding, or none."""

_loads = orjson.loads


class EnvelopedDeltas:
    """Takes usual deltas out of chunks: `{"bytes":"<base64 of the payload>","p":"<padding>"}`."""

    __slots__ = ("_parts",)

    def __init__(self, usual: UsualDelta) -> None:
        # Whole groups of three bytes are four characters of base64, whatever follows.
        cut = (len(usual.before) - 1) // 3 * 3
        opening = OPENING + b2a_base64(usual.before[:cut], newline=False)
        before, behind = usual.before[cut:], usual.behind
        make: Callable[[str], Event] = usual.make
        self._parts = opening, len(opening), before, behind, len(before) - 1, 1 - len(behind), make

    def take(
        self, messages: list[Message], start: int, headers: Mapping[str, HeaderValue], events: list[Event]
    ) -> int:
        """Append the events of the messages from `start` on, as long as they are usual; return how far.

        `headers` is the one mapping that such messages have.
        """
        opening, skipped, before, behind, text_start, text_end, make = self._parts
        for number in range(start, len(messages)):
            found, payload = messages[number]
            if found is not headers or payload[:skipped] != opening:
                return number
            encoded, _, ending = payload[skipped:].partition(b'"')
            if ending not in ENDINGS:
                return number
            try:
                rest = a2b_base64(encoded, strict_mode=True)
                if rest[: text_start + 1] != before or rest[text_end - 1 :] != behind:
                    return number
                text = _loads(rest[text_start:text_end])
            except ValueError:  # binascii.Error and orjson.JSONDecodeError are
                return number
            if text:
                events.append(make(text))
        return len(messages)


class BareDeltas:
    """Takes usual deltas out of events without envelope: the padding is one of the event's own fields."""

    __slots__ = ("_parts",)

    def __init__(self, usual: UsualDelta) -> None:
        fields, end = usual.behind[:-1], usual.behind[-1:]
        endings = frozenset(fields + padding + end for padding in PADDED)
        make: Callable[[str], Event] = usual.make
        self._parts = usual.before, len(usual.before) - 1, fields + b',"p":"', endings, make

    def take(
        self, messages: list[Message], start: int, headers: Mapping[str, HeaderValue], events: list[Event]
    ) -> int:
        """As `EnvelopedDeltas.take`."""
        before, text_start, mark, endings, make = self._parts
        for number in range(start, len(messages)):
            found, payload = messages[number]
            if found is not headers or payload[: text_start + 1] != before:
                return number
            end = payload.rfind(mark)
            if payload[end:] not in endings:
                return number
            try:
                text = _loads(payload[text_start : end + 1])
            except ValueError:
                return number
            if text:
                events.append(make(text))
        return len(messages)


enveloped_deltas = lru_cache(maxsize=256)(EnvelopedDeltas)
"""What takes these deltas in their envelope."""
bare_deltas = lru_cache(maxsize=256)(BareDeltas)
"""What takes them without one."""
