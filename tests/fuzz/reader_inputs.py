"""Answers of upstream's to begin with, and how to change one."""

from __future__ import annotations

import base64
import itertools
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
from botocore.eventstream import EventStreamBuffer

from gateway.codecs.embeddings import EMBEDDERS
from gateway.domain import Event, TextDelta
from tests.codecs.test_recordings import family_of
from tests.codecs.transcript import CASES, Transcript
from tests.fuzz.mutation import mutate_bytes, mutate_json
from tests.fuzz.recordings import recordings
from tests.fuzz.upstream_answers import FAMILIES, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


MAX_LENGTH = 16384
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


WHOLES = (
    b'{"embedding":[0.1,-2],"embeddingsByType":{"float":[1]},"inputTextTokenCount":3}',
    b'{"embeddings":[[0.1,0.2],[1,2]],"response_type":"embeddings_floats"}',
    b'{"embeddings":{"float":[[0.1]]}}',
    b'{"embeddings":[{"embeddingType":"TEXT","embedding":[0.1]}]}',
    b'{"message":"The account 123456789012 may not.","code":"ThrottlingException"}',
    b'{"__type":"com.amazon#ValidationException","Message":"on-demand throughput isn\'t supported"}',
    b'{"message":"The provided model identifier is invalid."}',
    b"<html>no</html>",
)
HEADS = (
    *(
        b"error 400 ValidationException:http",
        b"error 429 ThrottlingException 1500",
        b"error 503",
        b"error 418 x 0",
    ),
    *(
        b"error 404 a#ResourceNotFoundException",
        b"error 500 \xc3\xa9",
        b"error 403 AccessDeniedException -1",
        b"error 200",
    ),
    *(
        b"embed " + name.encode() + tail
        for name in EMBEDDERS
        for tail in (b" 1 3", b" 2", b" 1 x", b" 0 -1", b" 1 9999999999999999")
    ),
)


def mutate(data: bytes, rng: Random) -> bytes:
    """Return the answer with other sequences, lines or values, or just bytes changed."""
    head, *lines = data.split(b"\n")
    chance = rng.random()
    if chance < 0.1 or not lines:
        return mutate_bytes(data, rng)
    if chance < 0.2:
        if head.startswith((b"error", b"embed")):
            return b"\n".join([rng.choice(HEADS), *lines])
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


def seeds() -> Iterator[bytes]:
    """Yield the transcripts of every family, streamed and whole, then errors and vectors."""
    for number, folder in enumerate(CASES):
        transcript = Transcript(folder)
        family, stop = folder.parent.name.encode(), STOPS[number % len(STOPS)]
        frames = [name.encode() + b"\t" + payload for name, payload in transcript.payloads()]
        yield b"\n".join([family + b" stream " + stop, *frames])
        body = json.dumps(transcript.json("answer.json")["body"]).encode()
        yield b"\n".join([family + b" unary " + stop, body])

    for head, body in zip(HEADS, itertools.cycle(WHOLES), strict=False):
        yield head + b"\n" + body


def recorded() -> Iterator[bytes]:
    """Yield every recorded answer that a codec reads."""
    for number, recording in enumerate(recordings()):
        family = family_of(recording)
        if family is None:
            continue
        stop = STOPS[number % len(STOPS)]
        if "response_base64" in recording:
            lines = [family.encode() + b" stream " + stop, *_frames(recording)]
        else:
            lines = [family.encode() + b" unary " + stop, orjson.dumps(recording["response"])]
        yield b"\n".join(lines)[:MAX_LENGTH]


def _frames(recording: dict[str, Any]) -> Iterator[bytes]:
    buffer = EventStreamBuffer()
    buffer.add_data(base64.b64decode(recording["response_base64"]))
    for frame in buffer:
        payload = frame.payload
        if recording["operation"] != "converse-stream":
            payload = base64.b64decode(json.loads(payload)["bytes"])
        yield frame.headers[":event-type"].encode() + b"\t" + payload
