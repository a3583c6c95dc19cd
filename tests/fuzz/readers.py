"""The readers of answers: whatever upstream sends is sound events and one end, or an error of ours.

An input is text: a first line `FAMILY MODE SEQUENCE,SEQUENCE`, then for `stream` a frame a line:

    event-type TAB payload      an event; families under InvokeModel get their payload in its envelope
    !exception-type TAB payload an exception frame
    ?error-code TAB message     an error frame
    =event-type TAB payload     an event whose payload is not put into an envelope
    #bytes                      bytes between frames
    ~N                          the last N bytes of what is there so far are missing

and for `unary` the body. Everything is a valid input: what is missing is empty, an unknown family is chosen.
"""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import crc32

import orjson
from botocore.eventstream import EventStreamBuffer

from gateway.bedrock.reader import CuttingReader, StreamReader, UnaryReader
from gateway.codecs import CODECS
from gateway.codecs.stop_sequences import STOPPED
from gateway.completion import fold
from gateway.dialects import native_records
from gateway.domain import Event, Stop, TextDelta, ToolCall, ToolCallDelta, Usage
from gateway.errors import GatewayError, UpstreamProtocolError
from gateway.wire.eventstream import Decoder, encode
from gateway.wire.json import dumps
from tests.codecs.test_laws import unsound
from tests.codecs.test_recordings import family_of
from tests.codecs.transcript import CASES, Transcript
from tests.fuzz.mutation import cuts, mutate_bytes, mutate_json
from tests.fuzz.recordings import recordings
from tests.fuzz.target import Target, demand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Fault: TypeAlias = "tuple[type[GatewayError], str, str | None] | None"
Outcome: TypeAlias = "tuple[list[Event], Fault]"
FAMILIES = sorted(CODECS)
BYTE_BY_BYTE = 3000
SEQUENCES = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of upstream's."""

    family: Any
    streamed: bool
    stop: tuple[str, ...]
    body: bytes

    def reader(self) -> StreamReader | UnaryReader:
        """Return the reader that the gateway would take."""
        codec = CODECS[self.family]
        if self.streamed:
            return StreamReader(codec.extractor(), enveloped=self.family != "converse")
        count = str(len(self.body))
        headers = {"x-amzn-bedrock-input-token-count": count, "x-amzn-bedrock-output-token-count": "1"}
        return UnaryReader(codec, headers)


def parse(data: bytes) -> Answer:
    """Return the answer that an input describes."""
    head, _, rest = data.partition(b"\n")
    family, mode, stop = (*head.decode("utf-8", "replace").split(" ", 2), "", "")[:3]
    if family not in CODECS:
        family = FAMILIES[crc32(family.encode()) % len(FAMILIES)]
    streamed = mode != "unary"
    sequences = tuple(part for part in stop.split(",") if part)[:SEQUENCES]
    body = _stream(rest.split(b"\n"), enveloped=family != "converse") if streamed else rest
    return Answer(family, streamed, sequences, body)


def _stream(lines: list[bytes], *, enveloped: bool) -> bytes:
    stream = b""
    for line in lines:
        kind, _, payload = line.partition(b"\t")
        name = kind[1:].decode("utf-8", "replace")[:300]
        if kind.startswith(b"#"):
            stream += line[1:]
        elif kind.startswith(b"!"):
            stream += encode({":exception-type": name, ":message-type": "exception"}, payload)
        elif kind.startswith(b"?"):
            words = payload.decode("utf-8", "replace")[:1000]
            stream += encode({":error-code": name, ":error-message": words, ":message-type": "error"}, b"")
        elif kind.startswith(b"~"):
            stream = stream[: len(stream) - int(kind[1:4])] if kind[1:4].isdigit() else stream
        elif line:
            bare = kind.startswith(b"=")
            event_type = kind.removeprefix(b"=").decode("utf-8", "replace")[:300]
            if enveloped and not bare and event_type == "chunk":
                payload = b'{"bytes":"%b","p":"abc"}' % base64.b64encode(payload)
            stream += encode({":event-type": event_type, ":message-type": "event"}, payload)
    return stream


# ── the laws ──────────────────────────────────────────────────────────────────────────────────────────


def check(data: bytes) -> None:
    """Hold one answer to every law."""
    answer = parse(data)
    rng = Random(crc32(data))  # noqa: S311 - the cuts are a function of the input
    whole = _read(answer.reader(), [answer.body])
    _check_events(*whole)
    demand(
        whole[1] is not None or not answer.streamed or _is_whole(answer.body), "half a frame is no end", whole
    )
    body = answer.body
    if len(body) <= BYTE_BY_BYTE:
        bytewise = _read(answer.reader(), [body[at : at + 1] for at in range(len(body))])
        demand(bytewise == whole, "byte by byte differs", bytewise, whole)
    pieces = cuts(body, rng)
    again = _read(answer.reader(), pieces)
    demand(again == whole, "cut at random differs", again, whole, [len(piece) for piece in pieces])
    if answer.stop:
        _check_cutting(answer, whole, pieces)


def _read(reader: StreamReader | UnaryReader | CuttingReader, pieces: list[bytes]) -> Outcome:
    """Read as the gateway does, and check what a reader promises of itself on the way."""
    events: list[Event] = []
    finished = False
    try:
        for piece in pieces:
            if reader.cut:
                break
            reader.feed(piece, events)
            demand(not _stops(events), "a stop before the end", events)
            demand(reader.finished or not finished, "what was finished is not any more", events)
            finished = reader.finished
        _close(reader, events, finished=finished)
        whole = finished or not isinstance(reader, StreamReader)
        demand(whole, "an end without the terminal payload", events)
    except GatewayError as fault:
        demand(type(fault) is not GatewayError, "an error without a class", fault)
        return events, (type(fault), fault.message, fault.detail)
    return events, None


def _close(
    reader: StreamReader | UnaryReader | CuttingReader, events: list[Event], *, finished: bool
) -> None:
    try:
        reader.close(events)
    except UpstreamProtocolError as fault:
        demand(not finished or "truncated" not in fault.message, "finished, and yet truncated", fault)
        raise


def _is_whole(stream: bytes) -> bool:
    decoder = Decoder()
    try:
        decoder.feed(stream, [])
        decoder.close()
    except UpstreamProtocolError:
        return False
    return True


def _stops(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, Stop)]


def _check_events(events: list[Event], fault: Fault) -> None:
    demand(unsound(events) == [], "unsound events", unsound(events))
    demand(_stops(events) == ([] if fault else events[-1:]), "not just one end", events, fault)
    calls = 0
    for event in events:
        if isinstance(event, ToolCall):
            demand(event.index == calls, "tool calls are not counted from 0", events)
            calls += 1
        elif isinstance(event, ToolCallDelta):
            demand(0 <= event.index < calls, "arguments of a call that was not announced", events)
    answer = fold(events)
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    demand(answer.text == said, "the fold says something else", answer)
    demand((answer.finish_reason is None) == (fault is not None), "the fold ends otherwise", answer, fault)
    records = [native_records.delta(event) for event in events]
    demand(json.loads(dumps(records)) is not None, "no JSON")


# ── stop sequences ────────────────────────────────────────────────────────────────────────────────────


def _check_cutting(answer: Answer, whole: Outcome, pieces: list[bytes]) -> None:
    """Read with the sequences, the answer is the whole one up to the first, by the law's own words."""
    expected = cut_by_the_law(*whole, answer.stop)
    for cutting in (pieces, [answer.body]):
        events, fault = _read(CuttingReader(answer.reader(), answer.stop), cutting)
        got = (joined(events), fault)
        demand(got == expected, "cut otherwise than the law says", got, expected, answer.stop)


def cut_by_the_law(events: list[Event], fault: Fault, stop: tuple[str, ...]) -> tuple[list[Event], Fault]:
    """Return what must come out where `events` and then `fault` come in: text joined, counters left out."""
    kept: list[Event] = []
    for event in joined(events):
        if isinstance(event, TextDelta):
            found = [place for place in map(event.text.find, stop) if place >= 0]
            if found:
                before = event.text[: min(found)]
                return [*kept, *([TextDelta(before)] if before else []), STOPPED], None
        kept.append(event)
    return kept, fault


def joined(events: list[Event]) -> list[Event]:
    """Return the events with neighbouring text in one, and without counters, which come at any time."""
    out: list[Event] = []
    for event in events:
        if isinstance(event, TextDelta) and out and isinstance(out[-1], TextDelta):
            out[-1] = TextDelta(out[-1].text + event.text)
        elif not isinstance(event, Usage):
            out.append(event)
    return out


# ── inputs ────────────────────────────────────────────────────────────────────────────────────────────

LINES = (
    *(
        b"!throttlingException\t{}",
        b'!validationException\t{"message":"no"}',
        b"!\t",
        b"?500\tword",
        b"#\x00\x00",
    ),
    *(
        b"chunk\t{}",
        b"chunk\tnull",
        b"chunk\t[]",
        b"messageStop\t{}",
        b"metadata\t{}",
        b"ping\t{}",
        b"#",
        b"~1",
        b"~15",
    ),
    *(
        b'=chunk\t{"bytes":5}',
        b'=chunk\t{"bytes":"e3"}',
        b'=chunk\t{"p":""}',
        b"=chunk\t[]",
        b'=chunk\t{"bytes":null}',
    ),
    *('=chunk\t{"bytes":"é"}'.encode(), b"=chunk\t{"),
)
STOPS = (b"", b"e", b"the,he", b"\n", b"Paris", b" a", b"aa,ab,b", b"</think>", b"<")


def _mutate(data: bytes, rng: Random) -> bytes:
    head, *lines = data.split(b"\n")
    chance = rng.random()
    if chance < 0.1 or not lines:
        return mutate_bytes(data, rng)
    if chance < 0.2:
        family, mode, *_ = (*head.split(b" "), b"", b"")
        family = rng.choice(FAMILIES).encode() if chance > 0.18 else family
        mode = rng.choice((b"stream", b"unary")) if chance > 0.19 else mode
        stop = rng.choice((rng.choice(STOPS), _said(data, rng)))
        return b"\n".join([b" ".join((family, mode, stop)), *lines])
    at = rng.randrange(len(lines))
    kind, tab, payload = lines[at].rpartition(b"\t")
    match rng.randrange(8):
        case 0:
            del lines[at]
        case 1:
            lines.insert(rng.choice((at, len(lines))), rng.choice(LINES))
        case 2:
            lines.insert(at, rng.choice(lines))
        case 3:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines[at] = kind + tab + _payload(payload, rng)
    return b"\n".join([head, *lines])


def _said(data: bytes, rng: Random) -> bytes:
    """Return some words of the answer, for a stop sequence: with luck they lie across deltas."""
    answer = parse(data)
    reader, events = answer.reader(), list[Event]()
    with suppress(Exception):  # a mutator finds nothing
        reader.feed(answer.body, events)
        reader.close(events)
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    at, length = rng.randrange(len(text) + 1), rng.randrange(1, 9)
    return text[at : at + length].replace("\n", "").encode()


def _payload(payload: bytes, rng: Random) -> bytes:
    try:
        value = mutate_json(json.loads(payload), rng)
        return orjson.dumps(value)
    except (ValueError, TypeError, RecursionError):
        return mutate_bytes(payload, rng).replace(b"\n", b" ")


def _seeds() -> Iterator[bytes]:
    for number, folder in enumerate(CASES):
        transcript = Transcript(folder)
        family, stop = folder.parent.name.encode(), STOPS[number % len(STOPS)]
        frames = [name.encode() + b"\t" + payload for name, payload in transcript.payloads()]
        yield b"\n".join([family + b" stream " + stop, *frames])
        body = json.dumps(transcript.json("answer.json")["body"]).encode()
        yield b"\n".join([family + b" unary " + stop, body])


def _recorded() -> Iterator[bytes]:
    for number, recording in enumerate(recordings()):
        family = family_of(recording)
        if family is None:
            continue
        stop = STOPS[number % len(STOPS)]
        if "response_base64" in recording:
            lines = [family.encode() + b" stream " + stop, *_frames(recording)]
        else:
            lines = [family.encode() + b" unary " + stop, orjson.dumps(recording["response"])]
        yield b"\n".join(lines)[: TARGET.max_length]


def _frames(recording: dict[str, Any]) -> Iterator[bytes]:
    buffer = EventStreamBuffer()
    buffer.add_data(base64.b64decode(recording["response_base64"]))
    for frame in buffer:
        payload = frame.payload
        if recording["operation"] != "converse-stream":
            payload = base64.b64decode(json.loads(payload)["bytes"])
        yield frame.headers[":event-type"].encode() + b"\t" + payload


@contextmanager
def _opened() -> Iterator[Callable[[bytes], None]]:
    yield check


TARGET = Target(
    name="readers", opened=_opened, seeds=_seeds, recorded=_recorded, mutate=_mutate, max_length=16384
)
