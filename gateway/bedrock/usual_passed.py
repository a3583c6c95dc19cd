"""The short way of the usual delta that is passed on: it is known by how it begins and ends, and not parsed.

As `usual_deltas`, for answers that the caller gets in the words of their provider. Frames go on as they are:
their checksums are good already, so of an InvokeModel chunk not even the base64 is undone. Where payloads
get another framing the text is still looked at, because what frames it relies on its being JSON.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

from gateway.bedrock.usual_deltas import ENDINGS, OPENING, PADDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.codecs.protocol import UsualDelta
    from gateway.wire.eventstream import HeaderValue, Message

_SIGN: Final = b"amazon-bedrock-"
_loads = orjson.loads


def _at_any_place(text: bytes) -> tuple[bytes, bytes, bytes]:
    """Return what of this text's base64 is sure, by how many bytes of its first group stand before it."""
    first, second, third = (
        b2a_base64(bytes(before) + text[: (len(text) + before) // 3 * 3 - before], newline=False)
        for before in range(3)
    )
    return first, second[2:], third[3:]


_FIRST, _SECOND, _THIRD = _at_any_place(_SIGN)


def speaks_of_bedrock(texts: bytes) -> bool:
    """Say whether some base64 in these may hold keys of Bedrock's own: a verdict, counters, a trace."""
    return _FIRST in texts or _SECOND in texts or _THIRD in texts


class PassedChunks:
    """Knows usual deltas in chunks: `{"bytes":"<base64 of the payload>","p":"<padding>"}`."""

    __slots__ = ("_overhead", "_parts")

    def __init__(self, usual: UsualDelta) -> None:
        before, behind = usual.before, usual.behind
        sure = len(before) * 8 // 6  # characters that do not depend on what follows
        opening = OPENING + b2a_base64(before + bytes(-len(before) % 3), newline=False)[:sure]
        endings = tuple(
            b2a_base64(bytes(place) + behind, newline=False)[cut:] for place, cut in enumerate((0, 2, 3))
        )
        self._parts = opening, len(opening), endings
        # quarters of a byte that are no text: a character of base64 is three; on average it ends in one `=`
        self._overhead = (len(behind) + len(before) + 1) * 4 - sure * 3

    def skip(
        self, messages: list[Message], start: int, headers: Mapping[str, HeaderValue], *, wary: bool
    ) -> tuple[int, int, bool]:
        """Return how far the messages from `start` on are usual, and how many characters they say, about.

        `headers` is the one mapping that such messages have. The last of what is returned is the next call's
        `wary`: once something among the messages speaks of Bedrock, each is looked at for that, so that none
        is gone over more than twice, whatever a model is made to say.
        """
        opening, skipped, endings = self._parts
        said: list[bytes] = []
        for number in range(start, len(messages)):
            found, payload = messages[number]
            if found is not headers or payload[:skipped] != opening:
                break
            encoded, _, padding = payload[skipped:].partition(b'"')
            if padding not in ENDINGS or not encoded.endswith(endings):
                break
            if wary and speaks_of_bedrock(encoded):
                break
            said.append(encoded)
        texts, count = b'"'.join(said), len(said)
        if not wary and speaks_of_bedrock(texts):
            return self.skip(messages, start, headers, wary=True)
        quarters = (len(texts) + 1 - count) * 3 - count * self._overhead
        return start + count, quarters >> 2 if quarters > 0 else 0, wary


class PassedEvents:
    """Knows usual deltas in events without envelope: the padding is one of the event's own fields."""

    __slots__ = ("_before", "_endings")

    def __init__(self, usual: UsualDelta) -> None:
        fields, end = usual.behind[:-1], usual.behind[-1:]
        self._before = usual.before
        self._endings = frozenset(fields[1:] + padding + end for padding in PADDED)

    def skip(
        self, messages: list[Message], start: int, headers: Mapping[str, HeaderValue], *, wary: bool
    ) -> tuple[int, int, bool]:
        """As `PassedChunks.skip`; text with a quotation mark in it goes the general way.

        What Bedrock itself adds comes in events of its own, so nothing is looked at for that.
        """
        before, endings, text_start = self._before, self._endings, len(self._before)
        size = 0
        for number in range(start, len(messages)):
            found, payload = messages[number]
            if found is not headers or payload[:text_start] != before:
                return number, size, wary
            text, _, behind = payload[text_start:].partition(b'"')
            if behind not in endings:
                return number, size, wary
            size += len(text)
        return len(messages), size, wary


class FramedChunks:
    """Takes the payloads of usual deltas out of chunks, and puts a frame around each."""

    __slots__ = ("_between", "_head", "_overhead", "_parts", "_tail")

    def __init__(self, usual: UsualDelta, head: bytes, tail: bytes) -> None:
        # Whole groups of three bytes are four characters of base64, whatever follows.
        cut = (len(usual.before) - 1) // 3 * 3
        opening = OPENING + b2a_base64(usual.before[:cut], newline=False)
        before, behind = usual.before[cut:], usual.behind
        self._parts = opening, len(opening), before, behind, len(before) - 1, 1 - len(behind)
        self._head = head + usual.before[:cut]
        self._tail = tail
        self._between = tail + self._head
        self._overhead = len(self._between) + len(before) + len(behind)

    def take(
        self, messages: list[Message], start: int, headers: Mapping[str, HeaderValue], pieces: list[bytes]
    ) -> tuple[int, int]:
        """Append the usual deltas from `start` on; return as `PassedChunks.skip` does."""
        opening, skipped, before, behind, text_start, text_end = self._parts
        said: list[bytes] = []
        number = start
        for number in range(start, len(messages)):
            found, payload = messages[number]
            if found is not headers or payload[:skipped] != opening:
                break
            encoded, _, padding = payload[skipped:].partition(b'"')
            if padding not in ENDINGS:
                break
            try:
                rest = a2b_base64(encoded, strict_mode=True)
                if rest[: text_start + 1] != before or rest[text_end - 1 :] != behind:
                    break
                _loads(rest[text_start:text_end])
            except ValueError:  # binascii.Error and orjson.JSONDecodeError are
                break
            said.append(rest)
        else:
            number = len(messages)
        if not said:
            return number, 0
        framed = self._between.join(said)
        pieces.append(self._head + framed + self._tail)
        return number, len(framed) - len(said) * self._overhead + len(self._between)


passed_chunks = lru_cache(maxsize=256)(PassedChunks)
"""What knows these deltas in their envelope."""
passed_events = lru_cache(maxsize=256)(PassedEvents)
"""What knows them without one."""
framed_chunks = lru_cache(maxsize=256)(FramedChunks)
"""What takes them out of their envelope, into a frame."""
