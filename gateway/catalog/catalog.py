"""From the name a caller asks for to the model that answers and the operation that serves it.

A name goes through three steps: alias → id → card. Which operation serves the model is decided by, strongest
first: the override for the name asked for, the override for the alias's target, the override for the base
id, the operator's `operation`, the catalogue's own choice. Overrides are merged field by field, so one may
set the operation and another the streaming of the same model.

The catalogue's own choice: InvokeModel where there is a codec for the family (Claude, Nova, Titan Text),
because it carries everything the family can do; Converse for everything else and for every opaque ARN,
because it needs no knowledge of the family.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.catalog.cards import Card, load_cards
from gateway.catalog.model import Api, Family, Model
from gateway.catalog.model_id import ModelId, parse, shown
from gateway.errors import GatewayError, InvalidRequest, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Operation: TypeAlias = Literal["auto", "invoke", "converse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOverride:
    """What the operator decided about one model; None leaves the matter to a weaker rule.

    `operation` "auto" brings the catalogue's choice back where a stronger or the general rule forces one.
    """

    operation: Operation | None = None
    streaming: bool | None = None


class Catalog:
    """The models that this gateway knows, and the operator's choices about them.

    Args:
        operation: serve every model by this pair of operations; `auto` is the catalogue's choice.
        streaming: false serves every model by its unary operation, unless an override says otherwise.
        custom_ids: serve well-formed ids that are not in the catalogue, through Converse.
        overrides: by name asked for, alias target or base id.
        aliases: name → model id or ARN.

    Raises:
        ValueError: an alias or override cannot work; the message has a line for every problem.
    """

    def __init__(
        self,
        *,
        operation: Operation = "auto",
        streaming: bool = True,
        custom_ids: bool = True,
        overrides: Mapping[str, ModelOverride] = MappingProxyType({}),
        aliases: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._cards = load_cards()
        self._operation = operation
        self._streaming = streaming
        self._custom_ids = custom_ids
        self._overrides = dict(overrides)
        self._aliases = dict(aliases)
        problems = [*self._alias_problems(), *self._override_problems()]
        if problems:
            raise ValueError("\n".join(problems))

    def resolve(self, asked: str) -> Model:
        """Return the model behind the name a caller asks for.

        Raises:
            UnknownModel: not a model id, not in the catalogue while `custom_ids` is off, or only reachable
                by an operation that the operator ruled out.
            InvalidRequest: the model exists but does not complete chats.
        """
        target = self._aliases.get(asked, asked)
        model_id = parse(target)
        card = self._card(model_id)
        if card is None:
            self._refuse_custom(target)
        elif card.family is None:
            raise InvalidRequest(
                f"'{shown(target)}' is not a chat model: it takes {' and '.join(card.takes)} and gives "
                f"{' and '.join(card.gives)}.",
                param="model",
            )
        native = _native_family(model_id, card)
        operation, streaming = self._decide(asked, target, model_id)
        return Model(
            id=target,
            base_id=model_id.base_id,
            provider=model_id.provider or "custom",
            native_family=native,
            api=_api(operation, native, card, target),
            streaming=self._can_stream(card) if streaming is None else streaming,
            sampling=card is None or card.sampling,
            max_output_tokens=None if card is None else card.max_output_tokens,
            takes=None if card is None else card.takes,
        )

    def models(self) -> Mapping[str, Model]:
        """Return what may be asked for by name: the aliases, then the catalogue's chat models.

        What `resolve` would refuse under the operator's choices is left out.
        """
        listed: dict[str, Model] = {}
        for name in (*self._aliases, *self._cards):
            try:
                listed[name] = self.resolve(name)
            except (InvalidRequest, UnknownModel):  # not served here: an embedding model, a forced operation
                continue
        return listed

    def _card(self, model_id: ModelId) -> Card | None:
        """Look the base id up, also without its version: `titan-text-express-v1:0:8k` is the `-v1` model."""
        base = model_id.base_id
        if base is None:
            return None
        return self._cards.get(base) or self._cards.get(base.rpartition(":")[0])

    def _can_stream(self, card: Card | None) -> bool:
        return self._streaming and (card is None or card.streaming)

    def _refuse_custom(self, target: str) -> None:
        if not self._custom_ids:
            raise UnknownModel(
                f"'{shown(target)}' is not in this gateway's catalogue. The operator can "
                "set custom_ids to serve every well-formed model id.",
                param="model",
            )

    def _decide(self, asked: str, target: str, model_id: ModelId) -> tuple[Operation, bool | None]:
        operation, streaming = None, None
        for name in (asked, target, model_id.base_id):
            override = self._overrides.get(name) if name else None
            if override:
                operation = operation or override.operation
                streaming = override.streaming if streaming is None else streaming
        return operation or self._operation, streaming

    # ── checks at construction ────────────────────────────────────────────────────────────────────────

    def _alias_problems(self) -> Iterable[str]:
        for name, target in self._aliases.items():
            if target in self._aliases:
                yield f"alias {name!r}: its target {target!r} is itself an alias"
            else:
                yield from _id_problems(f"alias {name!r}", target)

    def _override_problems(self) -> Iterable[str]:
        for name, override in self._overrides.items():
            target = self._aliases.get(name, name)
            problems = [] if name in self._aliases else list(_id_problems(f"override {name!r}", target))
            yield from problems
            if override.operation == "invoke" and not problems:
                yield from self._forced_invoke_problems(name, target)

    def _forced_invoke_problems(self, name: str, target: str) -> Iterable[str]:
        try:
            model_id = parse(target)
        except UnknownModel:
            return  # the alias itself has been reported
        if _native_family(model_id, self._card(model_id)) is None:
            yield f"override {name!r}: no codec for 'invoke' is known for it; use 'converse' or 'auto'"


def _id_problems(what: str, text: str) -> Iterable[str]:
    try:
        parse(text)
    except GatewayError as error:
        yield f"{what}: {error.message}"


# ── decisions ─────────────────────────────────────────────────────────────────────────────────────────

_FAMILY_PREFIXES: tuple[tuple[str, Family], ...] = (
    ("anthropic.claude-", "claude"),
    ("amazon.nova-", "nova"),
    ("amazon.titan-text-", "titan"),
)
"""For ids newer than the catalogue: Converse serves them, but the operator may say `invoke`."""


def _native_family(model_id: ModelId, card: Card | None) -> Family | None:
    if card is not None:
        return card.native_family
    base = model_id.base_id or ""
    return next((family for prefix, family in _FAMILY_PREFIXES if base.startswith(prefix)), None)


def _api(operation: Operation, native: Family | None, card: Card | None, target: str) -> Api:
    if operation == "converse":
        return "converse"
    if operation == "auto":
        return "converse" if native is None or card is None else "invoke"
    if native is None:
        raise UnknownModel(
            f"'{shown(target)}' can only be served by Converse, and this gateway is set to 'invoke'. "
            "The operator can set operation 'converse' or 'auto' for it.",
            param="model",
        )
    return "invoke"
