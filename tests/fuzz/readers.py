"""The readers of answers: whatever upstream sends is sound events and one end, or an error of ours.

`upstream_answers` says what an input is.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

from gateway.bedrock.reader import CuttingReader, StreamReader, UnaryReader
from gateway.codecs.stop_sequences import STOPPED
from gateway.completion import fold
from gateway.dialects import native_records
from gateway.domain import Event, Stop, TextDelta, ToolCall, ToolCallDelta, Usage
from gateway.errors import GatewayError, UpstreamProtocolError
from gateway.wire.eventstream import Decoder
from gateway.wire.json import dumps
from tests.codecs.test_laws import unsound
from tests.fuzz import reader_inputs, whole_answers
from tests.fuzz.mutation import cuts
from tests.fuzz.target import Target, demand
from tests.fuzz.upstream_answers import Answer, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Fault: TypeAlias = "tuple[type[GatewayError], str, str | None] | None"
Outcome: TypeAlias = "tuple[list[Event], Fault]"
BYTE_BY_BYTE = 3000


def check(data: bytes) -> None:
    """Hold one answer to every law."""
    if whole_answers.check(data):
        return
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


@contextmanager
def _opened() -> Iterator[Callable[[bytes], None]]:
    yield check


TARGET = Target(
    name="readers",
    opened=_opened,
    seeds=reader_inputs.seeds,
    recorded=reader_inputs.recorded,
    mutate=reader_inputs.mutate,
    max_length=reader_inputs.MAX_LENGTH,
)
