"""The unary answer is the fold of the stream, however the stream was cut."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.completion import Completion, FoldedReasoning, FoldedText, FoldedToolCall, fold
from gateway.domain import (
    Citation,
    Event,
    FinishReason,
    ReasoningDelta,
    ReasoningPart,
    Stop,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def continued(whole: Completion, events: Sequence[Event]) -> Completion:
    """Fold `events` into `whole`."""
    for event in events:
        whole.add(event)
    return whole


def meaning(whole: Completion) -> tuple[object, ...]:
    """Return what an answer says, without how its text was cut."""
    calls = [(call.id, call.name, call.arguments) for call in whole.tool_calls]
    stop = (whole.finish_reason, whole.stop_reason)
    return whole.text, whole.reasoning, calls, whole.citations, whole.usage, stop


REASONING: list[tuple[list[ReasoningDelta], list[ReasoningPart]]] = [
    ([ReasoningDelta(text="a"), ReasoningDelta(text="b")], [ReasoningPart("ab")]),
    ([ReasoningDelta(text="a"), ReasoningDelta(signature="s")], [ReasoningPart("a", "s")]),
    (
        [
            ReasoningDelta(text="a"),
            ReasoningDelta(signature="s"),
            ReasoningDelta(text="b"),
            ReasoningDelta(signature="t"),
        ],
        [ReasoningPart("a", "s"), ReasoningPart("b", "t")],
    ),
    ([ReasoningDelta(signature="s")], [ReasoningPart("", "s")]),
    (
        [ReasoningDelta(text="a"), ReasoningDelta(redacted="r"), ReasoningDelta(text="b")],
        [ReasoningPart("a"), ReasoningPart(redacted="r"), ReasoningPart("b")],
    ),
    (
        [ReasoningDelta(redacted="r"), ReasoningDelta(redacted="q")],
        [ReasoningPart(redacted="r"), ReasoningPart(redacted="q")],
    ),
    (
        [ReasoningDelta(redacted="r"), ReasoningDelta(signature="s")],
        [ReasoningPart(redacted="r"), ReasoningPart("", "s")],
    ),
]


@pytest.mark.parametrize(("deltas", "blocks"), REASONING)
def test_reasoning(deltas: list[ReasoningDelta], blocks: list[ReasoningPart]) -> None:
    """A signature ends its block, and a redacted block stands alone."""
    assert fold(deltas).reasoning == blocks


def test_blocks_are_in_the_order_of_the_answer() -> None:
    """What another kind of block parts is two blocks: the model said them at different times."""
    whole = fold(
        [
            ReasoningDelta(text="a"),
            TextDelta("x"),
            Citation({"n": "1"}),
            TextDelta("y"),
            ReasoningDelta(text="b"),
            ReasoningDelta(signature="s"),
            ToolCall(0, "t", "f"),
            TextDelta("z"),
            ToolCallDelta(0, "{}"),
        ]
    )

    assert whole.blocks == [
        FoldedReasoning(["a"]),
        FoldedText(["x", "y"], [{"n": "1"}]),
        FoldedReasoning(["b"], "s"),
        FoldedToolCall("t", "f", ["{}"]),
        FoldedText(["z"]),
    ]
    assert (whole.text, whole.reasoning) == ("xyz", [ReasoningPart("a"), ReasoningPart("b", "s")])


def test_interleaved_tool_calls() -> None:
    """Pieces of arguments go to the call of their index, in whatever order the calls take turns."""
    whole = fold(
        [
            ToolCall(0, "a", "f"),
            ToolCallDelta(0, "{"),
            ToolCall(1, "b", "g"),
            ToolCallDelta(1, '{"x"'),
            ToolCallDelta(0, "}"),
            ToolCallDelta(1, ":1}"),
            ToolCall(2, "c", "h"),
        ]
    )

    assert whole.tool_calls == [
        FoldedToolCall("a", "f", ["{", "}"]),
        FoldedToolCall("b", "g", ['{"x"', ":1}"]),
        FoldedToolCall("c", "h", []),
    ]
    assert [call.arguments for call in whole.tool_calls] == ["{}", '{"x":1}', ""]


def test_usage_and_stop() -> None:
    """Later counters override earlier ones one by one; the stop comes before or after them."""
    events: list[Event] = [
        Usage(input_tokens=9, output_tokens=1),
        Stop(FinishReason.LENGTH, "max_tokens"),
        Usage(output_tokens=4, cache_read_tokens=0),
    ]

    for order in (events, events[::-1]):
        assert fold(order).usage.input_tokens == 9
        assert (fold(order).finish_reason, fold(order).stop_reason) == (FinishReason.LENGTH, "max_tokens")
    assert fold(events).usage == Usage(input_tokens=9, output_tokens=4, cache_read_tokens=0)


def test_nothing() -> None:
    """An answer without events is empty and not finished."""
    assert meaning(fold([])) == ("", [], [], [], Usage(), (None, None))


COUNTS = st.none() | st.integers(0, 9)
TEXT = st.text(min_size=1, max_size=4)
EVENTS = st.one_of(
    st.builds(TextDelta, TEXT),
    st.builds(lambda text: ReasoningDelta(text=text), TEXT),
    st.builds(lambda text: ReasoningDelta(signature=text), TEXT),
    st.builds(lambda text: ReasoningDelta(redacted=text), TEXT),
    st.builds(ToolCallDelta, st.integers(0, 1), TEXT),
    st.builds(Citation, st.dictionaries(TEXT, TEXT, max_size=1)),
    st.builds(Usage, input_tokens=COUNTS, output_tokens=COUNTS, cache_read_tokens=COUNTS),
    st.builds(Stop, st.sampled_from(FinishReason), TEXT),
)
STREAMS = st.lists(EVENTS, max_size=25).map(
    lambda events: [ToolCall(0, "a", "f"), ToolCall(1, "b", "g"), *events]
)


@given(STREAMS, st.data())
def test_the_fold_of_a_whole_is_the_fold_of_its_parts(events: list[Event], data: st.DataObject) -> None:
    """Wherever a stream is cut into batches, the answer is the same."""
    cut = data.draw(st.integers(0, len(events)))

    assert continued(fold(events[:cut]), events[cut:]) == fold(events)


@given(STREAMS)
def test_how_text_is_cut_does_not_matter(events: list[Event]) -> None:
    """Text, reasoning and arguments cut into single characters make the same answer."""
    finer: deque[Event] = deque()
    for event in events:
        match event:
            case TextDelta(text=text):
                finer.extend(TextDelta(letter) for letter in text)
            case ReasoningDelta(text=str(text)):
                finer.extend(ReasoningDelta(text=letter) for letter in text)
            case ToolCallDelta(index=index, arguments=arguments):
                finer.extend(ToolCallDelta(index, letter) for letter in arguments)
            case _:
                finer.append(event)

    assert meaning(fold(finer)) == meaning(fold(events))


@given(STREAMS)
def test_the_kinds_do_not_meet(events: list[Event]) -> None:
    """Text depends on the text events only, calls on the call events only, and so on.

    Reasoning is left out: other blocks part it.
    """
    events = [event for event in events if not isinstance(event, ReasoningDelta)]
    kinds = (TextDelta, ReasoningDelta, (ToolCall, ToolCallDelta), Citation, Usage, Stop)
    parts = [meaning(fold([event for event in events if isinstance(event, kind)])) for kind in kinds]

    assert tuple(part[place] for place, part in enumerate(parts)) == meaning(fold(events))
