"""Laws that hold for every family, whatever an answer holds."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import CODECS
from gateway.domain import Stop
from gateway.errors import GatewayError
from tests.codecs.transcript import CASES, Transcript, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.domain import Event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
ABSENT = object()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from places(inner)


@st.composite
def damaged(draw: st.DrawFn, values: list[Any]) -> list[Any]:
    """Return the JSON values with up to three places changed or gone, or values moved about."""
    damaged = copy.deepcopy(values)
    for _ in range(draw(st.integers(1, 3))):
        spots = list(places(damaged))
        container, key = spots[draw(st.integers(0, len(spots) - 1))]
        new = draw(JSON | st.just(ABSENT) | st.sampled_from(values))
        if new is not ABSENT:
            container[key] = copy.deepcopy(new)
        elif isinstance(container, dict):
            del container[key]
        else:
            container.pop(key)
        if not damaged:
            break
    return damaged


def is_text(value: Any) -> bool:
    """Tell whether a value is text with something in it."""
    return isinstance(value, str) and bool(value)


def is_count(value: Any) -> bool:
    """Tell whether a value is a counter, or nothing."""
    return value is None or (type(value) is int and 0 <= value < 2**53)


PROMISES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "TextDelta": lambda fields: is_text(fields["text"]),
    "ReasoningDelta": lambda fields: [type(value) for value in fields.values() if value is not None] == [str],
    "ToolCall": lambda fields: is_count(fields["index"]) and isinstance(fields["id"] + fields["name"], str),
    "ToolCallDelta": lambda fields: is_text(fields["arguments"]),
    "Citation": lambda fields: isinstance(fields["citation"], dict),
    "Usage": lambda fields: all(is_count(value) for value in fields.values()),
    "Stop": lambda fields: isinstance(fields["raw"], str),
}


def unsound(events: list[Event]) -> list[Event]:
    """Return the events that break what their type promises."""
    return [event for event in events if not PROMISES[type(event).__name__](said(event))]


@given(data=st.data(), case=st.sampled_from(CASES))
def test_a_damaged_stream_gives_sound_events_or_an_error_of_ours(data: st.DataObject, case: Any) -> None:
    """No KeyError, no TypeError: what upstream sends is looked at before it is believed."""
    transcript = Transcript(case)
    frames = [[event_type, json.loads(payload)] for event_type, payload in transcript.payloads()]
    events: list[Event] = []
    extractor = transcript.codec.extractor()
    try:
        for frame in data.draw(damaged(frames)):
            if isinstance(frame, list) and len(frame) == 2 and isinstance(frame[0], str):
                extractor.feed(frame[0], json.dumps(frame[1]).encode(), events)
        extractor.close(events)
    except GatewayError:
        pass
    else:
        assert [event for event in events if isinstance(event, Stop)] == [events[-1]]
    assert unsound(events) == []


@given(data=st.data(), case=st.sampled_from(CASES))
def test_a_damaged_answer_gives_sound_events_or_an_error_of_ours(data: st.DataObject, case: Any) -> None:
    """The same for whole answers."""
    transcript = Transcript(case)
    answer = transcript.json("answer.json")
    events: list[Event] = []
    for body in data.draw(damaged([answer["body"]])):
        try:
            transcript.codec.read(json.dumps(body).encode(), answer["headers"], events)
        except GatewayError:
            continue
    assert unsound(events) == []


@given(payload=st.binary(), family=st.sampled_from(sorted(CODECS)), event_type=st.text(max_size=5))
def test_any_bytes_give_an_error_of_ours_at_the_worst(payload: bytes, family: Any, event_type: str) -> None:
    """Even bytes that are no JSON and frames that nobody knows."""
    for name in (event_type, "chunk", "contentBlockDelta"):
        try:
            CODECS[family].extractor().feed(name, payload, [])
        except GatewayError:
            continue
