"""`/models/config` as a value: the operator's list or the catalogue's, and what is known of each model."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.catalog.catalog import Catalog
from gateway.catalog.listing import Provider, models_config

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LISTED = (
    Provider(
        id="anthropic", name="Anthropic", supports_custom_model=True, models=[(SONNET, "Mine"), (HAIKU, "H")]
    ),
    Provider(id="own", name="Our own", supports_custom_model=False, models=[("no such", "Gone")]),
)


def provider(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one provider of the document."""
    [found] = [one for one in document["providers"] if one["id"] == name]
    assert isinstance(found, dict)
    return found


def test_the_catalogues_list() -> None:
    """Without a list of the operator's it is the catalogue's, by provider, under human names."""
    document = models_config(Catalog(region="us-east-1", custom_ids=False, aliases={"fast": HAIKU}))
    amazon = provider(document, "amazon")
    assert (amazon["name"], amazon["supportsCustomModel"], document["defaultProvider"]) == (
        "Amazon",
        False,
        "ai21",
    )
    assert "fast" not in {model["id"] for one in document["providers"] for model in one["models"]}
    assert [model["name"] for model in amazon["models"]] == [
        *("Nova 2 Lite", "Nova 2 Pro Preview", "Nova Lite", "Nova Micro", "Nova Premier", "Nova Pro"),
        *("Titan Text G1 - Express", "Titan Text G1 - Lite", "Titan Text G1 - Premier"),
    ]


def test_what_is_known_of_a_model() -> None:
    """Beside id and name stand the facts that a consumer may choose by."""
    [sonnet, _] = models_config(Catalog(aliases={"good": SONNET}), LISTED)["providers"][0]["models"]
    assert sonnet == {
        "id": SONNET,
        "name": "Mine",
        "family": "claude",
        "operation": "invoke",
        "streaming": True,
        "aliases": ["good"],
        "prices": {
            "input": 3.3,
            "output": 16.5,
            "cacheRead": 0.33,
            "cacheWrite5m": 4.125,
            "cacheWrite1h": 6.6,
            "above": {
                "threshold": 200_000,
                "input": 6.6,
                "output": 24.75,
                "cacheRead": 0.66,
                "cacheWrite5m": 8.25,
                "cacheWrite1h": 13.2,
            },
        },
        "context": 200_000,
        "maxOutput": 64_000,
        "capabilities": {
            "takes": ("text", "image"),
            "gives": ("text",),
            "sampling": True,
            "system": True,
            "tools": True,
            "reasoning": True,
            "caching": True,
        },
        "profiles": [f"{geo}.{SONNET[3:]}" for geo in ("au", "eu", "global", "jp", "us", "us-gov")],
        "lifecycle": {"endOfLife": "2027-04-08"},
    }


def test_a_model_that_is_not_served_is_listed_all_the_same() -> None:
    """The operator's list is the list: what cannot be resolved has its id and name only."""
    document = models_config(Catalog(), LISTED)
    assert provider(document, "own")["models"] == [{"id": "no such", "name": "Gone"}]


def test_a_model_without_a_card() -> None:
    """What is not in the catalogue shows what is decided about it, and null for its prices."""
    own = Provider(id="own", name="Own", supports_custom_model=True, models=[("acme.thinker", "Thinker")])
    assert models_config(Catalog(), [own])["providers"][0]["models"] == [
        {
            "id": "acme.thinker",
            "name": "Thinker",
            "family": "converse",
            "operation": "converse",
            "streaming": True,
            "aliases": [],
            "prices": None,
        }
    ]


@pytest.mark.parametrize(
    ("catalog", "said", "expected"),
    [
        (Catalog(), None, "anthropic"),
        (Catalog(), "own", "own"),
        (Catalog(default_model="fast", aliases={"fast": HAIKU}), None, "anthropic"),
        (Catalog(default_model="amazon.nova-lite-v1:0"), None, "amazon"),
    ],
)
def test_the_default_provider(catalog: Catalog, said: str | None, expected: str) -> None:
    """The operator's word, else where the default model is listed or comes from, else the first."""
    assert models_config(catalog, LISTED, said)["defaultProvider"] == expected


def test_nothing_to_list() -> None:
    """A gateway that allows nothing has no provider to prefer."""
    assert models_config(Catalog(allowed=())) == {"providers": [], "defaultProvider": None}
