"""A name that a caller asked for, taken apart, and the refusals of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.catalog.model_id import ModelId, shown
from gateway.catalog.profiles import advice
from gateway.catalog.residency import outside
from gateway.errors import InvalidRequest, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.catalog.cards import Card
    from gateway.catalog.choices import Choices, ModelOverride


@dataclass(frozen=True, slots=True)
class Asked:
    """A name taken apart: `id` is what was written, `known` the id that the facts are looked up by.

    The two differ where the operator gave the base model of an ARN. `target` is what Bedrock is asked for.
    """

    name: str
    target: str
    id: ModelId
    known: ModelId
    card: Card | None
    override: ModelOverride

    def needs_profile(self) -> bool:
        """Say whether it is certain that Bedrock would ask for an inference profile."""
        by_base_id = self.id.kind in {"base", "foundation-model"} and self.id.context is None
        return (
            by_base_id
            and self.card is not None
            and self.card.on_demand is False
            and not self.override.on_demand
        )


def check_chat(found: Asked, choices: Choices, region: str | None) -> None:
    """Raise what a chat with this model is refused with."""
    check_allowed(found, choices)
    card = found.card
    if card is None:
        check_custom(found, choices)
    elif card.family is None:
        raise InvalidRequest(
            f"'{shown(found.target)}' is not a chat model: it takes {' and '.join(card.takes)} and gives "
            f"{' and '.join(card.gives)}.",
            param="model",
        )
    check_profile(found, region)


def check_embedding(found: Asked, choices: Choices, region: str | None) -> None:
    """Raise what embedding by this model is refused with."""
    check_allowed(found, choices)
    card = found.card
    if card is None:
        check_custom(found, choices)
    elif "embedding" not in card.gives:
        gives = " and ".join(card.gives)
        raise InvalidRequest(f"'{shown(found.target)}' embeds nothing: it gives {gives}.", param="model")
    check_profile(found, region)


def check_relayed(found: Asked, choices: Choices) -> None:
    """Raise what a request in Bedrock's own words is refused with."""
    check_allowed(found, choices)
    if found.card is None:
        check_custom(found, choices)


def check_allowed(found: Asked, choices: Choices) -> None:
    """Raise `UnknownModel` for what the operator does not allow."""
    if not choices.allows(found.name, found.target):
        raise UnknownModel(
            f"'{shown(found.name)}' is not among the models that this gateway's operator allows "
            "(allowed_models).",
            param="model",
        )


def check_custom(found: Asked, choices: Choices) -> None:
    """Raise `UnknownModel` for what the catalogue does not know, where the operator wants that."""
    if not choices.custom_ids:
        raise UnknownModel(
            f"'{shown(found.target)}' is not in this gateway's catalogue. The operator can "
            "set custom_ids to serve every well-formed model id.",
            param="model",
        )


def check_profile(found: Asked, region: str | None) -> None:
    """Raise `InvalidRequest` for a base id that only inference profiles serve."""
    if found.card is not None and found.needs_profile():
        raise InvalidRequest(
            f"'{shown(found.target)}' is served through an inference profile, not by its base id: "
            f"{advice(found.card, region)}.",
            param="model",
        )


def check_residency(found: Asked, region: str | None, rules: Iterable[tuple[str, ...]]) -> None:
    """Raise `UnknownModel` for a call whose prompt could leave the regions of one of the rules."""
    for rule in rules:
        on_demand = found.override.on_demand is True
        reason = outside(found.id, found.known, region, on_demand=on_demand, rule=rule)
        if reason is not None:
            raise UnknownModel(
                f"'{shown(found.target)}' is not served here: {reason}, and this gateway's operator keeps "
                f"prompts in {', '.join(rule)} (residency).",
                param="model",
            )
