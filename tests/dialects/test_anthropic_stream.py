"""Anthropic's answers: every stream is a legal one with one end, and folds into the whole answer."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.completion import fold
from gateway.dialects import anthropic_answer, anthropic_errors
from gateway.dialects.anthropic_stream import PING, AnthropicStream
from gateway.dialects.protocol import Begun, Ended
from gateway.domain import (
    Citation,
    Event,
    FinishReason,
    PassedOn,
    ReasoningDelta,
    Stop,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from gateway.errors import (
    DeadlineExceeded,
    GatewayError,
    InternalError,
    InvalidRequest,
    Overloaded,
    PayloadTooLarge,
    UnknownModel,
    UpstreamDenied,
    UpstreamProtocolError,
    UpstreamThrottled,
)
from tests.dialects.anthropic_reading import events_of, folded

BEGUN = Begun("cmpl_1", "us.amazon.nova-micro-v1:0", "amazon", "r")
USED = Usage(input_tokens=9, output_tokens=4, cache_read_tokens=2)
COUNTED = {
    "input_tokens": 9,
    "cache_creation_input_tokens": None,
    "cache_read_input_tokens": 2,
    "output_tokens": 4,
}
CONVERSE_CITATION = {
    "title": "Doc",
    "sourceContent": [{"text": "by "}, {"text": "Ana"}],
    "location": {"documentChar": {"documentIndex": 1, "start": 2, "end": 6}},
}
CHAR_LOCATION = {
    "type": "char_location",
    "cited_text": "by Ana",
    "document_index": 1,
    "document_title": "Doc",
    "start_char_index": 2,
    "end_char_index": 6,
}


def ended(reason: FinishReason = FinishReason.STOP, raw: str = "end_turn", used: Usage = USED) -> Ended:
    """Return the end of an answer."""
    return Ended(Stop(reason, raw), used, dict, None)


def written(*batches: list[Event], last: Ended | None = None) -> list[dict[str, Any]]:
    """Return the events of a whole stream."""
    encoder = AnthropicStream()
    data = [encoder.start(BEGUN), *[encoder.events(batch) for batch in batches]]
    return events_of(b"".join([*data, encoder.done(last or ended())]))


def test_a_stream() -> None:
    """Each kind of event, as Anthropic writes it."""
    batches: list[list[Event]] = [
        [ReasoningDelta(text="h"), ReasoningDelta(text="m"), ReasoningDelta(signature="s")],
        [ReasoningDelta(redacted="eA==")],
        [Usage(input_tokens=9), TextDelta("a"), TextDelta("b")],
        [TextDelta("c\n\u2028")],
        [Citation(CONVERSE_CITATION)],
        [ToolCall(0, "t0", "f"), ToolCall(1, "t1", "g"), ToolCallDelta(1, '{"x"'), ToolCallDelta(1, ":1}")],
        [ToolCallDelta(0, "{}"), PassedOn(b"", 0), Stop(FinishReason.TOOL_CALLS, "tool_use")],
    ]

    def delta(index: int, **fields: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": fields}

    def begin(index: int, **fields: Any) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": fields}

    def end(index: int) -> dict[str, Any]:
        return {"type": "content_block_stop", "index": index}

    assert written(*batches, last=ended(FinishReason.TOOL_CALLS, "tool_use")) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "us.amazon.nova-micro-v1:0",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 0, "output_tokens": 0},
            },
        },
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="h"),
        delta(0, type="thinking_delta", thinking="m"),
        delta(0, type="signature_delta", signature="s"),
        end(0),
        begin(1, type="redacted_thinking", data="eA=="),
        end(1),
        begin(2, type="text", text=""),
        delta(2, type="text_delta", text="a"),
        delta(2, type="text_delta", text="b"),
        delta(2, type="text_delta", text="c\n\u2028"),
        delta(2, type="citations_delta", citation=CHAR_LOCATION),
        end(2),
        begin(3, type="tool_use", id="t0", name="f", input={}),
        end(3),
        begin(4, type="tool_use", id="t1", name="g", input={}),
        delta(4, type="input_json_delta", partial_json='{"x"'),
        delta(4, type="input_json_delta", partial_json=":1}"),
        end(4),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": COUNTED,
        },
        {"type": "message_stop"},
    ]


def test_every_kind_of_event_has_its_handler() -> None:
    """A new kind of event comes with its place in the stream."""
    assert set(AnthropicStream._HANDLERS) == set(get_args(Event))


def test_an_empty_answer() -> None:
    """It has a beginning and an end."""
    assert folded(written([]))["content"] == []


def test_a_call_that_goes_on_behind_its_end() -> None:
    """There is no legal way to say it, and nothing is lost in silence."""
    encoder = AnthropicStream()
    encoder.events([ToolCall(0, "t0", "f"), ToolCall(1, "t1", "g")])

    with pytest.raises(UpstreamProtocolError):
        encoder.events([ToolCallDelta(0, '{"x": 1}')])


def test_a_heartbeat() -> None:
    """It is the event that clients of Anthropic know for it."""
    assert events_of(AnthropicStream().heartbeat) == [{"type": "ping"}]
    assert folded(events_of(AnthropicStream().start(BEGUN) + PING + AnthropicStream().done(ended())))


ENDINGS: list[tuple[FinishReason, str, tuple[str, ...], str, str | None]] = [
    (FinishReason.STOP, "end_turn", (), "end_turn", None),
    (FinishReason.STOP, "FINISH", (), "end_turn", None),
    (FinishReason.STOP, "stop_sequence", ("x",), "stop_sequence", "x"),
    (FinishReason.STOP, "stop_sequence", ("x", "y"), "stop_sequence", None),
    (FinishReason.STOP, "pause_turn", (), "pause_turn", None),
    (FinishReason.LENGTH, "length", (), "max_tokens", None),
    (FinishReason.LENGTH, "model_context_window_exceeded", (), "model_context_window_exceeded", None),
    (FinishReason.TOOL_CALLS, "tool_calls", (), "tool_use", None),
    (FinishReason.REFUSAL, "refusal", (), "refusal", None),
    (FinishReason.CONTENT_FILTER, "end_turn", (), "refusal", None),
    (FinishReason.STOP, "tool_use", (), "end_turn", None),
]


@pytest.mark.parametrize(("reason", "raw", "asked", "told", "found"), ENDINGS)
def test_stop_reasons(
    reason: FinishReason, raw: str, asked: tuple[str, ...], told: str, found: str | None
) -> None:
    """Anthropic's own words stay, others become one of them."""
    assert anthropic_answer.ending(Stop(reason, raw), asked) == {"stop_reason": told, "stop_sequence": found}


def test_counters_that_nobody_told() -> None:
    """Clients need two of them to be numbers."""
    assert anthropic_answer.usage(Usage()) == {
        "input_tokens": 0,
        "cache_creation_input_tokens": None,
        "cache_read_input_tokens": None,
        "output_tokens": 0,
    }


@pytest.mark.parametrize(
    ("given", "shaped"),
    [
        (CONVERSE_CITATION, CHAR_LOCATION),
        (
            {"location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}},
            {
                "type": "page_location",
                "cited_text": "",
                "document_index": 0,
                "document_title": None,
                "start_page_number": 1,
                "end_page_number": 2,
            },
        ),
        ({"type": "x"}, {"type": "x"}),
        ({}, {}),
        ({"location": {}}, {"location": {}}),
        ({"location": {"web": {}}}, {"location": {"web": {}}}),
        ({"location": 1}, {"location": 1}),
        ({"location": {"documentChar": 1}}, {"location": {"documentChar": 1}}),
    ],
)
def test_citations(given: dict[str, Any], shaped: dict[str, Any]) -> None:
    """Converse's places have names of Anthropic's; what has none stays as it is."""
    assert anthropic_answer.citation(given) == shaped


@pytest.mark.parametrize("arguments", ['{"city": "Ro', "[]"])
def test_arguments_that_are_no_object(arguments: str) -> None:
    """A call that was cut is told, in the one key that Anthropic has for it."""
    answer = fold([ToolCall(0, "t", "f"), ToolCallDelta(0, arguments)])

    content = anthropic_answer.message(BEGUN, answer, ended())["content"]

    assert content == [{"type": "tool_use", "id": "t", "name": "f", "input": {"INVALID_JSON": arguments}}]


# ── the law ───────────────────────────────────────────────────────────────────────────────────────────

WORDS = st.text(min_size=1, max_size=5)
PIECES = st.lists(WORDS, min_size=1, max_size=4)


@st.composite
def calls(draw: st.DrawFn) -> list[list[Event]]:
    """Return the tool calls of one answer, numbered as codecs number them."""
    runs: list[list[Event]] = []
    for number in range(draw(st.integers(0, 3))):
        text = json.dumps(draw(st.dictionaries(WORDS, WORDS, max_size=2)))
        cut = draw(st.integers(0, len(text)))
        pieces = [piece for piece in (text[:cut], text[cut:]) if piece]
        runs.append(
            [ToolCall(number, f"t{number}", "f"), *[ToolCallDelta(number, piece) for piece in pieces]]
        )
    return runs


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Return the events of one answer: reasoning that is signed, text with citations, tool calls."""
    runs: list[list[Event]] = [
        draw(
            st.one_of(
                PIECES.map(lambda said: [TextDelta(text) for text in said]),
                PIECES.map(
                    lambda said: [*[ReasoningDelta(text=t) for t in said], ReasoningDelta(signature="s")]
                ),
                st.just([ReasoningDelta(redacted="eA==")]),
                st.just([Citation(CONVERSE_CITATION)]),
                st.just([Usage(output_tokens=3)]),
            )
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    runs += draw(calls())
    return [event for run in runs for event in run]


@settings(max_examples=150)
@given(answers(), st.data())
def test_the_stream_folds_into_the_whole_answer(events: list[Event], data: st.DataObject) -> None:
    """However it was cut into batches, a stream is legal, ends once, and says what the whole answer says."""
    cut = data.draw(st.integers(0, len(events)))

    streamed = folded(written(events[:cut], events[cut:]))

    assert streamed == json.loads(json.dumps(anthropic_answer.message(BEGUN, fold(events), ended())))


@settings(max_examples=60)
@given(answers(), st.data())
def test_a_stream_that_fails_ends_in_the_error(events: list[Event], data: st.DataObject) -> None:
    """It never ends like a good one."""
    encoder = AnthropicStream()
    said = encoder.start(BEGUN) + encoder.events(events[: data.draw(st.integers(0, len(events)))])

    end = folded(events_of(said + encoder.error(UpstreamProtocolError("cut"), USED, request_id="req_1")))

    assert end == {
        "type": "error",
        "error": {"type": "api_error", "message": "cut", "details": {"error_code": "upstream_protocol"}},
        "request_id": "req_1",
    }


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────

ERRORS: list[tuple[GatewayError, int, str, str]] = [
    (InvalidRequest("x", param="model"), 400, "invalid_request_error", "false"),
    (UnknownModel("x"), 404, "not_found_error", "false"),
    (PayloadTooLarge("x"), 413, "request_too_large", "false"),
    (UpstreamThrottled("x", retry_after=2), 429, "rate_limit_error", "true"),
    (InternalError("x"), 500, "api_error", "false"),
    (UpstreamDenied("x"), 502, "api_error", "false"),
    (Overloaded("x"), 529, "overloaded_error", "true"),
    (DeadlineExceeded("x"), 504, "timeout_error", "true"),
]


@pytest.mark.parametrize(("fault", "status", "kind", "again"), ERRORS)
def test_errors(fault: GatewayError, status: int, kind: str, again: str) -> None:
    """Clients find the class by the status, the cause by the type, our code in the details."""
    answer = anthropic_errors.refusal(fault, "req_1")

    assert (answer.status, answer.headers) == (status, {"request-id": "req_1", "x-should-retry": again})
    assert answer.value["request_id"] == "req_1"
    assert answer.value["error"] == {
        "type": kind,
        "message": "x",
        "details": {"error_code": fault.code},
        **({"param": fault.param} if fault.param else {}),
    }
