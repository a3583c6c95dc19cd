"""Answers in every dialect say what the model said, whole or streamed, and may be given back as they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.completion import FoldedReasoning, FoldedText, fold
from gateway.dialects.protocol import Ended
from gateway.domain import (
    Citation,
    Event,
    FinishReason,
    Part,
    ReasoningDelta,
    ReasoningPart,
    Stop,
    TextDelta,
    TextPart,
    ToolCall,
    ToolCallDelta,
    ToolUsePart,
    Usage,
)
from tests.dialects.reading import ANSWERS, Read, streamed
from tests.dialects.writing import DIALECTS, Written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.completion import Completion

WORDS = st.text(min_size=1, max_size=4)
PIECES = st.lists(WORDS, min_size=1, max_size=3)
CITATIONS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"type": "char_location", "cited_text": "a", "document_index": 0},
        {"title": "t", "source": "s"},
    ]
)
KINDS = st.sampled_from(["text", "reasoning", "redacted", "call", "usage"])
FINISHES: Mapping[str, Mapping[str, set[FinishReason]]] = {
    "native": {reason.value: {reason} for reason in FinishReason},
    "chat": {
        "stop": {FinishReason.STOP},
        "length": {FinishReason.LENGTH},
        "tool_calls": {FinishReason.TOOL_CALLS},
        "content_filter": {FinishReason.CONTENT_FILTER, FinishReason.REFUSAL},
    },
    "responses": {
        "completed": {FinishReason.STOP, FinishReason.TOOL_CALLS},
        "max_output_tokens": {FinishReason.LENGTH},
        "content_filter": {FinishReason.CONTENT_FILTER, FinishReason.REFUSAL},
    },
    "anthropic": {
        "end_turn": {FinishReason.STOP},
        "max_tokens": {FinishReason.LENGTH},
        "tool_use": {FinishReason.TOOL_CALLS},
        "refusal": {FinishReason.CONTENT_FILTER, FinishReason.REFUSAL},
    },
}
"""Dialect → its word for the end → what that may mean."""


@st.composite
def _thoughts(draw: st.DrawFn) -> list[Event]:
    said: list[Event] = [ReasoningDelta(text=piece) for piece in draw(PIECES)]
    return [*said, ReasoningDelta(signature=draw(WORDS))] if draw(st.booleans()) else said


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Draw the events of one answer, in any order that models have."""
    events: list[Event] = []
    calls = 0
    for kind in draw(st.lists(KINDS, max_size=5)):
        match kind:
            case "text":
                events += [TextDelta(piece) for piece in draw(PIECES)]
                events += [Citation(one) for one in draw(st.lists(CITATIONS, max_size=2))]
            case "reasoning":
                events += draw(_thoughts())
            case "redacted":
                events.append(ReasoningDelta(redacted=draw(WORDS)))
            case "usage":
                events.append(Usage(output_tokens=1))
            case _:
                text = json.dumps(draw(st.dictionaries(WORDS, WORDS, max_size=1)))
                cut = draw(st.integers(1, len(text) - 1))
                events.append(ToolCall(calls, f"t{calls}", draw(st.sampled_from(["f", "g-1"]))))
                events += [ToolCallDelta(calls, text[:cut]), ToolCallDelta(calls, text[cut:])]
                calls += 1
    return events


COUNTS = st.none() | st.integers(0, 9)
ENDS = st.builds(
    lambda reason, usage: Ended(Stop(reason, "its own word"), usage, dict, None),
    st.sampled_from(list(FinishReason)),
    st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS),
)


def countable(usage: Usage, dialect: str) -> Usage | None:
    """Return the counters as a dialect tells them: two need the first ones to be numbers."""
    if dialect == "responses" and None in usage[:2]:
        return None
    if dialect == "anthropic":
        return usage._replace(input_tokens=usage.input_tokens or 0, output_tokens=usage.output_tokens or 0)
    return usage


@pytest.mark.parametrize("dialect", ANSWERS)
def test_an_answer_says_what_the_model_said(dialect: str) -> None:
    """Text, reasoning with what belongs to it, calls, citations, the end and the four counters."""
    ours = ANSWERS[dialect]

    @settings(max_examples=80)
    @given(answers(), ENDS, st.data())
    def check(events: list[Event], ended: Ended, data: st.DataObject) -> None:
        cut = data.draw(st.integers(0, len(events)))
        folded = fold(events)
        expected = Read(
            folded.text,
            folded.reasoning,
            [(call.id, call.name, json.loads(call.arguments)) for call in folded.tool_calls],
            folded.citations,
            "",
            countable(ended.usage, dialect),
        )

        whole = json.loads(json.dumps(ours.whole(events, ended)))
        found = ours.read(whole)
        told = ours.read(streamed(ours, [events[:cut], events[cut:]], ended))

        assert found._replace(ended="") == expected
        assert ended.stop.reason in FINISHES[dialect][found.ended]
        assert told == found

    check()


def given_back(folded: Completion, *, in_order: bool) -> tuple[Part, ...]:
    """Return the parts of the turn that an answer is: in the model's order, or reasoning, text, calls."""
    calls = [ToolUsePart(call.id, call.name, json.loads(call.arguments)) for call in folded.tool_calls]
    if not in_order:
        said = [TextPart(folded.text)] if folded.text else []
        return (*folded.reasoning, *said, *calls)
    left = iter(calls)
    return tuple(
        TextPart(block.text)
        if isinstance(block, FoldedText)
        else block.part
        if isinstance(block, FoldedReasoning)
        else next(left)
        for block in folded.blocks
    )


@pytest.mark.parametrize("dialect", ANSWERS)
def test_an_answer_may_be_given_back(dialect: str) -> None:
    """As a turn of the next request it is the same parts: signatures and the ids of calls are kept."""
    ours = ANSWERS[dialect]
    end = Ended(Stop(FinishReason.STOP, "end_turn"), Usage(1, 1), dict, None)

    @settings(max_examples=80)
    @given(answers().filter(lambda events: any(not isinstance(event, Usage) for event in events)))
    def check(events: list[Event]) -> None:
        expected = given_back(fold(events), in_order=dialect in {"responses", "anthropic"})
        turn = ours.turn(json.loads(json.dumps(ours.whole(events, end))))
        key = "input" if dialect == "responses" else "messages"
        body: dict[str, Any] = {"model": "m", key: [{"role": "user", "content": "x"}, *turn], "max_tokens": 9}
        if dialect == "responses":
            del body["max_tokens"]

        request = DIALECTS[dialect].read(Written(body))

        assert request.messages[1].content == expected
        assert all(isinstance(part, TextPart | ReasoningPart | ToolUsePart) for part in expected)

    check()
