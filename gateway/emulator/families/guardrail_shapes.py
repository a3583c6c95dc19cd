"""The body of ApplyGuardrail, after AWS's own service model."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.emulator.families.converse_shapes import GuardContent
from gateway.emulator.shapes import CamelShape


class ApplyBody(CamelShape):
    """What to look at, and on which way it is."""

    source: Literal["INPUT", "OUTPUT"]
    content: Annotated[list[GuardContent], Field(min_length=1)]
    output_scope: Literal["INTERVENTIONS", "FULL"] = "INTERVENTIONS"

    @property
    def texts(self) -> list[str]:
        """The texts, with their directives."""
        return [block.text.text for block in self.content if block.text is not None]
