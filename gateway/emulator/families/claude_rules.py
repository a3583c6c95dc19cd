"""What Anthropic's API asks of a conversation beyond its shape, in its words."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from gateway.emulator.errors import invalid
from gateway.emulator.families.claude_context import CONTEXT_BETA
from gateway.emulator.families.claude_models import check_traits
from gateway.emulator.families.claude_shapes import (
    BETAS,
    STRUCTURED_BETA,
    RedactedThinking,
    Text,
    Thinking,
    ThinkingEnabled,
    ToolResult,
    ToolUse,
)
from gateway.emulator.thoughts import is_redacted, is_signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.emulator.families.claude_models import ClaudeTraits
    from gateway.emulator.families.claude_shapes import ClaudeBody, Turn

_THOUGHTS_FIRST: Final = (
    "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding "
    "the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from "
    "previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at "
    "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
)
_SAMPLING: Final = ("temperature", "top_p", "top_k")
_IN_TRIAL: Final = {"output_format": STRUCTURED_BETA, "context_management": CONTEXT_BETA}
_FORCING: Final = frozenset({"any", "tool"})


def check_conversation(messages: Sequence[Turn]) -> None:
    """Return if the turns may follow each other like this.

    Raises:
        BedrockError: they may not.
    """
    if messages[0].role != "user":
        raise invalid('messages: first message must use the "user" role')
    for before, after in pairwise(messages):
        if before.role == after.role:
            raise invalid(
                'messages: roles must alternate between "user" and "assistant", but found multiple '
                f'"{after.role}" roles in a row'
            )
    last = messages[-1]
    ending = last.blocks[-1]
    if last.role == "assistant" and isinstance(ending, Text) and ending.text != ending.text.rstrip():
        raise invalid("messages: final assistant content cannot end with trailing whitespace")
    _check_tools(messages)
    for number, turn in enumerate(messages):
        check_thoughts(turn, number)


def check_options(body: ClaudeBody, traits: ClaudeTraits | None) -> None:
    """Return if the options go together, and the model, if it is known, has them.

    Raises:
        BedrockError: they do not.
    """
    names = {tool.name for tool in body.tools}
    choice = body.tool_choice
    forced = choice is not None and choice.type in _FORCING
    if choice is not None and not names:
        raise invalid("tool_choice may only be specified while providing tools")
    if choice is not None and (choice.type == "tool") != (choice.name is not None):
        detail = "Field required" if choice.name is None else "Extra inputs are not permitted"
        raise invalid(f"tool_choice.{choice.type}.name: {detail}")
    if choice is not None and choice.name is not None and choice.name not in names:
        raise invalid(f"Tool '{choice.name}' not found in provided tools")
    if body.thinking is not None and body.thinking.type != "disabled":
        _check_thinking(body, forced=forced)
    _check_betas(body)
    if traits is not None:
        check_traits(
            traits,
            thinking=body.thinking,
            output=body.output_config,
            sampling=[name for name in _SAMPLING if getattr(body, name) is not None],
            forced=forced,
            ends_with_assistant=body.messages[-1].role == "assistant",
        )


def _check_betas(body: ClaudeBody) -> None:
    if not BETAS.issuperset(body.anthropic_beta):
        raise invalid("invalid beta flag")
    for name, beta in _IN_TRIAL.items():
        if getattr(body, name) is not None and beta not in body.anthropic_beta:
            raise invalid(f"{name}: Extra inputs are not permitted")


def check_thoughts(turn: Turn, number: int) -> None:
    """Return if the thoughts of a turn are as the model gave them.

    Raises:
        BedrockError: somebody changed them.
    """
    for place, block in enumerate(turn.blocks):
        if isinstance(block, Thinking) and not is_signature(block.signature, block.thinking):
            raise invalid(f"messages.{number}.content.{place}: Invalid `signature` in `thinking` block")
        if isinstance(block, RedactedThinking) and not is_redacted(block.data):
            raise invalid(f"messages.{number}.content.{place}: Invalid `data` in `redacted_thinking` block")


def _check_first_thoughts(messages: Sequence[Turn]) -> None:
    """Refuse calls whose turn lost its thoughts, where the results of the calls are the last turn."""
    if not any(isinstance(block, ToolResult) for block in messages[-1].blocks):
        return
    first = messages[-2].blocks[0]
    if not isinstance(first, Thinking | RedactedThinking):
        raise invalid(
            f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
            f"found `{first.type}`. {_THOUGHTS_FIRST}"
        )


def _check_thinking(body: ClaudeBody, *, forced: bool) -> None:
    if isinstance(body.thinking, ThinkingEnabled) and body.thinking.budget_tokens >= body.max_tokens:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if body.temperature not in {None, 1.0}:
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    if body.top_k is not None:
        raise invalid("`top_k` must be unset when thinking is enabled.")
    if isinstance(body.thinking, ThinkingEnabled):
        _check_first_thoughts(body.messages)
    if forced:
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")


def _check_tools(messages: Sequence[Turn]) -> None:
    open_calls: list[str] = []
    for number, turn in enumerate(messages):
        calls = [block.id for block in turn.blocks if isinstance(block, ToolUse)]
        results = [block.tool_use_id for block in turn.blocks if isinstance(block, ToolResult)]
        if calls and turn.role == "user":
            raise invalid(f"messages.{number}: `tool_use` blocks can only be in `assistant` messages")
        if results and turn.role == "assistant":
            raise invalid(f"messages.{number}: `tool_result` blocks can only be in `user` messages")
        missing = [call for call in open_calls if call not in results]
        if missing:
            raise invalid(
                f"messages.{number - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
                f"after: {', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` "
                "block in the next message."
            )
        unexpected = [result for result in results if result not in open_calls]
        if unexpected:
            raise invalid(
                f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{', '.join(unexpected)}. Each `tool_result` block must have a corresponding `tool_use` "
                "block in the previous message."
            )
        open_calls = calls
