"""Holes in the catalogue's data, and where it differs from a file of facts.

A hole that is known and has a reason stands in `EXPLAINED`; every other one is a defect of the data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from gateway.catalog.model_id import GEO_PREFIXES, parse
from gateway.catalog.profiles import profile_ids
from gateway.errors import UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from gateway.catalog.cards import Card
    from gateway.catalog.prices import Prices, Rates

UNLISTED = "the facts do not list it; figures and prices are from AWS's own pages"
NARROWER = "the family's own range is narrower than the facts say (bedrock-wire.md §4.0)"
MODEL_CARD = "the figure of the model's own documentation"
EXPLAINED: Mapping[tuple[str, str], str] = {
    ("amazon.titan-text-express-v1", "differs: max_output_tokens"): MODEL_CARD,
    ("amazon.titan-text-lite-v1", "differs: max_output_tokens"): MODEL_CARD,
    ("amazon.titan-text-premier-v1:0", "differs: max_output_tokens"): NARROWER,
    ("anthropic.claude-3-haiku-20240307-v1:0", "not in the facts"): UNLISTED,
    ("anthropic.claude-3-sonnet-20240229-v1:0", "not in the facts"): UNLISTED,
    ("anthropic.claude-haiku-4-5-20251001-v1:0", "differs: end_of_life"): "only a profile's row has the date",
    ("anthropic.claude-instant-v1", "differs: max_output_tokens"): NARROWER,
    ("anthropic.claude-v1", "differs: max_output_tokens"): NARROWER,
    ("anthropic.claude-v2", "not in the facts"): UNLISTED,
    ("anthropic.claude-v2:1", "differs: max_output_tokens"): NARROWER,
    ("cohere.command-r-plus-v1:0", "not in the facts"): UNLISTED,
    ("cohere.command-r-v1:0", "not in the facts"): UNLISTED,
    ("anthropic.claude-3-7-sonnet-20240620-v1:0", "only in the facts"): "no such model: a misspelt date",
}
"""(id, hole) → why it is left."""


@dataclass(frozen=True, slots=True)
class Hole:
    """One thing that is missing or wrong; `reason` where it is explained."""

    id: str
    what: str
    reason: str | None = None


def holes(cards: Mapping[str, Card], prices: Mapping[str, Prices]) -> list[Hole]:
    """Return what is missing or wrong in the data, sorted by id."""
    found = [hole for card in cards.values() for hole in _card_holes(card, prices)]
    found += [hole for name, price in prices.items() for hole in _price_holes(name, price, cards)]
    return _explained(found)


def differences(
    cards: Mapping[str, Card], prices: Mapping[str, Prices], facts: Sequence[Mapping[str, Any]]
) -> list[Hole]:
    """Return where the data differs from facts: rows as in bedrock-models.json, prices in USD per million.

    Only what bedrock-runtime serves is compared: the gateway calls no other endpoint.
    """
    rows = {row["id"]: row for row in facts if row["endpoint"] == "bedrock-runtime" and "." in row["id"]}
    found = [hole for name, row in rows.items() for hole in _row_holes(name, row, cards, prices)]
    known = {parse(name).base_id for name in rows if "@" not in name}
    found += [
        Hole(card.id, "not in the facts") for card in cards.values() if card.family and card.id not in known
    ]
    return _explained(found)


def _explained(found: Iterable[Hole]) -> list[Hole]:
    ordered = sorted(found, key=lambda hole: (hole.id, hole.what))
    return [replace(hole, reason=EXPLAINED.get((hole.id, hole.what))) for hole in ordered]


# ── the data by itself ────────────────────────────────────────────────────────────────────────────────


def _card_holes(card: Card, prices: Mapping[str, Prices]) -> Iterable[Hole]:
    if not _is_base_id(card.id):
        yield Hole(card.id, "not a base id")
    if card.family is not None:
        yield from _chat_holes(card, prices)
    for name in ("name", "takes", "gives"):
        if not getattr(card, name):
            yield Hole(card.id, f"no {name}")
    yield from (Hole(card.id, f"unknown geo {geo}") for geo in card.profiles if geo not in GEO_PREFIXES)
    if card.on_demand is False and not card.profiles:
        yield Hole(card.id, "neither on demand nor a profile")
    if card.end_of_life is not None and not _is_date(card.end_of_life):
        yield Hole(card.id, "end_of_life is no date")


def _is_base_id(text: str) -> bool:
    try:
        return parse(text).base_id == text
    except UnknownModel:
        return False


def _chat_holes(card: Card, prices: Mapping[str, Prices]) -> Iterable[Hole]:
    for name in ("context", "max_output_tokens"):
        if (getattr(card, name) or 0) <= 0:
            yield Hole(card.id, f"no {name}")
    if card.gives != ("text",):
        yield Hole(card.id, "a chat model that does not give text")
    if card.id not in prices:
        for geo in card.profiles:
            if f"{geo}.{card.id}" not in prices:
                yield Hole(f"{geo}.{card.id}", "no prices")
        if not card.profiles:
            yield Hole(card.id, "no prices")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _price_holes(name: str, prices: Prices, cards: Mapping[str, Card]) -> Iterable[Hole]:
    known = {name for card in cards.values() for name in (card.id, *profile_ids(card, None))}
    if name not in known:
        yield Hole(name, "prices of an unknown model or profile")
    for rates in (prices.rates, prices.above):
        if rates is not None and any(rate < 0 for rate in _given(rates)):
            yield Hole(name, "a negative price")


def _given(rates: Rates) -> Iterable[Decimal]:
    return (rate for rate in asdict(rates).values() if rate is not None)


# ── the data beside facts ─────────────────────────────────────────────────────────────────────────────

_RATES = {
    "input": "input_usd_per_1m",
    "output": "output_usd_per_1m",
    "cache_read": "cache_read_usd_per_1m",
    "cache_write_5m": "cache_write_5m_usd_per_1m",
    "cache_write_1h": "cache_write_1h_usd_per_1m",
}
_CHAT_FIGURES = {"context": "max_input_tokens", "max_output_tokens": "max_output_tokens"}


def _row_holes(
    name: str, row: Mapping[str, Any], cards: Mapping[str, Card], prices: Mapping[str, Prices]
) -> Iterable[Hole]:
    if "@" in name:
        return  # another cloud's way to write a version
    model_id = parse(name)
    card = cards.get(model_id.base_id or "")
    if card is None:
        yield Hole(name, "only in the facts")
        return
    if model_id.geo is not None and model_id.geo not in card.profiles:
        yield Hole(name, "a profile only in the facts")
    if card.family is not None:
        yield from _chat_differences(name, row, card)
    if row["mode"] != "rerank" and row.get("input_usd_per_1m") is not None:
        yield from _price_differences(name, row, prices.get(name) or prices.get(card.id))


def _chat_differences(name: str, row: Mapping[str, Any], card: Card) -> Iterable[Hole]:
    if parse(name).geo is not None:
        return  # limits belong to the model; its base row has been compared
    for ours, theirs in _CHAT_FIGURES.items():
        if row.get(theirs) is not None and getattr(card, ours) != row[theirs]:
            yield Hole(name, f"differs: {ours}")
    if row.get("deprecation_date") != card.end_of_life:
        yield Hole(name, "differs: end_of_life")


def _price_differences(name: str, row: Mapping[str, Any], prices: Prices | None) -> Iterable[Hole]:
    if prices is None:
        yield Hole(name, "prices only in the facts")
        return
    for ours, theirs in _RATES.items():
        rate, fact = getattr(prices.rates, ours), row.get(theirs)
        if (None if rate is None else float(rate)) != fact:
            yield Hole(name, f"differs: {ours}")
