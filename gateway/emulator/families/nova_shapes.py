"""The body of Nova's InvokeModel: a subset of Converse's with names of its own (bedrock-wire.md §4.4)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.emulator.errors import invalid, malformed
from gateway.emulator.families.converse_shapes import Share, ToolConfig, Turn
from gateway.emulator.models import ModelId
from gateway.emulator.shapes import CamelShape, NonEmpty, Shape, UnionShape


class NovaCachePoint(CamelShape):
    """Where Nova may cut for its cache."""

    type: Literal["default"]


class NovaSystemBlock(UnionShape):
    """A block of the system prompt."""

    text: NonEmpty | None = None
    cache_point: NovaCachePoint | None = None


class ReasoningConfig(CamelShape):
    """How much to reason; only Nova 2 does."""

    type: Literal["enabled", "disabled"]
    max_reasoning_effort: Literal["low", "medium", "high"] | None = None


class NovaInferenceConfig(CamelShape):
    """How to generate. `max_new_tokens` is the older name of `maxTokens` (recorded)."""

    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_new_tokens: Annotated[int, Field(ge=1)] | None = Field(None, alias="max_new_tokens")
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Field(ge=0, le=128)] | None = None
    stop_sequences: list[NonEmpty] = Field(default_factory=list)
    reasoning_config: ReasoningConfig | None = None

    @model_validator(mode="after")
    def _one_name_for_one_thing(self) -> Self:
        if self.max_tokens is not None and self.max_new_tokens is not None:
            raise ValueError("only one of maxTokens and max_new_tokens is permitted")
        return self


class NovaBody(Shape):
    """The body of Nova."""

    messages: Annotated[list[Turn], Field(min_length=1)]
    schema_version: Literal["messages-v1"] | None = Field(None, alias="schemaVersion")
    system: list[NovaSystemBlock] = Field(default_factory=list)
    inference_config: NovaInferenceConfig = Field(NovaInferenceConfig(), alias="inferenceConfig")
    tool_config: ToolConfig | None = Field(None, alias="toolConfig")
    reasoning_config: ReasoningConfig | None = Field(None, alias="reasoningConfig")


def check_reasoning(
    config: ReasoningConfig | None, model: ModelId, *, limits: tuple[float | None, ...]
) -> bool:
    """Return whether Nova is to reason; `limits` are maxTokens, temperature, topP and topK.

    Raises:
        BedrockError: this Nova does not reason, or not with these limits.
    """
    if config is None:
        return False
    if model.base and not model.name.startswith("nova-2-"):
        raise invalid(
            "Malformed input request: the provided reasoning config value is invalid, please reformat your "
            "input and try again."
        )
    if config.type == "disabled":
        return False
    if config.max_reasoning_effort is None:
        raise malformed("#/reasoningConfig: required key [maxReasoningEffort] not found")
    if config.max_reasoning_effort == "high" and any(limit is not None for limit in limits):
        raise malformed("#/inferenceConfig: no limits are permitted where maxReasoningEffort is high")
    return True
