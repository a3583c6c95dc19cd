"""How long the process takes to stop."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from gateway.settings.sections import Milliseconds, Section

ENDING_MS: Final = 2_000
"""For the last records of the interrupted (1 s) and aiohttp's cleanup (S14)."""
MARGIN_MS: Final = 5_000
"""What must be left of the platform's patience when all is over (R47)."""


class DrainSettings(Section):
    """How long the process takes to stop on SIGTERM."""

    propagation_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 5_000
    """Not ready, but still serving: two intervals of the load balancer's probes or more; 0 without one."""
    deadline_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 15_000
    """For what runs when listening ends; then it is interrupted."""
    grace_ms: Milliseconds = 30_000
    """After how long the platform kills the process: Kubernetes' terminationGracePeriodSeconds."""

    @model_validator(mode="after")
    def _ends_before_the_kill(self) -> Self:
        total, most = self.propagation_ms + self.deadline_ms + ENDING_MS, self.grace_ms - MARGIN_MS
        if total > most:
            raise ValueError(
                f"drain (GATEWAY_DRAIN__*): propagation_ms + deadline_ms + {ENDING_MS} for the end: {total}; "
                f"at most {most} stays {MARGIN_MS} below grace_ms, when the platform kills the process"
            )
        return self
