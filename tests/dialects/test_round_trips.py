"""Requests through every dialect and across: what both can say is never lost, what one cannot is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.dialects import anthropic_messages, native, openai_chat, responses
from gateway.domain import CompletionRequest, Message
from gateway.errors import InvalidRequest
from tests.dialects.bodies import (  # fmt: skip
    ANTHROPIC,
    CHAT,
    NATIVE,
    RESPONSES,
    Field,
    Grammar,
    bodies,
    fields,
    objects,
    plain,
)
from tests.dialects.lacking import LACKS, sayable
from tests.dialects.writing import DIALECTS, Written

if TYPE_CHECKING:
    from collections.abc import Mapping

GRAMMARS: Mapping[str, Grammar] = {
    "native": NATIVE,
    "chat": CHAT,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
}


def joined(request: CompletionRequest) -> CompletionRequest:
    """Return the request with turns of one role in a row as one: that is how every codec reads them."""
    turns: list[Message] = []
    for message in request.messages:
        if turns and turns[-1].role == message.role:
            turns[-1] = Message(message.role, turns[-1].content + message.content)
        else:
            turns.append(message)
    return replace(request, messages=tuple(turns))


@pytest.mark.parametrize("one", GRAMMARS)
def test_there_and_back_and_across(one: str) -> None:
    """A body, read and written in any dialect, is read there as the same request, but for what that lacks."""

    @settings(max_examples=100)
    @given(bodies(GRAMMARS[one]), st.sampled_from(sorted(DIALECTS)))
    def check(body: Any, other: str) -> None:
        asked = DIALECTS[one].read(Written(plain(body)))
        expected = sayable(asked, other)
        assume(expected.messages)
        if one == other:
            assert joined(expected) == joined(asked)

        written = DIALECTS[other].write(expected)

        assert joined(DIALECTS[other].read(written)) == joined(expected)

    check()


# ── what a dialect lacks ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("row", LACKS)
def test_what_is_lacking_is_left_out_by_name(row: str) -> None:
    """The cut takes out just that; a dialect that has words for it brings all of it through."""
    lack = LACKS[row]
    assert lack.cut(lack.example) != lack.example
    assert lack.cut(lack.cut(lack.example)) == lack.cut(lack.example)

    for name, dialect in DIALECTS.items():
        if sayable(lack.example, name) == lack.example:
            assert joined(dialect.read(dialect.write(lack.example))) == lack.example
        else:
            assert any(
                name in other.attempts for other in LACKS.values() if other.cut(lack.example) != lack.example
            )


@pytest.mark.parametrize(
    ("row", "dialect"), [(row, name) for row, lack in LACKS.items() for name in lack.attempts]
)
def test_who_says_what_a_dialect_lacks_is_refused(row: str, dialect: str) -> None:
    """With a 400 that names the field."""
    body, param = LACKS[row].attempts[dialect]

    with pytest.raises(InvalidRequest) as refused:
        DIALECTS[dialect].read(Written(body))

    assert refused.value.param == param


# ── no field is taken and ignored ─────────────────────────────────────────────────────────────────────


def meaning(dialect: str, body: Any) -> Any:
    """Return all that a body means: the request, and how its answer is wanted."""
    match dialect:
        case "native":
            return native.of_schema(body)
        case "chat":
            return openai_chat.of_schema(body)
        case "responses":
            return responses.of_schema(body), bool(body.get("stream"))
        case _:
            return anthropic_messages.of_schema(body), bool(body.get("stream"))


def changed(value: Any) -> Any:
    """Return another value of the same type."""
    match value:
        case bool():
            return not value
        case str():
            return value + "x"
        case int() | float():
            return value + 1
        case list():
            return [*value, "x"]
        case dict():
            return {**value, "x": "x"}
        case _:
            return "x"


SILENT: Mapping[str, set[Field]] = {
    "native": {("AssistantMessage", "citations")},
    "chat": {
        ("AssistantMessage", "annotations"),
        ("AssistantMessage", "citations"),
        ("AssistantMessage", "name"),
        ("AssistantMessage", "parsed"),
        ("AssistantMessage", "reasoning_content"),
        ("CalledFunction", "parsed_arguments"),
        ("ChatBody", "prompt_cache_key"),
        ("SystemMessage", "name"),
        ("ThinkingBlock", "index"),
        ("ToolCall", "index"),
        ("ToolMessage", "name"),
    },
    "responses": {
        ("FunctionCall", "id"),
        ("FunctionCall", "parsed_arguments"),
        ("FunctionCallOutput", "id"),
        ("Message", "id"),
        ("Message", "phase"),
        ("OutputText", "annotations"),
        ("OutputText", "logprobs"),
        ("OutputText", "parsed"),
        ("ReasoningItem", "id"),
        ("ResponseBody", "prompt_cache_key"),
    },
    "anthropic": {("SpokenTextBlock", "citations")},
}
"""What is taken and changes nothing: numbers and names of what stands there, copies that SDKs make, a hint
where to look for a cache; what an earlier answer cited, which models take back from nobody."""


def is_told(dialect: str, body: Any, path: tuple[Any, ...], field: str) -> bool:
    """Say whether a body means something else without this field, with another value, or is refused."""
    before = meaning(dialect, plain(body))
    for deleted in (True, False):
        copy = plain(body)
        place = copy
        for step in path:
            place = place[step]
        if deleted:
            del place[field]
        else:
            place[field] = changed(place[field])
        try:
            if meaning(dialect, copy) != before:
                return True
        except InvalidRequest:
            if not deleted:
                return True
    return False


@pytest.mark.parametrize("dialect", GRAMMARS)
def test_no_field_is_taken_and_ignored(dialect: str) -> None:
    """Each field of the schema says something, or is known to say nothing."""
    seen: set[Field] = set()
    told: set[Field] = set()

    @settings(max_examples=40)
    @given(bodies(GRAMMARS[dialect], whole=True))
    def look(body: Any) -> None:
        for path, found in objects(body):
            for field in found:
                one = (found.shape, field)
                seen.add(one)
                if one not in told and is_told(dialect, body, path, field):
                    told.add(one)

    look()
    assert seen == fields(GRAMMARS[dialect])
    assert seen - told == SILENT[dialect]
