"""What a caller may: models, regions, rates, streams, budgets."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.settings.sections import Count, Regions, Section

Usd = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


class CallerRuleSettings(Section):
    """The rules of one caller; what is left out has no limit of its own."""

    allowed_models: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] | None = (
        None
    )
    """Patterns such as `anthropic.*`: one must match the name asked for, or the id of the model behind it."""
    allowed_regions: Regions | None = None
    """Patterns such as `eu-*`: Bedrock is called for this caller in these regions only."""
    priority: Literal["critical", "interactive", "batch"] = "interactive"
    """Who waits is served in this order, and shed in the reverse."""
    weight: float = Field(1.0, ge=0.01, le=100, allow_inf_nan=False)
    """Of its share, as against others of its priority, where several wait."""
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    """Input and output tokens: reserved by `max_tokens`, settled with what was used."""
    max_streams: Count | None = None
    """Requests at a time."""
    budget_usd_per_day: Usd | None = None
    """Of a day in UTC."""
    budget_usd_per_month: Usd | None = None
    """Of a month in UTC."""
    default_max_tokens: Count | None = None
    """Where a request names none."""
    max_tokens: Count | None = None
    """The most that a request may name; more is refused, not clipped."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuse a rule that another one leaves without effect."""
        for smaller, larger in (
            ("default_max_tokens", "max_tokens"),
            ("budget_usd_per_day", "budget_usd_per_month"),
        ):
            less, more = getattr(self, smaller), getattr(self, larger)
            if less is not None and more is not None and less > more:
                words = f"{smaller} is {less:g}, more than {larger}, which is {more:g}"
                raise PydanticCustomError("contradiction", "{words}", {"words": words})
        return self
