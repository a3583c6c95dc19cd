"""From a model's name to the places where it may be asked, in order of preference: pure list making.

A list is made once for a name and kept: catalogue and settings are frozen. What a target cannot serve is left
out; only where nothing is left is that an error, the first target's.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from gateway.catalog.model_id import parse, shown
from gateway.catalog.residency import elsewhere, inside
from gateway.errors import InvalidRequest, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from random import Random

    from gateway.catalog.catalog import Catalog, Rules
    from gateway.catalog.model import Api, Model
    from gateway.settings import ModelSettings, RoutingSettings, TargetChoice
    from gateway.settings.sections import Order

MAX_KEPT = 1_000
"""Lists in memory: callers choose the names, so their number is bounded."""


@dataclass(frozen=True, slots=True)
class Place:
    """A target, what the model is to it, and which of the route's bodies it takes."""

    target: str
    model: Model
    weight: float
    body: int

    @property
    def lane(self) -> str:
        """As `UpstreamCall.lane`."""
        return f"{self.target}/{self.model.id}"


@dataclass(frozen=True, slots=True)
class Route:
    """Where one model may be asked. `bodies` has one model for each body that has to be made."""

    places: tuple[Place, ...]
    bodies: tuple[Model, ...]
    order: Order
    free_share: Callable[[str], float]
    fallback: bool = False

    def drawn(self, rng: Random) -> Sequence[Place]:
        """Return the places in the order for one request.

        Weighted: each comes first as often as its weight says, and so on among the rest. Headroom: those come
        first of whose lane the larger share is free; of those with the same, as listed.
        """
        if self.order == "ordered" or len(self.places) == 1:
            return self.places
        if self.order == "headroom":
            return sorted(self.places, key=lambda place: -self.free_share(place.lane))
        return sorted(self.places, key=lambda place: rng.expovariate(place.weight))


class Router:
    """Knows the routes of every model.

    `catalogs` goes by target and has its region; `preferred` is the first target's. `general` is the list of
    targets for models without one of their own. `free_share` says how much of a lane is free, from 0 to 1.
    """

    def __init__(
        self,
        catalogs: Mapping[str, Catalog],
        general: tuple[TargetChoice, ...],
        routing: RoutingSettings,
        models: Mapping[str, ModelSettings],
        free_share: Callable[[str], float] = lambda _lane: 1.0,
    ) -> None:
        self.catalogs = catalogs
        self._free_share = free_share
        self._general = general
        self._routing = routing
        self._models = models
        self.preferred = catalogs[general[0].target]
        self._alone = len(catalogs) == 1
        self._chats: dict[str, tuple[Route, ...]] = {}
        self._embeddings: dict[str, Route] = {}
        self._relays: dict[tuple[str, Api, bool], tuple[Route, ...]] = {}

    def routes(self, asked: str) -> tuple[Route, ...]:
        """Return the route of the model asked for, and those of its fallback models.

        Raises:
            UnknownModel, InvalidRequest: no target serves the model, and no fallback model; see `Catalog`.
        """
        routes = self._chats.get(asked)
        if routes is None:
            routes = _keep(self._chats, asked, self._chat_routes(asked))
        return routes

    def embedding_route(self, asked: str) -> Route:
        """Return the route of an embedding model; it has no fallback: other models' vectors do not compare.

        Raises:
            UnknownModel, InvalidRequest: no target serves the model.
        """
        route = self._embeddings.get(asked)
        if route is None:
            made = self._route(asked, lambda catalog, called: catalog.resolve_embedding(asked, called))
            route = _keep(self._embeddings, asked, made)
        return route

    def relay_routes(self, asked: str, api: Api, *, streaming: bool) -> tuple[Route, ...]:
        """Return the routes of a model that is asked in Bedrock's own words, and of its fallback models.

        Raises:
            UnknownModel: no target serves the model.
        """
        key = (asked, api, streaming)
        routes = self._relays.get(key)
        if routes is None:

            def route(name: str, rules: Rules) -> Route:
                return self._route(
                    name,
                    lambda catalog, called: catalog.resolve_relayed(
                        name, called, rules, api=api, streaming=streaming
                    ),
                )

            routes = _keep(self._relays, key, self._with_fallbacks(asked, route))
        return routes

    @property
    def general_targets(self) -> list[str]:
        """The targets for what is no model's, the preferred one first."""
        return [choice.target for choice in self._general]

    def resolve(self, asked: str) -> Model:
        """Return the model behind a name, of chat or of embeddings; raises as `routes` does."""
        try:
            return self.routes(asked)[0].places[0].model
        except (InvalidRequest, UnknownModel):
            with suppress(InvalidRequest, UnknownModel):
                return self.embedding_route(asked).places[0].model
            raise

    def _chat_routes(self, asked: str) -> tuple[Route, ...]:
        return self._with_fallbacks(asked, self._chat_route)

    def _with_fallbacks(self, asked: str, route: Callable[[str, Rules], Route]) -> tuple[Route, ...]:
        rules = self.preferred.rules(asked)
        routes = [route(asked, rules)]
        for name in self._fallback_models(asked):
            with suppress(InvalidRequest, UnknownModel):  # at the start it was told that it cannot be asked
                routes.append(replace(route(name, rules), fallback=True))
        return tuple(routes)

    def _chat_route(self, name: str, rules: Rules) -> Route:
        return self._route(name, lambda catalog, called: catalog.resolve(name, called, rules))

    def _route(self, name: str, resolve: Callable[[Catalog, str | None], Model]) -> Route:
        """Return the targets that serve a model, or raise the error of the first."""
        places: list[Place] = []
        bodies: list[Model] = []
        first: InvalidRequest | UnknownModel | None = None
        for choice in self._choices(name):
            try:
                model = resolve(self.catalogs[choice.target], choice.model)
                self._check_place(model.id, choice.target)
            except (InvalidRequest, UnknownModel) as error:
                first = first or error
                continue
            if (written := replace(model, id="", prices=None)) not in bodies:
                bodies.append(written)
            places.append(Place(choice.target, model, choice.weight, bodies.index(written)))
        if first is not None and not places:
            raise first
        return Route(tuple(places), tuple(bodies), self._order(name), self._free_share)

    def _check_place(self, model_id: str, target: str) -> None:
        """Refuse what its own name says is not to be had there; one target alone may have AWS's own words."""
        region = self.catalogs[target].region
        if self._alone or region is None:
            return
        reason = elsewhere(parse(model_id), region)
        if reason is not None:
            raise UnknownModel(f"'{shown(model_id)}' is not served here: {reason}.", param="model")

    # ── the operator's choices ────────────────────────────────────────────────────────────────────────

    def _said(self, asked: str) -> Iterator[ModelSettings]:
        """Yield what the operator says about a model, the strongest first."""
        return (self._models[name] for name in self.preferred.names_of(asked) if name in self._models)

    def _choices(self, asked: str) -> tuple[TargetChoice, ...]:
        return next((model.targets for model in self._said(asked) if model.targets), self._general)

    def _order(self, asked: str) -> Order:
        return next((model.order for model in self._said(asked) if model.order), self._routing.order)

    def _fallback_models(self, asked: str) -> tuple[str, ...]:
        names = (model.fallback_models for model in self._said(asked) if model.fallback_models)
        return next(names, ())

    # ── at the start ──────────────────────────────────────────────────────────────────────────────────

    def problems(self) -> list[str]:
        """Name the choices that cannot work."""
        found = [
            f"routing.targets: {choice.target} is in {region}, outside of routing.residency"
            for choice in self._general
            if (region := self.catalogs[choice.target].region) is not None
            and not inside(region, self._routing.residency or EVERYWHERE)
        ]
        for name in self._models:
            found += self._model_problems(name)
        choices = self.preferred.choices
        named = {name: f"alias {name!r}" for name in choices.aliases}
        if choices.default_model is not None:
            named.setdefault(choices.default_model, "default_model")
        for name, what in named.items():
            words = None if name in self._models else self._nowhere(name)
            found += [f"{what}: {words}"] if words else []
        return list(dict.fromkeys(found))

    def _model_problems(self, name: str) -> Iterator[str]:
        model, rules = self._models[name], self.preferred.rules(name)
        for choice in model.targets:
            words = self._refusal(name, choice)
            if words:
                yield f'models."{name}".targets: {choice.target}: {words}'
        if not model.targets and (words := self._nowhere(name)):
            yield f'models."{name}": {words}'
        for fallback in model.fallback_models:
            try:
                self._chat_route(fallback, rules)
            except (InvalidRequest, UnknownModel) as error:
                yield f'models."{name}".fallback_models: {error.message}'

    def _nowhere(self, name: str) -> str | None:
        """Return why no target may be asked for a model, None where one may."""
        refusals = [self._refusal(name, choice) for choice in self._choices(name)]
        return None if None in refusals else refusals[0]

    def _refusal(self, name: str, choice: TargetChoice) -> str | None:
        """Return why a target may not be asked for a model, as far as its place decides that."""
        catalog = self.catalogs[choice.target]
        try:
            self._check_place(catalog.placed(name, choice.model), choice.target)
        except UnknownModel as error:
            return error.message
        return None


EVERYWHERE = ("*",)
Key = TypeVar("Key")
Kept = TypeVar("Kept")


def _keep(kept: dict[Key, Kept], name: Key, made: Kept) -> Kept:
    if len(kept) >= MAX_KEPT:
        kept.clear()
    kept[name] = made
    return made
