"""Who can be asked, by name: the list for those who choose, and the look-up of one that is not in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.catalog.cards import load_cards
from gateway.catalog.profiles import profile_ids
from gateway.errors import InvalidRequest, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.catalog.catalog import Catalog
    from gateway.catalog.model import Model


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that is served here. `id` is what to ask for, an alias or an id; `title` is for people.

    `end_of_life` is the ISO date after which AWS no longer serves it, where one has been announced.
    """

    id: str
    title: str
    provider: str
    end_of_life: str | None = None
    behind: tuple[str, ...] = ()
    """Its ids at Bedrock, by which a rule may name it too."""


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """`listed` are the aliases and the catalogue's models, of chat and of embeddings, that are served here.

    `find` gives what is behind any name, an id or ARN outside of the catalogue too; it raises `UnknownModel`,
    or `InvalidRequest` with the profile to ask for instead.
    """

    listed: tuple[ListedModel, ...]
    find: Callable[[str], ListedModel]


def directory(catalog: Catalog, resolve: Callable[[str], Model]) -> ModelDirectory:
    """Return the directory; `resolve` is asked for names that callers choose."""

    def find(name: str) -> ListedModel:
        return _listed(catalog, name, resolve(name))

    return ModelDirectory(tuple(_served(catalog)), find)


def _served(catalog: Catalog) -> Iterator[ListedModel]:
    chats = catalog.models()
    for name, model in chats.items():
        yield _listed(catalog, name, model)
    for name in (*catalog.choices.aliases, *_embedders(catalog)):
        if name in chats:
            continue
        try:
            yield _listed(catalog, name, catalog.resolve_embedding(name))
        except (InvalidRequest, UnknownModel):  # the operator does not allow it, or it embeds nothing
            continue


def _embedders(catalog: Catalog) -> Iterator[str]:
    for card in load_cards().values():
        if "embedding" in card.gives:
            yield from profile_ids(card, catalog.region) if card.on_demand is False else (card.id,)


def _listed(catalog: Catalog, name: str, model: Model) -> ListedModel:
    card = catalog.card(name)
    behind = (model.id,) if model.base_id is None else (model.id, model.base_id)
    if card is None:
        return ListedModel(name, name, model.provider, None, behind)
    return ListedModel(name, card.name, model.provider, card.end_of_life, behind)
