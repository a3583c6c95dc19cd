"""A caller, as far as admission goes: its name and its rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Priority: TypeAlias = Literal["critical", "interactive", "batch"]
PRIORITIES: Final[tuple[Priority, ...]] = ("critical", "interactive", "batch")
"""The first is served first, the last is shed first (R46)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerRules:
    """What a caller may; None: no limit of its own."""

    allowed_models: tuple[str, ...] | None = None
    """Patterns, of which one must match the model's name as the caller gives it, or its id."""
    allowed_regions: tuple[str, ...] | None = None
    """Patterns of the regions in which Bedrock may be called for it."""
    priority: Priority = "interactive"
    weight: float = 1.0
    """Its share where several wait, as against others of its priority."""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Input and output, reserved by `max_tokens` and settled with what was used."""
    max_streams: int | None = None
    """Requests at a time."""
    budget_usd_per_day: float | None = None
    budget_usd_per_month: float | None = None
    default_max_tokens: int | None = None
    """Where a request names none."""
    max_tokens: int | None = None
    """The most that a request may name."""

    @property
    def counted(self) -> bool:
        """Whether anything of it is counted across requests."""
        return (
            self.requests_per_minute is not None
            or self.tokens_per_minute is not None
            or self.max_streams is not None
            or self.budget_usd_per_day is not None
            or self.budget_usd_per_month is not None
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; the name is empty where nobody is named."""

    name: str
    rules: CallerRules = CallerRules()


ANONYMOUS: Final = Caller("")
