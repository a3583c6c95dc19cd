"""From the name a caller asks for to the model that answers and the operation that serves it.

A name goes through three steps: alias → id → card. Which operation serves the model is decided by, strongest
first: the override for the name asked for, the override for the alias's target, the override for the base
id, the operator's `operation`, the catalogue's own choice. Overrides are merged field by field, so one may
set the operation and another the streaming of the same model.

The catalogue's own choice: InvokeModel for the families of `cards.INVOKED_FAMILIES` where there is a codec,
because it carries everything the family can do; Converse for everything else and for every opaque ARN,
because it needs no knowledge of the family.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.catalog.cards import Card, load_cards
from gateway.catalog.choices import Choices
from gateway.catalog.defaults import NONE, Defaults
from gateway.catalog.model import Model
from gateway.catalog.model_id import Kind, ModelId, parse, shown
from gateway.catalog.prices import load_prices
from gateway.catalog.profiles import advice, profile_ids
from gateway.catalog.serving import api_for, native_family
from gateway.errors import GatewayError, InvalidRequest, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.catalog.choices import ModelOverride, Operation
    from gateway.catalog.prices import Prices


@dataclass(frozen=True, slots=True)
class _Asked:
    """A name taken apart: `id` is what was written, `known` the id that the facts are looked up by.

    The two differ where the operator gave the base model of an ARN.
    """

    name: str
    target: str
    id: ModelId
    known: ModelId
    card: Card | None
    override: ModelOverride


class Catalog:
    """The models that this gateway knows, and the operator's choices about them.

    `region` is where the gateway calls Bedrock; it decides which inference profile is recommended. The other
    arguments are the operator's: see `Choices`.

    Raises:
        ValueError: a choice cannot work; the message has a line for every problem.
    """

    def __init__(
        self,
        *,
        region: str | None = None,
        operation: Operation = "auto",
        streaming: bool = True,
        custom_ids: bool = True,
        overrides: Mapping[str, ModelOverride] = MappingProxyType({}),
        aliases: Mapping[str, str] = MappingProxyType({}),
        allowed: tuple[str, ...] | None = None,
        default_model: str | None = None,
        defaults: Defaults = NONE,
        group_defaults: Mapping[str, Defaults] = MappingProxyType({}),
    ) -> None:
        self.choices = Choices(
            operation=operation,
            streaming=streaming,
            custom_ids=custom_ids,
            overrides=overrides,
            aliases=aliases,
            allowed=allowed,
            default_model=default_model,
            defaults=defaults,
            group_defaults=group_defaults,
        )
        self._cards = load_cards()
        self._prices = load_prices()
        self._region = region
        problems = [*self.choices.problems(), *self._problems()]
        if problems:
            raise ValueError("\n".join(problems))

    def resolve(self, asked: str) -> Model:
        """Return the model behind the name a caller asks for.

        Raises:
            UnknownModel: not a model id, not in the catalogue while `custom_ids` is off, not among the
                allowed models, or only reachable by an operation that the operator ruled out.
            InvalidRequest: the model exists but does not complete chats, or only an inference profile
                serves it; the message names the profile.
        """
        found = self._find(asked)
        card, known, override = found.card, found.known, found.override
        self._check(found)
        native = native_family(known, card)
        general = self.choices.general_defaults(asked, found.target, known.base_id, known.provider)
        return Model(
            id=found.target,
            base_id=known.base_id,
            provider=known.provider or "custom",
            native_family=native,
            api=api_for(override.operation or self.choices.operation, native, card, found.target),
            streaming=self._can_stream(card) if override.streaming is None else override.streaming,
            sampling=card is None or card.sampling,
            one_sampling=card is not None and card.one_sampling,
            max_output_tokens=None if card is None else card.max_output_tokens,
            takes=None if card is None else card.takes,
            prices=self._prices_of(found),
            defaults=override.defaults.over(general.accepted_by(card)),
            timeouts=override.timeouts,
        )

    def resolve_embedding(self, asked: str) -> Model:
        """Return the embedding model behind the name a caller asks for; it is served by InvokeModel.

        Raises:
            UnknownModel: not a model id, or not among the allowed models.
            InvalidRequest: the catalogue knows the model and it embeds nothing, or only an inference profile
                serves it.
        """
        found = self._find(asked)
        card, known = found.card, found.known
        self._check_allowed(found)
        if card is None:
            self._check_custom(found.target)
        else:
            if "embedding" not in card.gives:
                gives = " and ".join(card.gives)
                raise InvalidRequest(
                    f"'{shown(found.target)}' embeds nothing: it gives {gives}.", param="model"
                )
            self._check_profile(found, card)
        return Model(
            id=found.target,
            base_id=known.base_id,
            provider=known.provider or "custom",
            native_family=None,
            api="invoke",
            streaming=False,
            prices=self._prices_of(found),
        )

    def card(self, asked: str) -> Card | None:
        """Return what is known of the model behind a name; None for what is not in the catalogue.

        Raises:
            UnknownModel: `asked` is neither an alias nor a model id.
        """
        return self._find(asked).card

    def profile_advice(self, model: Model) -> str | None:
        """Return which inference profile to ask for instead of a base id; None where none is known."""
        card = self._cards.get(model.base_id or "")
        return advice(card, self._region) if card is not None and card.profiles else None

    def models(self) -> Mapping[str, Model]:
        """Return what may be asked for by name: the aliases, then the catalogue's chat models.

        What `resolve` would refuse under the operator's choices is left out. A model that only inference
        profiles serve, or that has no price but theirs, is listed by the profiles that suit the region.
        """
        listed: dict[str, Model] = {}
        for name in (*self.choices.aliases, *self._names()):
            try:
                listed[name] = self.resolve(name)
            except (InvalidRequest, UnknownModel):  # not served here: an embedding model, a forced operation
                continue
        return listed

    def _names(self) -> Iterable[str]:
        for card in self._cards.values():
            if card.on_demand is False or (card.profiles and card.id not in self._prices):
                yield from profile_ids(card, self._region)
            else:
                yield card.id

    def _find(self, asked: str) -> _Asked:
        target = self.choices.aliases.get(asked, asked)
        written = known = parse(target)
        base_model = self.choices.override(asked, target).base_model
        if base_model is not None:
            known = parse(base_model)
        override = self.choices.override(asked, target, known.base_id)
        return _Asked(asked, target, written, known, self._card(known), override)

    def _card(self, model_id: ModelId) -> Card | None:
        """Look the base id up, also without its version: `titan-text-express-v1:0:8k` is the `-v1` model."""
        base = model_id.base_id
        if base is None:
            return None
        return self._cards.get(base) or self._cards.get(base.rpartition(":")[0])

    def _prices_of(self, found: _Asked) -> Prices | None:
        """Return the prices of an id; a profile that has none of its own has the base id's."""
        card, known = found.card, found.known
        if card is None or known.context is not None or found.id.kind not in PRICED_BY_TOKEN:
            return None
        own = self._prices.get(f"{known.geo}.{card.id}" if known.geo else card.id)
        return self._prices.get(card.id) if own is None and known.geo in card.profiles else own

    def _can_stream(self, card: Card | None) -> bool:
        return self.choices.streaming and (card is None or card.streaming)

    # ── refusals ──────────────────────────────────────────────────────────────────────────────────────

    def _check(self, found: _Asked) -> None:
        self._check_allowed(found)
        card = found.card
        if card is None:
            self._check_custom(found.target)
        elif card.family is None:
            raise InvalidRequest(
                f"'{shown(found.target)}' is not a chat model: it takes {' and '.join(card.takes)} and gives "
                f"{' and '.join(card.gives)}.",
                param="model",
            )
        else:
            self._check_profile(found, card)

    def _check_allowed(self, found: _Asked) -> None:
        if not self.choices.allows(found.name, found.target):
            raise UnknownModel(
                f"'{shown(found.name)}' is not among the models that this gateway's operator allows "
                "(allowed_models).",
                param="model",
            )

    def _check_profile(self, found: _Asked, card: Card) -> None:
        if _needs_profile(found, card):
            raise InvalidRequest(
                f"'{shown(found.target)}' is served through an inference profile, not by its base id: "
                f"{advice(card, self._region)}.",
                param="model",
            )

    def _check_custom(self, target: str) -> None:
        if not self.choices.custom_ids:
            raise UnknownModel(
                f"'{shown(target)}' is not in this gateway's catalogue. The operator can "
                "set custom_ids to serve every well-formed model id.",
                param="model",
            )

    # ── checks at construction ────────────────────────────────────────────────────────────────────────

    def _problems(self) -> Iterable[str]:
        """Name the choices that contradict what is known of the models."""
        for name, override in self.choices.overrides.items():
            try:
                found = self._find(name)
            except UnknownModel:
                continue  # `Choices.problems` has reported it
            if override.operation == "invoke" and native_family(found.known, found.card) is None:
                yield f"override {name!r}: no codec for 'invoke' is known for it; use 'converse' or 'auto'"
            refused = [] if found.card is None else override.defaults.refused_by(found.card)
            yield from (f"override {name!r}: the model does not accept {field}" for field in refused)
        for name in self.choices.aliases:
            yield from self._alias_problems(name)
        if self.choices.default_model is not None:
            try:
                if self._find(self.choices.default_model).known.provider is None:
                    yield f"default_model: {self.choices.default_model!r} is no alias and names no provider"
                self.resolve(self.choices.default_model)
            except GatewayError as error:
                yield f"default_model: {error.message}"

    def _alias_problems(self, name: str) -> Iterable[str]:
        try:
            found = self._find(name)
        except UnknownModel:
            return
        if found.card is not None and _needs_profile(found, found.card):
            how = advice(found.card, self._region)
            yield f"alias {name!r}: '{found.target}' is served through an inference profile: {how}"


# ── decisions ─────────────────────────────────────────────────────────────────────────────────────────

PRICED_BY_TOKEN: frozenset[Kind] = frozenset(
    {"base", "geo-profile", "foundation-model", "inference-profile", "application-inference-profile"}
)
"""Provisioned, imported and deployed custom models are billed by the hour or at prices of their own."""


def _needs_profile(found: _Asked, card: Card) -> bool:
    """Say whether it is certain that Bedrock would ask for an inference profile."""
    by_base_id = found.id.kind in {"base", "foundation-model"} and found.id.context is None
    return by_base_id and card.on_demand is False and not found.override.on_demand
