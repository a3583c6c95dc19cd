"""Where a body names its limit: what the codecs write is found, and what is put in is found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from gateway.catalog.model import Family
from gateway.codecs.output_limits import OF_THE_MODEL, PLACES, limited, said, with_limit

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
        assert limited(changed, family)
        assert (PLACES[family][0], 7) in said(changed)
        assert repr(body) == before
    assert not limited({"a": 1, outer: None}, family)
    if len(PLACES[family][0]) > 1:
        assert with_limit({outer: {"temperature": 1}}, family, 7)[outer]["temperature"] == 1


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"max_tokens": 5, "max_completion_tokens": 9}, {"max_tokens": 5, "max_completion_tokens": 9}),
        ({"inferenceConfig": {"max_new_tokens": 3.5}}, {"inferenceConfig.max_new_tokens": 3.5}),
        ({"max_tokens": "5"}, {"max_tokens": "5"}),
        ({"max_gen_len": False}, {"max_gen_len": False}),
        ({OF_THE_MODEL: {"max_tokens": 7}}, {f"{OF_THE_MODEL}.max_tokens": 7}),
        (
            {OF_THE_MODEL: {"inferenceConfig": {"max_new_tokens": 7, "topK": 1}}},
            {f"{OF_THE_MODEL}.inferenceConfig.max_new_tokens": 7},
        ),
        ({"inferenceConfig": [], "max_tokens": None, OF_THE_MODEL: "max_tokens"}, {}),
        ({}, {}),
    ],
)
def test_what_is_said(body: Mapping[str, Any], found: object) -> None:
    """In whatever words, a number or not, in Converse's fields for the model too."""
    assert {".".join(place): value for place, value in said(body)} == found
