"""Stop sequences that the gateway looks for itself: the same as cutting the whole text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codecs.stop_sequences import LONGEST, StopFilter, emulated
from gateway.domain import (
    Citation,
    CompletionRequest,
    Event,
    FinishReason,
    Message,
    ReasoningDelta,
    Stop,
    TextDelta,
    TextPart,
    ToolCall,
    Usage,
)
from gateway.errors import InvalidRequest

END = Stop(FinishReason.LENGTH, "length")
TEXTS = st.text("abc", max_size=30)
SEQUENCES = st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=4).map(tuple)


def cut_whole(text: str, sequences: tuple[str, ...]) -> tuple[str, bool]:
    """Return the text up to the leftmost sequence, and whether there is one: the law without any state."""
    places = [place for sequence in sequences if (place := text.find(sequence)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def passed(deltas: list[str], sequences: tuple[str, ...]) -> tuple[list[Event], bool]:
    """Return what comes out of a filter for an answer in these deltas, and whether it was cut."""
    sieve, events = StopFilter(sequences), list[Event]()
    for delta in deltas:
        sieve.feed([TextDelta(delta)], events)
    sieve.feed([END], events)
    return events, sieve.cut


def said(events: list[Event]) -> str:
    """Return the text in the events."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@given(text=TEXTS, sequences=SEQUENCES, cuts=st.lists(st.integers(0, 30), max_size=8))
@example(text="abcd", sequences=("abcd", "c"), cuts=[1, 2, 3])
@example(text="abcx", sequences=("abcd", "c"), cuts=[3])
@example(text="aab", sequences=("ab",), cuts=[1, 2])
def test_as_if_the_whole_text_had_been_cut(text: str, sequences: tuple[str, ...], cuts: list[int]) -> None:
    """Whole = byte by byte = random cuts: the leftmost place wins, and the sequence is not in the text."""
    marks = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    whole, found = cut_whole(text, sequences)
    for deltas in ([text] if text else [], list(text), [text[a:b] for a, b in pairwise(marks)]):
        events, was_cut = passed(deltas, sequences)
        assert (said(events), was_cut) == (whole, found)
        assert (END in events) is not found
        assert all(event.text for event in events if isinstance(event, TextDelta))


@given(text=TEXTS, sequences=SEQUENCES)
def test_only_what_may_become_a_sequence_waits(text: str, sequences: tuple[str, ...]) -> None:
    """After every delta all is out except the end from which a sequence may have begun, or the cut."""
    sieve, events = StopFilter(sequences), list[Event]()
    for number in range(len(text)):
        sieve.feed([TextDelta(text[number])], events)
        sofar = text[: number + 1]
        begun = [
            place
            for place in range(len(sofar))
            if any(sequence.startswith(sofar[place:]) for sequence in sequences)
        ]
        whole, _ = cut_whole(sofar, sequences)
        assert said(events) == whole[: min([*begun, len(sofar)])]


def test_the_beginning_of_no_sequence_passes_at_once() -> None:
    """A delta in which nothing begins is passed on as it is."""
    sieve, events = StopFilter(("END",)), list[Event]()
    sieve.feed([TextDelta("one "), TextDelta("two E"), TextDelta("xit")], events)
    assert events == [TextDelta("one "), TextDelta("two "), TextDelta("Exit")]


@pytest.mark.parametrize(
    "between",
    [ReasoningDelta(text="x"), ToolCall(0, "a", "b"), Citation({})],
    ids=lambda event: type(event).__name__,
)
def test_no_sequence_is_found_across_what_is_not_text(between: Event) -> None:
    """The order of the events is kept, so the first piece of text is over."""
    sieve, events = StopFilter(("END",)), list[Event]()
    sieve.feed([TextDelta("aE"), between, TextDelta("NDb"), END], events)
    assert events == [TextDelta("a"), TextDelta("E"), between, TextDelta("NDb"), END]


def test_reasoning_is_not_cut() -> None:
    """Callers choose the sequences for the answer."""
    sieve, events = StopFilter(("END",)), list[Event]()
    sieve.feed([ReasoningDelta(text="the END"), TextDelta("aEND")], events)
    assert (events, sieve.cut) == ([ReasoningDelta(text="the END"), TextDelta("a")], True)


def test_counters_pass_without_ending_the_text_and_even_behind_the_cut() -> None:
    """Llama counts in every chunk; what was counted was paid for."""
    sieve, events = StopFilter(("END",)), list[Event]()
    first, last = Usage(output_tokens=1), Usage(output_tokens=2)
    sieve.feed(
        [TextDelta("aE"), first, TextDelta("ND"), TextDelta("more"), ToolCall(0, "a", "b"), last], events
    )
    assert (events, sieve.cut) == ([TextDelta("a"), first, last], True)


def test_of_two_sequences_at_one_place_the_shorter_ends_the_answer_at_once() -> None:
    """What the longer one would become makes no difference to the text, so nobody waits for it."""
    sieve, events = StopFilter(("ab", "abc")), list[Event]()
    sieve.feed([TextDelta("xab")], events)
    assert (events, sieve.cut) == ([TextDelta("x")], True)


def test_a_sequence_that_waited_is_cut_at_the_end_of_the_text() -> None:
    """`c` is complete, but `abcd` began before it; when the text ends, `c` it is."""
    events, cut = passed(["xabc"], ("abcd", "c"))
    assert (events, cut) == ([TextDelta("x"), TextDelta("ab")], True)


@pytest.mark.parametrize("sequence", ["^", "]", "-", "\\", "[a]", "a|b", ".", "(", "\n\n", "é", "🦙", "&&"])
def test_sequences_are_taken_literally(sequence: str) -> None:
    """No character of a sequence has a meaning of its own."""
    events, cut = passed(["aXb", *sequence, "c"], (sequence, "||"))
    assert (said(events), cut) == ("aXb", True)


def asked(*stop: str) -> CompletionRequest:
    """Return a request with these stop sequences."""
    return CompletionRequest(model="m", messages=(Message("user", (TextPart("hi"),)),), stop=stop)


@pytest.mark.parametrize(
    ("stop", "param"),
    [(("a", ""), "stop[1]"), (("a",) * 17, "stop"), (("a", "b" * (LONGEST + 1)), "stop[1]")],
)
def test_what_would_cost_too_much_is_refused(stop: tuple[str, ...], param: str) -> None:
    """The work per delta is bounded by number and length."""
    with pytest.raises(InvalidRequest) as refused:
        emulated(asked(*stop))
    assert refused.value.param == param


def test_what_is_looked_for() -> None:
    """The caller's sequences, as they are."""
    assert emulated(asked("a", "b" * LONGEST)) == ("a", "b" * LONGEST)
    assert emulated(asked()) == ()
