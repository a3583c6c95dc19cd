"""What Bedrock gives an account of each model: AWS's Service Quotas, copied here."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.settings.sections import Count, Section


class QuotaSettings(Section):
    """The quota of each model that fits the table's name, at each of the targets; None: none that counts.

    The name is a pattern such as `*.anthropic.claude-*` for the id as Bedrock is called with it: AWS counts a
    base id and an inference profile apart. The first table that fits counts.
    """

    tokens_per_minute: Count | None = None
    requests_per_minute: Count | None = None
    tokens_per_day: Count | None = None
    output_burndown: int | None = Field(None, ge=1, le=100)
    """What a token of output takes from a quota of tokens; by default the catalogue's figure."""
    targets: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = ("*",)
    """Patterns of the names of targets: two regions need not have the same quota."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if (
            self.tokens_per_minute is None
            and self.requests_per_minute is None
            and self.tokens_per_day is None
        ):
            raise PydanticCustomError(
                "no_limit", "needs tokens_per_minute, requests_per_minute or tokens_per_day"
            )
        return self
