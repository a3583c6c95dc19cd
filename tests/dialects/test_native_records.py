"""The native API's answers: every record has exactly the shape that DESIGN.md's stream section shows."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from gateway.completion import Completion, fold
from gateway.dialects import native_records
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
from gateway.errors import InvalidRequest, UpstreamThrottled
from gateway.wire.json import dumps

TIMING = {"queue_ms": 0.1, "first_byte_ms": 412.0, "total_ms": 900.4}
BEGUN = Begun("cmpl_1", "m", "p", "r")
START = {"type": "start", "id": "cmpl_1", "model": "m", "provider": "p", "upstream_request_id": "r"}
NO_USAGE = {
    "input_tokens": None,
    "output_tokens": None,
    "cache_read_tokens": None,
    "cache_write_tokens": None,
}


def test_start() -> None:
    """The first record says what answers."""
    assert native_records.start(BEGUN) == START


DELTAS: list[tuple[Event, dict[str, Any] | None]] = [
    (TextDelta("Hel"), {"type": "text_delta", "text": "Hel"}),
    (ReasoningDelta(text="hm"), {"type": "reasoning_delta", "text": "hm"}),
    (ReasoningDelta(signature="s"), {"type": "reasoning_delta", "signature": "s"}),
    (ReasoningDelta(redacted="r"), {"type": "reasoning_delta", "redacted": "r"}),
    (
        ToolCall(0, "toolu_1", "get_weather"),
        {"type": "tool_call", "index": 0, "id": "toolu_1", "name": "get_weather"},
    ),
    (ToolCallDelta(0, '{"ci'), {"type": "tool_call_delta", "index": 0, "arguments": '{"ci'}),
    (Citation({"title": "t"}), {"type": "citation", "citation": {"title": "t"}}),
    (Usage(input_tokens=1), None),
    (PassedOn(b"{}", 0), None),
    (Stop(FinishReason.STOP, "end_turn"), None),
]


@pytest.mark.parametrize(("event", "record"), DELTAS)
def test_delta(event: Event, record: dict[str, Any] | None) -> None:
    """Each event has its record; usage and stop wait for the terminal one."""
    assert native_records.delta(event) == record


def test_every_kind_of_event_is_in_the_table() -> None:
    """A new kind of event comes with its record."""
    assert {type(event) for event, _ in DELTAS} == set(get_args(Event))


@pytest.mark.parametrize("reason", FinishReason)
def test_done(reason: FinishReason) -> None:
    """A whole answer ends in finish reason, usage, cost and timing."""
    tokens = Usage(input_tokens=9, output_tokens=4, cache_read_tokens=0, cache_write_tokens=0)

    record = native_records.done(Ended(Stop(reason, "its own word"), tokens, lambda: TIMING, 0.000087))

    assert json.loads(dumps(record)) == {
        "type": "done",
        "finish_reason": str(reason),
        "stop_reason": "its own word",
        "usage": {"input_tokens": 9, "output_tokens": 4, "cache_read_tokens": 0, "cache_write_tokens": 0},
        "cost_usd": 0.000087,
        "timing": TIMING,
    }


def test_finish_reasons() -> None:
    """The vocabulary of DESIGN.md."""
    assert [str(reason) for reason in FinishReason] == [
        *("stop", "length", "tool_calls", "content_filter", "refusal")
    ]


def test_error() -> None:
    """A failed answer ends in the error and the usage known so far."""
    fault = UpstreamThrottled("Too fast.", detail="CANARY", retry_after=1, upstream_request_id="r")

    record = native_records.error(fault, Usage(input_tokens=9), request_id="req_1")

    assert record == {
        "type": "error",
        "error": {
            "code": "upstream_throttled",
            "message": "Too fast.",
            "retryable": True,
            "request_id": "req_1",
            "upstream_request_id": "r",
        },
        "usage": {**NO_USAGE, "input_tokens": 9},
    }
    assert json.loads(dumps(record)) == record


def test_problem_names_the_field() -> None:
    """An error that concerns one field names it; `detail` is for the log only."""
    fault = InvalidRequest("Wrong.", param="messages[0]", detail="CANARY", upstream_code="X")

    assert native_records.problem(fault, request_id="req_1") == {
        "code": "invalid_request",
        "message": "Wrong.",
        "retryable": False,
        "param": "messages[0]",
        "request_id": "req_1",
        "upstream_request_id": None,
    }


EVENTS: list[Event] = [
    ReasoningDelta(text="hm"),
    ReasoningDelta(signature="s"),
    ReasoningDelta(redacted="r"),
    TextDelta("Hel"),
    TextDelta("lo"),
    ToolCall(0, "t1", "f"),
    ToolCallDelta(0, '{"a":'),
    ToolCallDelta(0, "1}"),
    Citation({"title": "t"}),
    Usage(input_tokens=9, output_tokens=4),
    Stop(FinishReason.TOOL_CALLS, "tool_use"),
]


@pytest.mark.parametrize(
    ("folded", "message"),
    [
        (Completion(), {"role": "assistant", "content": ""}),
        (
            fold(EVENTS),
            {
                "role": "assistant",
                "content": "Hello",
                "reasoning": [{"text": "hm", "signature": "s"}, {"redacted": "r"}],
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
                ],
                "citations": [{"title": "t"}],
            },
        ),
    ],
)
def test_completion(folded: Completion, message: dict[str, Any]) -> None:
    """The unary answer is start and done in one, with the message in between."""
    ended = Ended(Stop(FinishReason.STOP, "end_turn"), folded.usage, lambda: TIMING, None)

    record = native_records.completion(BEGUN, folded, ended)

    assert record == {
        **native_records.start(BEGUN),
        **native_records.done(ended),
        "type": "completion",
        "message": message,
    }
    assert json.loads(dumps(record)) == record
