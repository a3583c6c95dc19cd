"""What Converse passes on to the model as it is: `additionalModelRequestFields`, as far as it is known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import Field

from gateway.emulator.errors import BedrockError, invalid
from gateway.emulator.families.claude_models import check_traits, traits_of
from gateway.emulator.families.claude_shapes import (
    BETAS,
    OutputConfig,
    ThinkingAdaptive,
    ThinkingEnabled,
    ThinkingMode,
    ToolChoice,
)
from gateway.emulator.families.nova_shapes import NovaInferenceConfig, ReasoningConfig, check_reasoning
from gateway.emulator.shapes import CamelShape, Shape, read_anthropic, read_schema
from gateway.emulator.thoughts import is_redacted, is_signature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.emulator.answer import Shown
    from gateway.emulator.families.converse_shapes import ConverseBody, Turn
    from gateway.emulator.models import ModelId

_PROSE: Final = re.compile(
    r"amazon\.|meta\.|cohere\.|ai21\.|deepseek\.r1|anthropic\.claude-(?:v\d|instant)"
    r"|mistral\.(?:mistral-7b|mixtral|mistral-large-24|mistral-small-24|pixtral)"
)
"""Models that do not answer by a schema (AWS's page on structured outputs does not name them)."""

_OFF: Final = (None, "none", "disabled")
_OF_THE_MODEL: Final = "The model returned the following errors: "


class Reasons(NamedTuple):
    """Whether a model is to reason, what it shows of that, whether it signs it; whether calls may be many.

    `schema` is that of the answer where the model's own field gives it, as the AI SDK does for Claude.
    """

    reasoning: bool = False
    shown: Shown = "all"
    signed: bool = False
    parallel: bool = True
    schema: dict[str, Any] | None = None


class ClaudeFields(Shape):
    """What Claude takes beside Converse's own fields."""

    thinking: ThinkingMode | None = None
    reasoning_config: ThinkingMode | None = None
    top_k: int | None = Field(None, ge=0, le=500)
    anthropic_beta: list[str] = Field(default_factory=list)
    output_config: OutputConfig | None = None
    tool_choice: ToolChoice | None = None
    tools: list[dict[str, Any]] | None = None
    metadata: dict[str, Any] | None = None


class NovaFields(CamelShape):
    """What Nova takes beside Converse's own fields."""

    inference_config: NovaInferenceConfig = NovaInferenceConfig()
    reasoning_config: ReasoningConfig | None = None


def read_fields(asked: ConverseBody, model: ModelId) -> Reasons:
    """Return what a model is told beside the conversation.

    Raises:
        BedrockError: the model does not know a field, or it does not go with the rest.
    """
    _check_structure(asked, model)
    try:
        if model.provider == "anthropic":
            return _claude(asked, model)
        if model.base.startswith("amazon.nova-"):
            return _nova(asked, model)
    except BedrockError as error:
        raise BedrockError(error.code, f"{_OF_THE_MODEL}{error.message}") from error
    return _other(asked.additional_model_request_fields)


def _check_structure(asked: ConverseBody, model: ModelId) -> None:
    """Refuse a schema of the answer where a model is known not to answer by one."""
    if asked.output_config is None or asked.output_config.text_format is None:
        return
    traits = traits_of(model)
    if _PROSE.match(model.base) if traits is None else not traits.structures:
        raise invalid(
            "This model doesn't support the outputConfig.textFormat field. Remove outputConfig.textFormat "
            "and try again."
        )


def _claude(asked: ConverseBody, model: ModelId) -> Reasons:
    fields = read_anthropic(ClaudeFields, asked.additional_model_request_fields)
    if not BETAS.issuperset(fields.anthropic_beta):
        raise invalid("invalid beta flag")
    thinking = fields.thinking or fields.reasoning_config
    config = asked.inference_config
    choice = None if asked.tool_config is None else asked.tool_config.tool_choice
    forced = choice is not None and choice.auto is None
    traits = traits_of(model)
    if traits is not None:
        check_traits(
            traits,
            thinking=thinking,
            output=fields.output_config,
            sampling=_sampling(asked, fields),
            forced=forced,
            ends_with_assistant=asked.messages[-1].role == "assistant",
        )
    thinks = isinstance(thinking, ThinkingEnabled | ThinkingAdaptive)
    if thinks and config.temperature not in {None, 1.0}:
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    if thinks and forced:
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    limit = config.max_tokens
    if isinstance(thinking, ThinkingEnabled) and limit is not None and thinking.budget_tokens >= limit:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    _check_thoughts(asked.messages)
    omitted = isinstance(thinking, ThinkingAdaptive) and thinking.display == "omitted"
    alone = fields.tool_choice is not None and fields.tool_choice.disable_parallel_tool_use
    form = None if fields.output_config is None else fields.output_config.format
    schema = None if form is None else form.schema_
    return Reasons(thinks, "none" if omitted else "all", signed=True, parallel=not alone, schema=schema)


def _sampling(asked: ConverseBody, fields: ClaudeFields) -> list[str]:
    config = asked.inference_config
    values = {"temperature": config.temperature, "top_p": config.top_p, "top_k": fields.top_k}
    return [name for name, value in values.items() if value is not None]


def _check_thoughts(messages: Sequence[Turn]) -> None:
    for number, turn in enumerate(messages):
        for place, block in enumerate(turn.content):
            thoughts = block.reasoning_content
            where = f"messages.{number}.content.{place}"
            if thoughts is None:
                continue
            if thoughts.redacted_content is not None and not is_redacted(thoughts.redacted_content):
                raise invalid(f"{where}: Invalid `data` in `redacted_thinking` block")
            text = thoughts.reasoning_text
            if text is not None and text.signature is None:
                raise invalid(f"{where}.thinking.signature: Field required")
            if text is not None and not is_signature(text.signature or "", text.text):
                raise invalid(f"{where}: Invalid `signature` in `thinking` block")


def _nova(asked: ConverseBody, model: ModelId) -> Reasons:
    fields = read_schema(NovaFields, asked.additional_model_request_fields)
    config = asked.inference_config
    reasons = check_reasoning(
        fields.reasoning_config or fields.inference_config.reasoning_config,
        model,
        limits=(config.max_tokens, config.temperature, config.top_p, fields.inference_config.top_k),
    )
    return Reasons(reasons, "redacted")


def _other(fields: Mapping[str, Any]) -> Reasons:
    """Return the same of models whose fields are not known one by one: any are taken."""
    thinking = fields.get("thinking")
    if isinstance(thinking, dict):
        return Reasons(thinking.get("type") in {"enabled", "adaptive"})
    switch = fields.get("reasoning_config", fields.get("reasoning_effort"))
    return Reasons(switch not in _OFF)
