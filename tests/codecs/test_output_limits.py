"""Where a body names its limit: what the codecs write is found, and what is put in is found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from gateway.catalog.model import Family
from gateway.codecs.output_limits import PLACES, named, with_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

FAMILIES = get_args(Family)


def test_every_family_has_a_place() -> None:
    """None is left out: a rule could not be kept there."""
    assert set(PLACES) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_put_in_is_found(family: Family) -> None:
    """Into an empty body, into one that has other things beside, and over what is no limit."""
    outer = PLACES[family][0][0]
    for body in ({}, {"a": 1}, {outer: {"temperature": 1}}, {outer: None}):
        before = repr(body)
        changed = with_limit(body, family, 7)
        assert named(changed, family) == (PLACES[family][0], 7)
        assert repr(body) == before
    if len(PLACES[family][0]) > 1:
        assert with_limit({outer: {"temperature": 1}}, family, 7)[outer]["temperature"] == 1


@pytest.mark.parametrize(
    ("body", "family", "found"),
    [
        ({"max_tokens": 5, "max_completion_tokens": 9}, "openai_chat", (("max_completion_tokens",), 9)),
        ({"inferenceConfig": {"max_new_tokens": 3}}, "nova", (("inferenceConfig", "max_new_tokens"), 3)),
        ({"max_tokens": "5"}, "claude", None),
        ({"max_tokens": True}, "claude", None),
        ({"inferenceConfig": []}, "converse", None),
        ({}, "titan", None),
    ],
)
def test_what_is_named(body: Mapping[str, Any], family: Family, found: object) -> None:
    """The largest of several counts; what is no whole number is Bedrock's to refuse."""
    assert named(body, family) == found
