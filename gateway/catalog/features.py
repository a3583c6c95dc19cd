"""What is known of the features that not every model has.

The facts are the cards' (`models.json`), from AWS's pages on Converse's models, prompt caching, structured
outputs, adaptive thinking and latency-optimised inference, and from LiteLLM's price list (the columns
`supports_…`), which nobody has checked against AWS. What neither says is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain import Effort, ServiceTier

Thinking: TypeAlias = Literal["budget", "adaptive", "both", "nova", "effort", "fixed", "none"]
"""How a model is told how much to think: Claude by a `budget` of tokens, or `adaptive` by an effort, or in
`both` ways; Nova 2 by `reasoningConfig`; OpenAI's and Grok by an `effort`. `fixed`: it thinks, and cannot be
told how much. `none`: it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """True: the model has it. False: it is known to lack it. None: not known, so Bedrock is asked.

    `tool_choice`: the ways in which a call can be demanded. `single_calls`: by Converse, it can be told to
    call one tool at a time (Claude always can by InvokeModel). `structured`: Bedrock makes its answers fit a
    schema. `cache_1h`: a cache point may last an hour. `always_thinks`: it cannot be told not to.
    `efforts`: those that it knows. `tiers`: besides the default. `latency`: it can be served faster.
    """

    documents: bool | None = None
    tools: bool | None = None
    tool_choice: tuple[str, ...] | None = None
    strict_tools: bool | None = None
    single_calls: bool | None = None
    structured: bool | None = None
    cache_points: bool | None = None
    cache_1h: bool | None = None
    thinking: Thinking | None = None
    always_thinks: bool = False
    efforts: tuple[Effort, ...] | None = None
    tiers: tuple[ServiceTier, ...] | None = None
    latency: bool | None = None

    def corrected(self, by: Mapping[str, bool]) -> Features:
        """Return these with what the operator knows better: names of features that a model has or lacks."""
        return replace(self, **by) if by else self  # type: ignore[arg-type]  # of those that may be bool


UNKNOWN = Features()
"""What is known of a model that is not in the catalogue."""


def features(row: Mapping[str, Any] | None) -> Features:
    """Return the features that a card's row names."""
    if row is None:
        return UNKNOWN
    known: dict[str, Any] = {
        name: tuple(value) if type(value) is list else value for name, value in row.items()
    }
    return Features(**known)
