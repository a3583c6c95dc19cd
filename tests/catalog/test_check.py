"""The check of the catalogue's data: it finds nothing in ours, and each kind of hole where there is one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from gateway.catalog.cards import Card, load_cards
from gateway.catalog.check import Hole, differences, holes
from gateway.catalog.prices import Prices, Rates, load_prices

if TYPE_CHECKING:
    from collections.abc import Mapping

GOOD = Card(
    id="acme.thinker-v1:0",
    name="Thinker",
    takes=("text",),
    gives=("text",),
    family="converse",
    context=1000,
    max_output_tokens=100,
    profiles=("us",),
    end_of_life="2027-01-31",
)
PRICE = Prices(rates=Rates(input=Decimal(1), output=Decimal(2)))
FACT = {
    "id": GOOD.id,
    "endpoint": "bedrock-runtime",
    "mode": "chat",
    "max_input_tokens": 1000,
    "max_output_tokens": 100,
    "input_usd_per_1m": 1.0,
    "output_usd_per_1m": 2.0,
    "deprecation_date": "2027-01-31",
}


def test_our_data_has_no_holes() -> None:
    """Every chat model has a family, limits, prices and a name; ids parse; profiles agree."""
    assert holes(load_cards(), load_prices()) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({}, None),
        ({"id": "us.acme.thinker"}, "not a base id"),
        ({"id": "no such"}, "not a base id"),
        ({"name": ""}, "no name"),
        ({"takes": ()}, "no takes"),
        ({"gives": ("image",)}, "a chat model that does not give text"),
        ({"context": None}, "no context"),
        ({"max_output_tokens": 0}, "no max_output_tokens"),
        ({"profiles": ("mars",)}, "unknown geo mars"),
        ({"profiles": (), "on_demand": False}, "neither on demand nor a profile"),
        ({"end_of_life": "2027-13-01"}, "end_of_life is no date"),
        ({"family": None, "context": None}, None),
    ],
)
def test_a_hole_in_a_card(change: dict[str, Any], what: str | None) -> None:
    """Each flaw is found, by the id that has it, and nothing else."""
    card = replace(GOOD, **change)
    assert holes({card.id: card}, {card.id: PRICE}) == ([] if what is None else [Hole(card.id, what)])


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ({f"us.{GOOD.id}": PRICE}, []),
        ({}, [Hole(f"us.{GOOD.id}", "no prices")]),
        (
            {GOOD.id: PRICE, f"eu.{GOOD.id}": PRICE},
            [Hole(f"eu.{GOOD.id}", "prices of an unknown model or profile")],
        ),
        ({GOOD.id: PRICE, "no such": PRICE}, [Hole("no such", "prices of an unknown model or profile")]),
        (
            {GOOD.id: replace(PRICE, above=Rates(input=Decimal(-1), output=Decimal(0)), threshold=1)},
            [Hole(GOOD.id, "a negative price")],
        ),
    ],
)
def test_a_hole_in_the_prices(prices: Mapping[str, Prices], expected: list[Hole]) -> None:
    """Prices exist for each way to ask for a model, for nothing else, and are not negative."""
    assert holes({GOOD.id: GOOD}, prices) == expected


def test_a_model_without_profiles_needs_prices_of_its_own() -> None:
    """There is no profile whose price could be known."""
    card = replace(GOOD, profiles=())
    assert holes({card.id: card}, {}) == [Hole(card.id, "no prices")]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([FACT], []),
        ([{**FACT, "endpoint": "bedrock-mantle"}], [Hole(GOOD.id, "not in the facts")]),
        ([{**FACT, "max_input_tokens": 2000}], [Hole(GOOD.id, "differs: context")]),
        ([{**FACT, "deprecation_date": None}], [Hole(GOOD.id, "differs: end_of_life")]),
        ([{**FACT, "output_usd_per_1m": 3.0}], [Hole(GOOD.id, "differs: output")]),
        ([{**FACT, "cache_read_usd_per_1m": 0.1}], [Hole(GOOD.id, "differs: cache_read")]),
        ([FACT, {**FACT, "id": f"us.{GOOD.id}", "max_input_tokens": 5}], []),
        ([FACT, {**FACT, "id": f"eu.{GOOD.id}"}], [Hole(f"eu.{GOOD.id}", "a profile only in the facts")]),
        ([FACT, {**FACT, "id": "acme.new"}], [Hole("acme.new", "only in the facts")]),
        ([FACT, {**FACT, "id": "acme.new@1"}], []),
        ([{**FACT, "input_usd_per_1m": None, "output_usd_per_1m": 9}], []),
    ],
)
def test_a_difference_from_the_facts(facts: list[dict[str, Any]], expected: list[Hole]) -> None:
    """Limits and dates of a model, prices of each id; only what bedrock-runtime serves is compared."""
    assert differences({GOOD.id: GOOD}, {GOOD.id: PRICE}, facts) == expected


def test_prices_only_in_the_facts() -> None:
    """A model whose price we do not have, though there is one, is a hole."""
    assert differences({GOOD.id: GOOD}, {}, [FACT]) == [Hole(GOOD.id, "prices only in the facts")]


def test_an_embedding_model_is_compared_by_price_only() -> None:
    """What does not complete chats has no limits here."""
    card = replace(GOOD, family=None, context=None, max_output_tokens=None)
    facts = [{**FACT, "mode": "embedding"}]
    assert differences({card.id: card}, {card.id: PRICE}, facts) == []


def test_an_explained_difference_keeps_its_reason() -> None:
    """What is known and has a reason is shown with it."""
    card = replace(GOOD, id="anthropic.claude-v2")
    [hole] = differences({card.id: card}, {}, [])
    assert (hole.what, hole.reason) == (
        "not in the facts",
        "the facts do not list it; figures and prices are from AWS's own pages",
    )
