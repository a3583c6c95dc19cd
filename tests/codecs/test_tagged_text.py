"""Reasoning between tags: split the same way however the text was cut, and nothing lost but the tags."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codecs.tagged_text import TaggedText
from gateway.domain import Event, ReasoningDelta, TextDelta

TAGS = ("<think>", "</think>")


def split(pieces: list[str], *, inside: bool = False) -> tuple[str, str]:
    """Return the reasoning and the text that these pieces make."""
    events: list[Event] = []
    splitter = TaggedText(*TAGS, inside=inside)
    for piece in pieces:
        splitter.feed(piece, events)
    splitter.finish(events)
    splitter.finish(events)
    reasoning = [event.text or "" for event in events if isinstance(event, ReasoningDelta)]
    text = [event.text for event in events if isinstance(event, TextDelta)]
    assert len(reasoning) + len(text) == len(events)
    assert all([*reasoning, *text])
    return "".join(reasoning), "".join(text)


@pytest.mark.parametrize(
    ("whole", "inside", "reasoning", "text"),
    [
        ("<think>a</think>b", False, "a", "b"),
        ("<think>a</think>\n\nb", False, "a", "\n\nb"),
        ("\n<think>a</think>b", False, "a", "\nb"),
        ("<think></think>b", False, "", "b"),
        ("<think>a", False, "a", ""),
        ("<think>a</thi", False, "a</thi", ""),
        ("<think>a<</think>b", False, "a<", "b"),
        ("<think>a</think>b</think><think>c", False, "a", "b</think><think>c"),
        ("b <think>a</think>", False, "", "b <think>a</think>"),
        ("<thin", False, "", "<thin"),
        ("<thing>", False, "", "<thing>"),
        ("  ", False, "", "  "),
        ("", False, "", ""),
        ("b</think>", False, "", "b</think>"),
        ("a</think>b", True, "a", "b"),
        ("\na</think>b", True, "\na", "b"),
        ("<think>\na</think>b", True, "\na", "b"),
        ("</think>b", True, "", "b"),
        ("<thin", True, "<thin", ""),
        ("a", True, "a", ""),
    ],
)
def test_what_is_reasoning(whole: str, inside: bool, reasoning: str, text: str) -> None:  # noqa: FBT001 - a table
    """The first section at the beginning is; everything else, and every unfinished tag, is text."""
    assert split([whole], inside=inside) == (reasoning, text)
    assert split(list(whole), inside=inside) == (reasoning, text)


PIECES = st.lists(
    st.sampled_from([*TAGS, "<", "</", "think>", "<thi", "nk>", " ", "\n", "a", ""]), max_size=9
)


@given(pieces=PIECES, cuts=st.lists(st.integers(0, 60)), inside=st.booleans())
@example(pieces=["<think>", "a", "</think>", "b"], cuts=[3, 10], inside=False)
def test_cuts_do_not_matter_and_nothing_is_lost(pieces: list[str], cuts: list[int], inside: bool) -> None:  # noqa: FBT001 - drawn
    """Whole = piece by piece = character by character = random cuts; only tags are missing."""
    whole = "".join(pieces)
    marks = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    cut = [whole[start:end] for start, end in pairwise(marks)]
    reasoning, text = split([whole], inside=inside)
    for parts in (pieces, list(whole), cut):
        assert split(parts, inside=inside) == (reasoning, text)
    missing = len(whole) - len(reasoning) - len(text)
    assert missing in (0, len(TAGS[0]), len(TAGS[1]), sum(map(len, TAGS)))


def test_pieces_are_said_as_they_come() -> None:
    """Only what may be the beginning of a tag waits for the next piece."""
    events: list[Event] = []
    splitter = TaggedText(*TAGS)
    splitter.feed("<think>one </", events)
    assert events == [ReasoningDelta(text="one ")]
    splitter.feed("two", events)
    assert events[1:] == [ReasoningDelta(text="</two")]
