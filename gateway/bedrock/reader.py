"""Bytes of one Bedrock answer in, events out. Pure: no IO, no clock."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from gateway.bedrock import faults
from gateway.bedrock.usual_deltas import ENDINGS, OPENING, bare_deltas, enveloped_deltas
from gateway.codecs.stop_sequences import STOPPED, StopFilter
from gateway.errors import GatewayError, UpstreamProtocolError
from gateway.wire.eventstream import MAX_PAYLOAD_LENGTH, Decoder, Message

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from gateway.bedrock.usual_deltas import BareDeltas, EnvelopedDeltas
    from gateway.codecs.protocol import Extractor, UsualDelta
    from gateway.domain import Event
    from gateway.wire.eventstream import HeaderValue

_OPENED: Final = len(OPENING)


class StreamReader:
    """Reads an event stream: frames, the envelope of InvokeModel's chunks, the family's payloads."""

    __slots__ = (
        "_decoder", "_deltas", "_enveloped", "_event_type", "_extractor", "_headers", "_in_envelope", "_seen",
        "_usual",
    )  # fmt: skip
    cut = False

    def __init__(self, extractor: Extractor, *, enveloped: bool, decoder: Decoder | None = None) -> None:
        self._decoder = Decoder() if decoder is None else decoder
        self._extractor = extractor
        self._enveloped = enveloped
        self._usual: UsualDelta | None = None
        self._deltas: EnvelopedDeltas | BareDeltas | None = None  # takes the usual ones
        self._headers: Mapping[str, HeaderValue] = {}  # which have these headers, the very same object
        self._seen: Mapping[str, HeaderValue] | None = None  # headers of the last event, and what they say
        self._event_type = ""
        self._in_envelope = False

    @property
    def finished(self) -> bool:
        """Whether the family's terminal payload has been seen; what may still come tells of the answer."""
        return self._extractor.finished

    @property
    def unknown(self) -> AbstractSet[str]:
        """What upstream sent that we do not know."""
        return self._extractor.unknown

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Append the events of every whole frame in `data` and what was left over before.

        Raises:
            GatewayError: an exception frame, a broken frame, or a payload that the family does not speak.
        """
        messages: list[Message] = []
        try:
            self._decoder.feed(data, messages)
        finally:
            self._take(messages, events)

    def close(self, events: list[Event]) -> None:
        """Take the end of the body, and append how the answer ended.

        Raises:
            UpstreamProtocolError: it ended inside a frame, or before the family's terminal payload.
            UpstreamFailed: it ended well, with the word that the model failed.
        """
        self._decoder.close()
        self._extractor.close(events)

    def _take(self, messages: list[Message], events: list[Event]) -> None:
        number, count = 0, len(messages)
        while number < count:
            if self._deltas is not None:
                number = self._deltas.take(messages, number, self._headers, events)
                if number == count:
                    break
            self._extract(messages[number], events)
            number += 1

    def _extract(self, message: Message, events: list[Event]) -> bytes:
        """Append the events of a message; return its payload, out of its envelope."""
        headers, payload = message
        if headers is not self._seen:  # frames of one kind share them
            self._turn_to(message)
        if self._in_envelope:
            payload = _open_envelope(payload)
        extractor = self._extractor
        extractor.feed(self._event_type, payload, events)
        usual = extractor.usual
        if usual is not self._usual:
            self._usual = usual
            self._expect(usual)
        if usual is not None and self._event_type == usual.event_type:
            self._headers = headers
        return payload

    def _expect(self, usual: UsualDelta | None) -> None:
        """Get ready for what most messages that may come now look like."""
        if usual is None:
            self._deltas = None
        else:
            self._deltas = enveloped_deltas(usual) if self._enveloped else bare_deltas(usual)

    def _turn_to(self, message: Message) -> None:
        """Take note of what the headers of this message, and of those that follow, say."""
        headers = message.headers
        if headers.get(":message-type") != "event":
            _raise_fault(message)
        self._event_type = event_type = str(headers.get(":event-type", ""))
        self._in_envelope = self._enveloped and event_type == "chunk"
        self._seen = headers


class WholeReader(Protocol):
    """What reads a whole answer: a codec, for one."""

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """As `Codec.read`."""


class UnaryReader:
    """Reads the whole answer of a unary operation; its events come at the end."""

    finished = False
    cut = False

    def __init__(self, codec: WholeReader, headers: Mapping[str, str]) -> None:
        self.unknown: AbstractSet[str] = frozenset()
        self._codec = codec
        self._headers = headers
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Keep the piece: JSON has no meaning before its end.

        Raises:
            UpstreamProtocolError: the answer is longer than a frame of a stream may be.
        """
        del events
        self._size += len(data)
        if self._size > MAX_PAYLOAD_LENGTH:
            self._pieces.clear()
            raise UpstreamProtocolError(
                "The answer from Bedrock is too long.",
                detail=f"a body of more than {MAX_PAYLOAD_LENGTH} bytes",
            )
        self._pieces.append(data)

    def close(self, events: list[Event]) -> None:
        """Append the events of the whole answer.

        Raises:
            GatewayError: the body is not what the family speaks.
        """
        self.unknown = self._codec.read(b"".join(self._pieces), self._headers, events)


class CuttingReader:
    """Reads as another reader does, and ends the answer at the first of the stop sequences."""

    def __init__(self, reader: StreamReader | UnaryReader, stop: tuple[str, ...]) -> None:
        self._reader = reader
        self._filter = StopFilter(stop)

    @property
    def unknown(self) -> AbstractSet[str]:
        """What upstream sent that we do not know."""
        return self._reader.unknown

    @property
    def finished(self) -> bool:
        """As the other reader says."""
        return self._reader.finished

    @property
    def cut(self) -> bool:
        """Whether the answer is over while the model may still be speaking: nothing more need be read."""
        return self._filter.cut

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Append the events in `data`, up to a stop sequence.

        Raises:
            GatewayError: as the other reader, but not for what comes behind the stop sequence.
        """
        heard: list[Event] = []
        try:
            self._reader.feed(data, heard)
        except GatewayError:
            self._filter.feed(heard, events)
            self._filter.flush(events)  # as it came before the fault, it is the caller's
            if not self.cut:
                raise
        else:
            self._filter.feed(heard, events)

    def close(self, events: list[Event]) -> None:
        """Take the end of the body or of the reading, and append how the answer ended.

        A stop sequence counts more than why the model stopped, and whether it did.

        Raises:
            GatewayError: as the other reader, unless a stop sequence was found.
        """
        heard: list[Event] = []
        try:
            self._reader.close(heard)
        except GatewayError:
            self._filter.feed(heard, events)
            self._filter.flush(events)
            if not self.cut:
                raise
        else:
            self._filter.feed(heard, events)
        if self.cut:
            events.append(STOPPED)


def _open_envelope(payload: bytes) -> bytes:
    """Return the provider's JSON out of `{"bytes": base64, "p": padding}`; `bytes` may be absent (§1.1)."""
    encoded, _, ending = payload[_OPENED:].partition(b'"')
    if payload[:_OPENED] == OPENING and ending in ENDINGS:  # as ever: nothing to parse
        try:
            return a2b_base64(encoded, strict_mode=True)
        except Base64Error:  # an escape, or no base64 at all
            return _parse_envelope(payload)
    return _parse_envelope(payload)


def _parse_envelope(payload: bytes) -> bytes:
    try:
        return a2b_base64(orjson.loads(payload).get("bytes", ""), strict_mode=True)
    except (orjson.JSONDecodeError, Base64Error, AttributeError, TypeError, ValueError) as error:
        raise UpstreamProtocolError("Bedrock sent a chunk that cannot be read.", detail=str(error)) from error


def _raise_fault(message: Message) -> None:
    """Raise what an exception frame or an error frame means; both end the stream."""
    headers = message.headers
    kind = headers.get(":message-type")
    if kind == "exception":
        raise faults.from_frame(str(headers.get(":exception-type", "")), message.payload)
    if kind == "error":
        raise faults.from_code(str(headers.get(":error-code", "")), str(headers.get(":error-message", "")))
    raise UpstreamProtocolError("Bedrock sent a frame of an unknown kind.", detail=f"message type {kind!r}")
