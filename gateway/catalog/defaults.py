"""What is asked where the caller does not say: the operator's default parameters and system text.

They are applied once, by `with_defaults`, after the model is resolved and before its codec formats the
request. They never override what the caller gave, and they are never the reason of a refusal: what a model
is known to refuse, or is not known to accept, is not applied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.domain import TextPart

if TYPE_CHECKING:
    from gateway.catalog.cards import Card
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest


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
        names = ("temperature", "top_p", "system")
        return [name for name in names if getattr(self, name) is not None and getattr(kept, name) is None]


NONE = Defaults()


def with_defaults(request: CompletionRequest, model: Model) -> CompletionRequest:
    """Return the request with the model's defaults where the caller said nothing.

    A model that takes only one of temperature and top_p (Claude Opus 4.1 and the 4.5 generation) gets the
    default of one: of neither where the caller gave the other, and of temperature before top_p.
    """
    defaults = model.defaults
    if defaults is NONE or defaults == NONE:  # the second alone costs ten times as much
        return request
    temperature = defaults.temperature if request.temperature is None else request.temperature
    top_p = defaults.top_p if request.top_p is None else request.top_p
    if model.one_sampling and temperature is not None and top_p is not None:
        temperature, top_p = _one_of(request, temperature)
    return replace(
        request,
        temperature=temperature,
        top_p=top_p,
        system=request.system or ((TextPart(defaults.system),) if defaults.system else ()),
    )


def _one_of(request: CompletionRequest, temperature: float) -> tuple[float | None, float | None]:
    if request.temperature is None and request.top_p is None:
        return temperature, None
    return request.temperature, request.top_p
