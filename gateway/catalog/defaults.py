"""What is asked where the caller does not say: the operator's default parameters and system text.

They are applied once, by `with_defaults`, after the model is resolved and before its codec formats the
request. They never override what the caller gave, and they are never the reason of a refusal: what a model
is known to refuse, or is not known to accept, is not applied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.domain import TextPart

if TYPE_CHECKING:
    from collections.abc import Container

    from gateway.catalog.cards import Card
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest


NAMES = ("temperature", "top_p", "system")
_NOTHING = (None, (), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Values for what a caller leaves out; None: the model's own default stands."""

    temperature: float | None = None
    top_p: float | None = None
    system: str | None = None

    def over(self, weaker: Defaults) -> Defaults:
        """Return mine, and the weaker ones where I say nothing."""
        return Defaults(
            temperature=weaker.temperature if self.temperature is None else self.temperature,
            top_p=weaker.top_p if self.top_p is None else self.top_p,
            system=weaker.system if self.system is None else self.system,
        )

    def __bool__(self) -> bool:
        return not (self.temperature is None and self.top_p is None and self.system is None)

    def left_out(self, said: Container[str], *, one_sampling: bool) -> dict[str, float | str]:
        """Return mine that are not in `said`, by their names.

        With `one_sampling` (Claude Opus 4.1 and the 4.5 generation take only one of temperature and top_p)
        that is neither of the two where the caller gave the other, and temperature before top_p.
        """
        found = {name: getattr(self, name) for name in NAMES}
        kept = {name: value for name, value in found.items() if value not in _NOTHING and name not in said}
        if one_sampling and ("temperature" in said or "top_p" in said):
            kept.pop("temperature", None)
            kept.pop("top_p", None)
        elif one_sampling and "temperature" in kept:
            kept.pop("top_p", None)
        return kept

    def accepted_by(self, card: Card | None) -> Defaults:
        """Return those that the model is known to accept; of a model without a card nothing is known."""
        if card is None:
            return NONE
        return Defaults(
            temperature=self.temperature if card.sampling else None,
            top_p=self.top_p if card.sampling else None,
            system=self.system if card.system else None,
        )

    def refused_by(self, card: Card) -> list[str]:
        """Return the names of those that the model is known to refuse."""
        kept = self.accepted_by(card)
        return [name for name in NAMES if getattr(self, name) is not None and getattr(kept, name) is None]


NONE = Defaults()


def with_defaults(request: CompletionRequest, model: Model) -> CompletionRequest:
    """Return the request with the model's defaults where the caller said nothing.

    Reasoning leaves temperature and top_p alone: Claude and Nova refuse them beside it.
    """
    if not model.defaults:
        return request
    said = {name for name in NAMES if getattr(request, name) not in _NOTHING}
    if request.reasoning is not None:
        said |= {"temperature", "top_p"}
    fields: dict[str, Any] = model.defaults_for(said)
    if "system" in fields:
        fields["system"] = (TextPart(fields["system"]),)
    return replace(request, **fields) if fields else request
