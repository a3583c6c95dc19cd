"""Answers before any family: their length, their end, their tokens, and the arguments of tool calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator import EmulatorSettings
from gateway.emulator.answer import Answer, Question, compose, measure, pieces, tokens
from gateway.emulator.directives import defaults
from gateway.emulator.errors import BedrockError
from gateway.emulator.sense.calls import Tool
from gateway.emulator.sense.material import Material
from gateway.emulator.sense.values import fill_object

USUAL = defaults(EmulatorSettings())
TOOLS = (Tool("first", {"type": "object"}), Tool("second", {"properties": {"n": {"type": "integer"}}}))


def answer_to(question: dict[str, Any] | None = None, said: str = "Hi", **directives: Any) -> Answer:
    """Return the answer to a question with these fields, steered by these directives."""
    asked = Question(**{"said": said, "input_tokens": 3, **(question or {})})
    return compose(asked, said, replace(USUAL, **directives), b"seed")


# ── the text ──────────────────────────────────────────────────────────────────────────────────────────


@given(deltas=st.integers(0, 300), chars=st.integers(0, 40))
def test_there_are_as_many_deltas_as_asked_for(deltas: int, chars: int) -> None:
    """Exactly so many, each of exactly so many characters or a word."""
    answer = answer_to(deltas=deltas, delta_chars=chars)

    assert len(answer.text) == deltas
    assert {len(piece) for piece in answer.text} <= ({chars} if chars else set(range(1, 20)))
    assert answer.output_tokens == tokens(len("".join(answer.text)))


def test_a_tool_result_is_repeated() -> None:
    """What a tool returned comes back in the text."""
    text = "".join(answer_to({"returned": "sunny"}, said="", deltas=40).text)

    assert text.startswith("Your tool returned: sunny This answer ")
    assert "You said" not in text


def test_only_the_start_of_what_was_said_is_repeated() -> None:
    """A long question does not make a long answer."""
    text = "".join(answer_to(said="word " * 500, deltas=99).text)

    assert text.count("word ") == 40


def test_a_text_without_end_is_refused() -> None:
    """The emulator does not fill the memory because somebody asks for it."""
    with pytest.raises(BedrockError, match="more than 10000000 characters"):
        answer_to(deltas=99_999, delta_chars=99_999)


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────

CALLS = {"tools": TOOLS}


@pytest.mark.parametrize(
    ("question", "directives", "expected"),
    [
        ({}, {}, "end"),
        ({"max_tokens": 1000}, {}, "end"),
        ({"max_tokens": 4}, {}, "max_tokens"),
        ({"max_tokens": 4}, {"deltas": 4, "delta_chars": 4}, "end"),
        ({"max_tokens": 4}, {"deltas": 17, "delta_chars": 1}, "max_tokens"),
        ({"max_tokens": 2}, {"reasoning": 3}, "max_tokens"),
        ({"max_tokens": 1}, {"reasoning": 1, "deltas": 0}, "end"),
        ({"max_tokens": 1}, {"reasoning": 2, "deltas": 0}, "max_tokens"),
        ({"stop_sequences": ("embedded", "from")}, {}, "stop_sequence"),
        ({"stop_sequences": ("Bedrock",)}, {"deltas": 7}, "stop_sequence"),
        ({"stop_sequences": ("not said",)}, {}, "end"),
        (CALLS, {}, "end"),
        (CALLS, {"tool": 1}, "tool_use"),
        ({**CALLS, "forced": TOOLS[1:]}, {}, "tool_use"),
        ({**CALLS, "stop_sequences": ("from",)}, {"tool": 1}, "stop_sequence"),
        ({**CALLS, "max_tokens": 1}, {"tool": 1, "deltas": 2, "delta_chars": 1}, "end"),
        ({"tools": TOOLS[1:], "max_tokens": 1}, {"tool": 1, "deltas": 0}, "max_tokens"),
    ],
)
def test_why_an_answer_ends(question: dict[str, Any], directives: dict[str, Any], expected: str) -> None:
    """The first limit that is reached; a tool call that does not fit is not made."""
    if expected == "end" and "tool" in directives:
        expected = "tool_use"  # `{}` is two characters, which fit
    answer = answer_to(question, **directives)

    assert answer.stop == expected
    assert bool(answer.tool_calls) == (expected == "tool_use")
    assert answer.output_tokens <= question.get("max_tokens", answer.output_tokens)


def test_the_text_ends_before_the_stop_sequence() -> None:
    """The earliest in the text decides, even where it is cut across deltas; it is not part of the text."""
    answer = answer_to({"stop_sequences": ("emulator", "from", "never")}, deltas=30, delta_chars=3)

    assert "".join(answer.text) == "This answer comes "
    assert answer.stop_sequence == "from"


def test_a_limit_cuts_the_last_delta() -> None:
    """Four characters are a token: five tokens are twenty characters, thoughts included."""
    answer = answer_to({"max_tokens": 5}, reasoning=1, deltas=9, delta_chars=9)

    assert (answer.reasoning, answer.text) == (("The",), ("This answ", "er comes"))
    assert (answer.stop, answer.output_tokens) == ("max_tokens", 5)


# ── reasoning and tools ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("question", "directives", "count"),
    [
        ({}, {}, 0),
        ({"reasoning": True}, {}, 8),
        ({"reasoning": True, "signs_reasoning": True}, {}, 8),
        ({"reasoning": True}, {"reasoning": 0}, 0),
        ({}, {"reasoning": 20}, 20),
    ],
)
def test_how_much_it_reasons(question: dict[str, Any], directives: dict[str, Any], count: int) -> None:
    """As much as is usual where the request asks for it, and as much as a directive says."""
    answer = answer_to(question, **directives)

    assert len(answer.reasoning) == count
    assert bool(answer.signature) == ("signs_reasoning" in question)


def test_tools_are_called_in_turn() -> None:
    """More calls than tools begin again; each has an id of its own, and arguments by its schema."""
    answer = answer_to(CALLS, tool=3)

    assert [(call.name, call.arguments) for call in answer.tool_calls] == [
        ("first", "{}"),
        ("second", '{"n":1}'),
        ("first", "{}"),
    ]
    assert len({call.key for call in answer.tool_calls}) == 3


def test_a_forced_call_comes_without_text() -> None:
    """As Claude does it: nothing but the call."""
    answer = answer_to({**CALLS, "forced": TOOLS[1:]})

    assert (answer.text, [call.name for call in answer.tool_calls]) == ((), ["second"])


@pytest.mark.parametrize(
    ("question", "directives", "message"),
    [
        ({}, {"tool": 1}, "asks for a tool call, but the request has no tools"),
        ({}, {"redacted": 1}, "asks for what this family has no shape for"),
        ({"speaks_reasoning": False}, {"reasoning": 1}, "asks for what this family has no shape for"),
    ],
)
def test_what_cannot_be_done_is_refused(
    question: dict[str, Any], directives: dict[str, Any], message: str
) -> None:
    """A directive that the request or the family cannot follow is an error."""
    with pytest.raises(BedrockError, match=message):
        answer_to(question, **directives)


# ── measures ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_times_are_those_of_the_pacing() -> None:
    """Latency is the first byte's and that of each delta, and never nothing."""
    paced = answer_to(first_byte_ms=10.0, pace_ms=5.0, deltas=4, reasoning=2)

    assert (paced.first_byte_ms, paced.latency_ms) == (10, 40)
    assert answer_to().latency_ms == 1


def test_four_characters_are_a_token() -> None:
    """A part of four counts whole."""
    assert [tokens(chars) for chars in (0, 1, 4, 5)] == [0, 1, 1, 2]


def test_all_strings_are_measured() -> None:
    """Names of keys count nothing, sources of pictures a flat rate."""
    body = [{"text": "four", "more": ["five5", 1, None]}, {"image": {"source": {"bytes": "x" * 99_999}}}]

    assert measure(body) == 4 + 5 + 6400


def test_pieces_are_the_whole() -> None:
    """Cut and joined is unchanged."""
    assert pieces("abcdefg", 3) == ["abc", "def", "g"]
    assert pieces("", 3) == []


def dull(schema: dict[str, Any]) -> dict[str, Any]:
    """Return arguments that owe nothing to a prompt."""
    return fill_object(schema, Material(""))


# ── arguments ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "example x"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 7}, 7),
        ({"type": "number"}, 1.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, "example x"),
        ({"type": []}, "example x"),
        ({"type": "strange"}, "example x"),
        ({"type": {}}, "example x"),
        ({}, "example x"),
        (True, None),
        ({"const": 5}, 5),
        ({"default": None}, None),
        ({"enum": ["a", "b"], "type": "string"}, "a"),
        ({"enum": []}, "example x"),
        ({"examples": ["e"]}, "e"),
        ({"type": "array"}, []),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"properties": {"y": {"type": "string"}}}, {"y": "example y"}),
        ({"type": "object"}, {}),
        ({"type": "object", "properties": 1}, {}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 1),
        ({"oneOf": [], "allOf": [{"type": "boolean"}]}, True),
        ({"$ref": "#/$defs/city"}, "Paris"),
        ({"$ref": "#/$defs/no/where"}, "example x"),
    ],
)
def test_arguments_have_their_type(schema: Any, expected: Any) -> None:
    """A value for each kind of schema, the schema's own where it gives one."""
    root = {"type": "object", "properties": {"x": schema}, "$defs": {"city": {"const": "Paris"}}}

    assert dull(root) == {"x": expected}


def test_a_schema_that_refers_to_itself_ends() -> None:
    """Endless schemas get a finite value."""
    schema = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    circle = {"type": "object", "properties": {"x": {"$ref": "#/properties/x"}}}

    assert str(dull(schema)).count("child") < 9
    assert dull(circle) == {"x": None}


@pytest.mark.parametrize("schema", [{}, {"type": "array"}, {"const": 1}])
def test_arguments_are_always_an_object(schema: dict[str, Any]) -> None:
    """Even where the schema is not that of one."""
    assert dull(schema) == {}
