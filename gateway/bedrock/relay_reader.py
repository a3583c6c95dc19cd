"""Bytes of one Bedrock answer in, the same answer in the caller's framing out, checked on its way. Pure.

The family's extractor hears everything as it would to translate it: counters, why the model stopped, and
whether the answer is whole are known as of any other answer. What it makes of the text is left.
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING, Final

from gateway.bedrock.reader import StreamReader, UnaryReader
from gateway.bedrock.relayed import RelayedAnswer, extractor_for, keep, stop_of
from gateway.bedrock.usual_passed import (
    FramedChunks,
    PassedChunks,
    PassedEvents,
    framed_chunks,
    passed_chunks,
    passed_events,
)
from gateway.codecs.guardrail_trace import redacted
from gateway.domain import PassedOn
from gateway.errors import UpstreamFailed, UpstreamProtocolError
from gateway.wire.eventstream import FrameDecoder, encode, length_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.codecs.protocol import Extractor, UsualDelta
    from gateway.domain import Event
    from gateway.upstream import Framing, Relay
    from gateway.wire.eventstream import Decoder, Message

_new = tuple.__new__  # a NamedTuple's own constructor is Python, and takes thrice as long
MOST_HELD: Final = 16_384
"""Bytes that are kept until the model has said something."""
STREAMS: Final = frozenset({"invoke-with-response-stream", "converse-stream"})


def reader_of(relay: Relay, headers: Mapping[str, str]) -> StreamReader | UnaryReader:
    """Return the reader for the answer of a relayed call; `headers` are the answer's."""
    if relay.operation not in STREAMS:
        return UnaryReader(RelayedAnswer(relay), headers)
    enveloped = relay.operation == "invoke-with-response-stream"
    extractor = extractor_for(relay.family)
    if relay.framing is None:
        return FrameRelay(extractor, enveloped=enveloped)
    return PayloadRelay(extractor, relay.framing, enveloped=enveloped)


class RelayReader(StreamReader):
    """What both ways of passing on have in common.

    Until the model has said something nothing is given away, so that a call that fails with its first frames
    may be sent again.
    """

    __slots__ = ("_begun", "_heard", "_held")

    def __init__(self, extractor: Extractor, *, enveloped: bool, decoder: Decoder | None = None) -> None:
        super().__init__(extractor, enveloped=enveloped, decoder=decoder)
        self._heard: list[Event] = []  # what the extractor says, until it is accounted for
        self._held = b""
        self._begun = False

    def close(self, events: list[Event]) -> None:
        """Take the end of the body, and append how the answer ended.

        Raises:
            UpstreamProtocolError: as `StreamReader.close`.
            UpstreamFailed: it ended well, with a verdict that is not the caller's to read.
        """
        self._decoder.close()
        heard: list[Event] = []
        try:
            self._extractor.close(heard)
        except UpstreamFailed as verdict:
            heard.append(stop_of(verdict))
        if self._held:
            events.append(PassedOn(self._held, 0))
        keep(heard, events)

    def _pass(self, data: bytes, characters: int, events: list[Event]) -> None:
        heard = self._heard
        if heard:
            self._heard = []
            characters += keep(heard, events)
        if not self._begun:
            data = self._held + data
            if not (heard or characters or len(data) > MOST_HELD):
                self._held = data
                return
            self._held, self._begun = b"", True
        if data:
            events.append(_new(PassedOn, (data, characters)))


class FrameRelay(RelayReader):
    """Passes frames on as they are; what one read brought leaves as one slice of it."""

    __slots__ = ("_frames", "_known")

    def __init__(self, extractor: Extractor, *, enveloped: bool) -> None:
        self._frames = FrameDecoder()
        super().__init__(extractor, enveloped=enveloped, decoder=self._frames)
        self._known: PassedChunks | PassedEvents | None = None

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Append the whole frames in `data`, those before a fault too; raises as `StreamReader.feed` does."""
        messages: list[Message] = []
        decoder = self._frames
        try:
            decoder.feed(data, messages)
        except UpstreamProtocolError:
            self._pass_frames(messages, decoder.frames[: length_of(decoder.frames, len(messages))], events)
            raise
        frames, decoder.frames = decoder.frames, b""
        if messages:
            self._pass_frames(messages, frames, events)

    def _expect(self, usual: UsualDelta | None) -> None:
        if usual is None:
            self._known = None
        else:
            self._known = passed_chunks(usual) if self._enveloped else passed_events(usual)

    def _pass_frames(self, messages: list[Message], frames: bytes, events: list[Event]) -> None:
        number, count, characters, wary = 0, len(messages), 0, False
        if self._known is not None:
            number, characters, wary = self._known.skip(messages, 0, self._headers, wary=wary)
            if number == count and self._begun:  # as nearly ever
                events.append(_new(PassedOn, (frames, characters)))
                return
        changed: list[bytes] = []
        heard, whole, start = self._heard, 0, 0
        try:
            while number < count:
                message = messages[number]
                payload = self._extract(message, heard)
                whole = len(heard)
                if (clean := redacted(payload)) is not payload:
                    end = length_of(frames, number)
                    changed += (frames[start:end], self._frame(message, clean))
                    start = length_of(frames, number + 1)
                number += 1
                if number < count and self._known is not None and messages[number][0] is self._headers:
                    number, said, wary = self._known.skip(messages, number, self._headers, wary=wary)
                    characters += said
        finally:
            del heard[whole:]  # of a payload that is broken
            end = len(frames) if number == count else length_of(frames, number)
            data = frames[start:end]
            self._pass(b"".join([*changed, data]) if changed else data, characters, events)

    def _frame(self, message: Message, payload: bytes) -> bytes:
        """Return a frame like this one with another payload."""
        if self._enveloped:
            payload = b'{"bytes":"%b"}' % b2a_base64(payload, newline=False)
        return encode({name: str(value) for name, value in message.headers.items()}, payload)


class PayloadRelay(RelayReader):
    """Passes payloads on, each in the framing of the caller's API."""

    __slots__ = ("_framed", "_framing")

    def __init__(self, extractor: Extractor, framing: Framing, *, enveloped: bool) -> None:
        super().__init__(extractor, enveloped=enveloped)
        self._framing = framing
        self._framed: FramedChunks | None = None

    def _expect(self, usual: UsualDelta | None) -> None:
        if usual is None or not self._enveloped:
            self._framed = None
        else:
            self._framed = framed_chunks(usual, *self._framing.usual)

    def _take(self, messages: list[Message], events: list[Event]) -> None:
        number, count, characters = 0, len(messages), 0
        pieces: list[bytes] = []
        framing, known, heard, whole = self._framing, self._framing.known, self._heard, 0
        try:
            while number < count:
                if self._framed is not None:
                    number, said = self._framed.take(messages, number, self._headers, pieces)
                    characters += said
                    if number == count:
                        break
                payload = self._extract(messages[number], heard)
                whole = len(heard)
                if payload in known and self._in_envelope:
                    pieces.append(known[payload])
                elif payload:
                    pieces.append(framing.payload(self._event_type, redacted(payload)))
                number += 1
        finally:
            del heard[whole:]  # of a payload that is broken
            self._pass(b"".join(pieces), characters, events)
