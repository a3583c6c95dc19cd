"""What Anthropic's API asks of a conversation beyond its shape, in its words."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from gateway.emulator.errors import invalid
from gateway.emulator.families.claude_shapes import Text, ThinkingEnabled, ToolResult, ToolUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.emulator.families.claude_shapes import ClaudeBody, Turn

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


def check_options(body: ClaudeBody) -> None:
    """Return if the options go together.

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


def _check_thinking(body: ClaudeBody, *, forced: bool) -> None:
    if isinstance(body.thinking, ThinkingEnabled) and body.thinking.budget_tokens >= body.max_tokens:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if body.temperature not in {None, 1.0}:
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    if body.top_k is not None:
        raise invalid("`top_k` must be unset when thinking is enabled.")
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
