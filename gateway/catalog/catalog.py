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

from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from gateway.catalog.asked import Asked, check_chat, check_embedding, check_relayed, check_residency
from gateway.catalog.cards import Card, load_cards
from gateway.catalog.choices import Choices
from gateway.catalog.defaults import NONE, Defaults
from gateway.catalog.features import UNKNOWN
from gateway.catalog.model import Model
from gateway.catalog.model_id import ModelId, parse
from gateway.catalog.prices import PRICED_BY_TOKEN, load_prices
from gateway.catalog.profiles import advice, profile_ids
from gateway.catalog.serving import api_for, native_family
from gateway.errors import GatewayError, InvalidRequest, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.catalog.choices import ModelOverride, Operation
    from gateway.catalog.model import Api
    from gateway.catalog.prices import Prices


Rules: TypeAlias = "tuple[tuple[str, ...], ...]"
"""Residency rules, of which each holds: patterns of the regions where prompts may be processed."""


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
        residency: tuple[str, ...] | None = None,
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
            residency=residency,
        )
        self._cards = load_cards()
        self._prices = load_prices()
        self.region = region
        problems = [*self.choices.problems(), *self._problems()]
        if problems:
            raise ValueError("\n".join(problems))

    def resolve(self, asked: str, called: str | None = None, also_in: Rules = ()) -> Model:
        """Return the model behind the name a caller asks for.

        `called` is what the model is called here, where that is not what the alias says. `also_in` are
        residency rules that hold besides the model's own.

        Raises:
            UnknownModel: not a model id, not in the catalogue while `custom_ids` is off, not among the
                allowed models, only reachable by an operation that the operator ruled out, or its prompts
                would leave the regions of the operator's residency rules.
            InvalidRequest: the model exists but does not complete chats, or only an inference profile
                serves it; the message names the profile.
        """
        found = self._find(asked, called)
        check_residency(found, self.region, (*self._rules(found), *also_in))
        return self._chat_model(found)

    def _chat_model(self, found: Asked) -> Model:
        card, known, override = found.card, found.known, found.override
        check_chat(found, self.choices, self.region)
        native = native_family(known, card)
        general = self.choices.general_defaults(found.name, found.target, known.base_id, known.provider)
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
            output_burndown=1 if card is None else card.output_burndown,
            takes=None if card is None else card.takes,
            features=(UNKNOWN if card is None else card.features).corrected(override.features),
            prices=self._prices_of(found),
            defaults=override.defaults.over(general.accepted_by(card)),
            timeouts=override.timeouts,
        )

    def resolve_relayed(
        self, asked: str, called: str | None, also_in: Rules, *, api: Api, streaming: bool
    ) -> Model:
        """Return the model behind a name for a request in Bedrock's own words, which say the operation.

        What kind of model it is, and whether only a profile serves it, is Bedrock's to judge.

        Raises:
            UnknownModel: as `resolve`.
        """
        found = self._find(asked, called)
        check_residency(found, self.region, (*self._rules(found), *also_in))
        check_relayed(found, self.choices)
        return self._plain_model(found, api, streaming=streaming)

    def placed(self, asked: str, called: str | None = None) -> str:
        """Return what Bedrock is asked for here, where the residency rules allow that.

        Raises:
            UnknownModel: they do not, or it is not a model id.
        """
        found = self._find(asked, called)
        check_residency(found, self.region, self._rules(found))
        return found.target

    def resolve_embedding(self, asked: str, called: str | None = None) -> Model:
        """Return the embedding model behind the name a caller asks for; it is served by InvokeModel.

        Raises:
            UnknownModel: not a model id, not among the allowed models, or against the residency rules.
            InvalidRequest: the catalogue knows the model and it embeds nothing, or only an inference profile
                serves it.
        """
        found = self._find(asked, called)
        check_residency(found, self.region, self._rules(found))
        check_embedding(found, self.choices, self.region)
        return self._plain_model(found, "invoke", streaming=False)

    def _plain_model(self, found: Asked, api: Api, *, streaming: bool) -> Model:
        """Return a model without what only a chat is made with."""
        known = found.known
        return Model(
            id=found.target,
            base_id=known.base_id,
            provider=known.provider or "custom",
            native_family=native_family(known, found.card),
            api=api,
            streaming=streaming,
            max_output_tokens=None if found.card is None else found.card.max_output_tokens,
            output_burndown=1 if found.card is None else found.card.output_burndown,
            prices=self._prices_of(found),
            timeouts=found.override.timeouts,
        )

    def card(self, asked: str) -> Card | None:
        """Return what is known of the model behind a name; None for what is not in the catalogue.

        Raises:
            UnknownModel: `asked` is neither an alias nor a model id.
        """
        return self._find(asked).card

    def provider(self, asked: str) -> str:
        """Return the label of who made the model behind a name; raises as `card` does."""
        return self._find(asked).known.provider or "custom"

    def names_of(self, asked: str) -> tuple[str, ...]:
        """Return the names by which the operator may speak of a model, the strongest first.

        Raises:
            UnknownModel: `asked` is neither an alias nor a model id.
        """
        found = self._find(asked)
        return tuple(name for name in (found.name, found.target, found.known.base_id) if name is not None)

    def rules(self, asked: str) -> Rules:
        """Return the residency rules for the prompts of a model; raises as `names_of` does."""
        return self._rules(self._find(asked))

    def profile_advice(self, model: Model) -> str | None:
        """Return which inference profile to ask for instead of a base id; None where none is known."""
        card = self._cards.get(model.base_id or "")
        return advice(card, self.region) if card is not None and card.profiles else None

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
                yield from profile_ids(card, self.region)
            else:
                yield card.id

    def _rules(self, found: Asked) -> Rules:
        rule = found.override.residency or self.choices.residency
        return () if rule is None else (rule,)

    def _find(self, asked: str, called: str | None = None) -> Asked:
        target = called or self.choices.aliases.get(asked, asked)
        written = known = parse(target)
        base_model = self.choices.override(asked, target).base_model
        if base_model is not None:
            known = parse(base_model)
        override = self.choices.override(asked, target, known.base_id)
        return Asked(asked, target, written, known, self._card(known), override)

    def _card(self, model_id: ModelId) -> Card | None:
        """Look the base id up, also without its version: `titan-text-express-v1:0:8k` is the `-v1` model."""
        base = model_id.base_id
        if base is None:
            return None
        return self._cards.get(base) or self._cards.get(base.rpartition(":")[0])

    def _prices_of(self, found: Asked) -> Prices | None:
        """Return the prices of an id; a profile that has none of its own has the base id's."""
        card, known = found.card, found.known
        if card is None or known.context is not None or found.id.kind not in PRICED_BY_TOKEN:
            return None
        own = self._prices.get(f"{known.geo}.{card.id}" if known.geo else card.id)
        return self._prices.get(card.id) if own is None and known.geo in card.profiles else own

    def _can_stream(self, card: Card | None) -> bool:
        return self.choices.streaming and (card is None or card.streaming)

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
            yield from self._default_problems(self.choices.default_model)

    def _default_problems(self, name: str) -> Iterable[str]:
        try:
            found = self._find(name)
            if found.known.provider is None:
                yield f"default_model: {name!r} is no alias and names no provider"
            if not found.override.renamed:
                self._chat_model(found)
        except GatewayError as error:
            yield f"default_model: {error.message}"

    def _alias_problems(self, name: str) -> Iterable[str]:
        try:
            found = self._find(name)
        except UnknownModel:
            return
        if found.card is not None and found.needs_profile() and not found.override.renamed:
            how = advice(found.card, self.region)
            yield f"alias {name!r}: '{found.target}' is served through an inference profile: {how}"
