"""The operator's defaults: applied where a model accepts them, and never over the caller's word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.catalog.catalog import Catalog
from gateway.catalog.choices import ModelOverride
from gateway.catalog.defaults import Defaults, with_defaults
from gateway.domain import CompletionRequest, Message, TextPart

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
EARLIER = Defaults(temperature=0.7, top_p=0.8)
TERSE = Defaults(temperature=0.7, top_p=0.8, system="Be terse.")


def request(model: str, **fields: Any) -> CompletionRequest:
    """Return a small request."""
    return CompletionRequest(model=model, messages=(Message("user", (TextPart("Hello"),)),), **fields)


@pytest.mark.parametrize(
    ("defaults", "model", "said", "added"),
    [
        (Defaults(), HAIKU, {}, {}),
        (TERSE, HAIKU, {}, {"temperature": 0.7, "top_p": 0.8, "system": (TextPart("Be terse."),)}),
        (TERSE, HAIKU, {"temperature": 0.0}, {"top_p": 0.8, "system": (TextPart("Be terse."),)}),
        (TERSE, HAIKU, {"top_p": 1.0, "system": (TextPart("Rhyme."),)}, {"temperature": 0.7}),
        (TERSE, "us.anthropic.claude-opus-4-7", {}, {"system": (TextPart("Be terse."),)}),
        (TERSE, "amazon.titan-text-express-v1", {}, {"temperature": 0.7, "top_p": 0.8}),
        (TERSE, "acme.thinker-v1:0", {}, {}),
        (EARLIER, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", {}, {"temperature": 0.7}),
        (EARLIER, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"top_p": 0.1}, {}),
        (EARLIER, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"temperature": 0.1}, {}),
        (Defaults(top_p=0.8), "us.anthropic.claude-sonnet-4-5-20250929-v1:0", {}, {"top_p": 0.8}),
    ],
)
def test_general_defaults(
    defaults: Defaults, model: str, said: dict[str, Any], added: dict[str, Any]
) -> None:
    """What the caller said stays; what the model refuses, or is not known to accept, is not added."""
    asked = request(model, **said)
    resolved = Catalog(defaults=defaults).resolve(model)
    assert with_defaults(asked, resolved) == replace(asked, **added)


def test_the_more_specific_default_wins() -> None:
    """Name asked for, then its group, then the provider, then all models: value by value."""
    catalog = Catalog(
        aliases={"fast": f"us.{HAIKU}"},
        overrides={"fast": ModelOverride(defaults=Defaults(temperature=0.1))},
        group_defaults={
            f"us.{HAIKU}": Defaults(temperature=0.2, top_p=0.2),
            "anthropic": Defaults(top_p=0.3, system="Of the provider."),
        },
        defaults=Defaults(temperature=0.4, top_p=0.4, system="Of all."),
    )
    assert [catalog.resolve(name).defaults for name in ("fast", HAIKU, "amazon.nova-lite-v1:0")] == [
        Defaults(temperature=0.1, top_p=0.2, system="Of the provider."),
        Defaults(temperature=0.4, top_p=0.3, system="Of the provider."),
        Defaults(temperature=0.4, top_p=0.4, system="Of all."),
    ]


def test_a_default_for_a_model_by_name_needs_no_card() -> None:
    """The operator who names a model knows what it takes."""
    catalog = Catalog(overrides={"acme.thinker-v1:0": ModelOverride(defaults=EARLIER)})
    assert catalog.resolve("acme.thinker-v1:0").defaults == EARLIER
