"""What Converse asks of a conversation beyond its shape. The messages are AWS's own where known."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from gateway.emulator.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.emulator.families.converse_media import Source
    from gateway.emulator.families.converse_shapes import Block, ConverseBody, ToolConfig, Turn
    from gateway.emulator.models import ModelId

_SERVER_TOOL: Final = "server_tool_use"


def check_conversation(messages: Sequence[Turn], tool_config: ToolConfig | None, model: ModelId) -> None:
    """Return if the turns may follow each other like this.

    Stricter than the newest models: Claude 4.5 has taken a conversation that the assistant begins.

    Raises:
        BedrockError: they may not.
    """
    if not messages or messages[0].role != "user":
        raise invalid(
            "A conversation must start with a user message. Try again with a conversation that starts with a "
            "user message."
        )
    repeats = any(before.role == after.role for before, after in pairwise(messages))
    if repeats and model.provider != "amazon":  # Titan has taken two user turns in a row (recorded)
        raise invalid(
            "A conversation must alternate between user and assistant roles. Make sure the conversation "
            "alternates between user and assistant roles and try again."
        )
    for number, turn in enumerate(messages):
        _check_turn(turn, f"messages.{number}", model)
    _check_tools(messages, tool_config)


def check_guardrail(body: ConverseBody, *, streamed: bool) -> None:
    """Return if what a body says of its guardrail fits the operation.

    Raises:
        BedrockError: it asks of a whole answer how to stream it.
    """
    guardrail = body.guardrail_config
    if guardrail is not None and guardrail.stream_processing_mode is not None and not streamed:
        raise invalid(
            "Malformed input request: #/guardrailConfig: extraneous key [streamProcessingMode] is not "
            "permitted, please reformat your input and try again."
        )


def _check_turn(turn: Turn, where: str, model: ModelId) -> None:
    if not turn.content:
        raise invalid(
            f"The content field in the Message object at {where} is empty. Add a ContentBlock object to the "
            "content field and try again."
        )
    for number, block in enumerate(turn.content):
        at = f"{where}.content.{number}"
        if block.text is not None and not block.text:
            raise invalid(
                f"The text field in the ContentBlock object at {at} is blank. Add text to the text field, "
                "and try again."
            )
        if block.tool_use is not None and not isinstance(block.tool_use.input, dict):
            raise invalid(
                f"The format of the value at {at}.toolUse.input is invalid. Provide a json object for the "
                "field and try again."
            )
        if model.provider == "anthropic":
            _check_for_claude(block)


def _check_for_claude(block: Block) -> None:
    """Refuse what Claude on Bedrock refuses; both messages are recorded."""
    if block.video is not None or block.audio is not None:
        kind = "audio" if block.video is None else "video"
        raise invalid(
            f"This model doesn't support the {kind} content block that you provided. Update the content "
            "block and try again."
        )
    if any(source.s3_location is not None for source in _image_sources(block)):
        raise invalid("This model doesn't support the s3Uri field. Remove s3Uri and try again.")


def _image_sources(block: Block) -> Iterator[Source]:
    if block.image is not None:
        yield block.image.source
    if block.tool_result is not None:
        for piece in block.tool_result.content:
            if piece.image is not None:
                yield piece.image.source


def _check_tools(messages: Sequence[Turn], tool_config: ToolConfig | None) -> None:
    open_calls: set[str] = set()
    for number, turn in enumerate(messages):
        calls = {
            use.tool_use_id
            for use in (block.tool_use for block in turn.content)
            if use is not None and use.type != _SERVER_TOOL
        }
        results = {block.tool_result.tool_use_id for block in turn.content if block.tool_result is not None}
        if (calls or results) and tool_config is None:
            raise invalid(
                "The toolConfig field must be defined when using toolUse and toolResult content blocks."
            )
        if turn.role == "user":
            _check_results(open_calls, results, f"messages.{number}.content")
        open_calls = calls


def _check_results(open_calls: set[str], results: set[str], where: str) -> None:
    missing = sorted(open_calls - results)
    if missing:
        raise invalid(f"Expected toolResult blocks at {where} for the following Ids: {', '.join(missing)}")
    if results - open_calls:
        raise invalid(
            f"The number of toolResult blocks at {where} exceeds the number of toolUse blocks of previous "
            "turn."
        )
