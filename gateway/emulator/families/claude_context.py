"""What Claude takes of Anthropic's context management, which is in trial."""

from typing import Literal

from pydantic import ConfigDict, Field

from gateway.emulator.shapes import Shape

CONTEXT_BETA = "context-management-2025-06-27"


class ContextEdit(Shape):
    """One way to shorten a conversation; its settings are Anthropic's to judge."""

    model_config = ConfigDict(extra="allow")

    type: Literal["clear_tool_uses_20250919", "clear_thinking_20251015"]


class ContextManagement(Shape):
    """What of a conversation the model is not to see."""

    edits: list[ContextEdit] = Field(default_factory=list)
