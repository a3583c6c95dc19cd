"""What a model is to the rest of the gateway, once its id has been resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.catalog.defaults import NONE, Defaults
from gateway.catalog.features import UNKNOWN, Features
from gateway.catalog.timeouts import GENERAL, Timeouts

if TYPE_CHECKING:
    from collections.abc import Container

    from gateway.catalog.prices import Prices
    from gateway.domain import Usage

Api: TypeAlias = Literal["invoke", "converse"]
"""Which pair of Bedrock operations serves a model: InvokeModel(WithResponseStream) or Converse(Stream)."""

Family: TypeAlias = Literal[
    "claude", "claude_text", "nova", "titan", "llama", "mistral", "mistral_chat", "cohere_command",
    "cohere_command_r", "jurassic", "jamba", "deepseek_r1", "openai_chat", "gpt_oss", "imported", "converse",
]  # fmt: skip
"""The codec that speaks for a model; `converse` for every family without a native codec of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as resolved for one request.

    `id` is what goes into the Bedrock URL: the caller's id or ARN, or the alias's target. `base_id` is the
    foundation model behind it where it can be told (no geo prefix, no ARN), else None. `provider` is the
    label before the first dot of `base_id` (`anthropic`, `amazon`, …) or `custom` where it cannot be told.
    `native_family` is the family that could serve it by InvokeModel, None where there is no native codec;
    `api` is the pair of operations that will serve it. `streaming` false: use the unary operation.
    `sampling` false: the model refuses temperature, top_p and top_k. `max_output_tokens` is None where the
    model is not in the catalogue, and so is `takes`: the modalities of its input (text, image, …).
    `output_burndown` is what a token of output takes from Bedrock's quotas of tokens.
    `features` are what is known of what not every model has.
    `one_sampling`: of temperature and top_p the model takes only one. `prices` is None where none are known.
    `defaults` and `timeouts` are the operator's; the defaults, as far as the model accepts them.
    """

    id: str
    base_id: str | None
    provider: str
    native_family: Family | None
    api: Api
    streaming: bool = True
    sampling: bool = True
    max_output_tokens: int | None = None
    output_burndown: int = 1
    takes: tuple[str, ...] | None = None
    one_sampling: bool = False
    features: Features = UNKNOWN
    prices: Prices | None = None
    defaults: Defaults = NONE
    timeouts: Timeouts = GENERAL
    family: Family = field(init=False)
    """The codec that will serve this model with `api`."""

    def __post_init__(self) -> None:
        converse = self.api == "converse" or self.native_family is None
        object.__setattr__(self, "family", "converse" if converse else self.native_family)

    def defaults_for(self, said: Container[str]) -> dict[str, float | str]:
        """Return the operator's defaults for what is not in `said`, by their names.

        Of a model that takes only one of temperature and top_p it is one of them at most.
        """
        return self.defaults.left_out(said, one_sampling=self.one_sampling)

    def cost_usd(self, usage: Usage) -> float | None:
        """Return what an answer cost, None where it cannot be known (see `prices`)."""
        return None if self.prices is None else self.prices.cost(usage)
