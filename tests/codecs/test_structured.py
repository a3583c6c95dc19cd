"""Answers that a model gives as the arguments of a tool."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bedrock.answer_reader import AnsweringReader
from gateway.codecs.structured import AnswerFilter, with_tool
from gateway.completion import fold
from gateway.domain import (
    Citation,
    CompletionRequest,
    FinishReason,
    Message,
    ReasoningDelta,
    ResponseFormat,
    Stop,
    TextDelta,
    TextPart,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)
from gateway.errors import UpstreamFailed

if TYPE_CHECKING:
    from gateway.domain import Event

ANSWERS = (ToolCall(0, "t0", "answer"), ToolCallDelta(0, '{"a"'), ToolCallDelta(0, ":1}"))
CALLED = Stop(FinishReason.TOOL_CALLS, "tool_use")
CASES: dict[str, tuple[list[Event], list[Event], set[str]]] = {
    "the arguments are the text": (
        [*ANSWERS, Usage(1, 2), CALLED],
        [TextDelta('{"a"'), TextDelta(":1}"), Usage(1, 2), Stop(FinishReason.STOP, "tool_use")],
        set(),
    ),
    "talk beside it is left out, and told": (
        [TextDelta("Sure: "), *ANSWERS, TextDelta("."), CALLED],
        [TextDelta('{"a"'), TextDelta(":1}"), Stop(FinishReason.STOP, "tool_use")],
        {"text:beside_structured_output"},
    ),
    "white space is no talk": (
        [TextDelta("\n"), *ANSWERS, CALLED],
        [TextDelta('{"a"'), TextDelta(":1}"), Stop(FinishReason.STOP, "tool_use")],
        set(),
    ),
    "reasoning is the caller's": (
        [ReasoningDelta("Hm."), *ANSWERS, CALLED],
        [
            ReasoningDelta("Hm."),
            TextDelta('{"a"'),
            TextDelta(":1}"),
            Stop(FinishReason.STOP, "tool_use"),
        ],
        set(),
    ),
    "a model that will not": (
        [TextDelta("I can't."), Citation({}), Stop(FinishReason.REFUSAL, "refusal")],
        [TextDelta("I can't."), Citation({}), Stop(FinishReason.REFUSAL, "refusal")],
        set(),
    ),
    "cut by the limit": (
        [*ANSWERS[:2], Stop(FinishReason.LENGTH, "max_tokens")],
        [TextDelta('{"a"'), Stop(FinishReason.LENGTH, "max_tokens")],
        set(),
    ),
    "a tool of the caller's": (
        [TextDelta("I look."), ToolCall(0, "t0", "clock"), ToolCallDelta(0, "{}"), CALLED],
        [TextDelta("I look."), ToolCall(0, "t0", "clock"), ToolCallDelta(0, "{}"), CALLED],
        set(),
    ),
    "both": (
        [*ANSWERS, ToolCall(1, "t1", "clock"), ToolCallDelta(1, "{}"), CALLED],
        [TextDelta('{"a"'), TextDelta(":1}"), ToolCall(0, "t1", "clock"), ToolCallDelta(0, "{}"), CALLED],
        set(),
    ),
    "the answer twice": (
        [*ANSWERS, ToolCall(1, "t1", "answer"), ToolCallDelta(1, "{}"), CALLED],
        [TextDelta('{"a"'), TextDelta(":1}"), Stop(FinishReason.STOP, "tool_use")],
        {"tool_call:another_structured_output"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_caller_hears(case: str) -> None:
    """Of what the model said, as one knew nothing of the tool."""
    heard, said, unknown = CASES[case]
    events: list[Event] = []
    sieve = AnswerFilter("answer")
    sieve.feed(heard, events)
    assert (events, sieve.unknown) == (said, unknown)


@given(cuts=st.lists(st.integers(0, 8), max_size=4), case=st.sampled_from(sorted(CASES)))
def test_it_makes_no_difference_how_the_events_come(cuts: list[int], case: str) -> None:
    """Whole = one by one = random cuts."""
    heard, said, _ = CASES[case]
    events: list[Event] = []
    sieve = AnswerFilter("answer")
    edges = sorted({0, len(heard), *(min(cut, len(heard)) for cut in cuts)})
    for begin, end in pairwise(edges):
        sieve.feed(heard[begin:end], events)
    assert fold(events) == fold(said)


class Failing:
    """A reader whose answer fails behind some text."""

    unknown = frozenset({"x"})
    finished = False

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Say something; fail at the second piece."""
        events.append(TextDelta(data.decode()))
        if data == b"b":
            raise UpstreamFailed("it failed")

    def close(self, events: list[Event]) -> None:
        """Fail behind the last words."""
        events.append(TextDelta("c"))
        raise UpstreamFailed("it failed")


@pytest.mark.parametrize("last", ["feed", "close"])
def test_what_came_before_a_fault_is_the_callers(last: str) -> None:
    """Text that waited is told before the error is."""
    reader = AnsweringReader(Failing(), "answer")  # type: ignore[arg-type]  # as much of a reader as it takes
    events: list[Event] = []
    reader.feed(b"a", events)
    assert events == []
    with pytest.raises(UpstreamFailed):
        reader.feed(b"b", events) if last == "feed" else reader.close(events)
    assert events == [TextDelta("a"), TextDelta("b" if last == "feed" else "c")]
    assert (reader.unknown, reader.finished, reader.cut) == ({"x"}, False, False)


REQUEST = CompletionRequest(model="m", messages=(Message("user", (TextPart("Hi"),)),))


@pytest.mark.parametrize(
    ("form", "tools", "choice", "names"),
    [
        (ResponseFormat({"type": "object"}, "weather"), (), None, ["weather"]),
        (ResponseFormat({"type": "object"}, "so und so!"), (), None, ["so_und_so_"]),
        (ResponseFormat(), (), None, ["answer"]),
        (ResponseFormat(), ("answer",), None, ["answer", "answer_answer"]),
        (ResponseFormat(), ("clock",), ToolChoice("none"), ["answer"]),
        (ResponseFormat(None, "x" * 99), ("clock",), None, ["clock", "x" * 57]),
    ],
)
def test_the_tool_beside_the_callers(
    form: ResponseFormat, tools: tuple[str, ...], choice: ToolChoice | None, names: list[str]
) -> None:
    """It bears the schema's name, has one of its own, and some tool must be called."""
    own = tuple(Tool(name, None, {}) for name in tools)
    asked = replace(REQUEST, response_format=form, tools=own, tool_choice=choice)
    made, name = with_tool(asked)
    assert [tool.name for tool in made.tools] == names
    assert (name, made.tool_choice, made.response_format) == (names[-1], ToolChoice("any"), None)
    assert json.dumps(made.tools[-1].input_schema)
