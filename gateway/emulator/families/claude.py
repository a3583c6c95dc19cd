"""Claude's Messages by InvokeModel: typed blocks, opened and closed by name (bedrock-wire.md §4.1)."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.emulator.answer import Question, measure, pieces, tokens
from gateway.emulator.cache import TTLS
from gateway.emulator.families.cache_points import claude_prefixes
from gateway.emulator.families.claude_models import traits_of
from gateway.emulator.families.claude_rules import check_conversation, check_options
from gateway.emulator.families.claude_shapes import ClaudeBody, CustomTool, Text, ThinkingAdaptive, ToolResult
from gateway.emulator.families.native import METRICS, chunk, counters, metrics
from gateway.emulator.frames import remember_words
from gateway.emulator.sense.calls import Tool
from gateway.emulator.shapes import read_anthropic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer, StopReason, ToolCall
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId

_STOP_REASONS: Final[Mapping[StopReason, str]] = MappingProxyType(
    {
        "end": "end_turn",
        "max_tokens": "max_tokens",
        "stop_sequence": "stop_sequence",
        "tool_use": "tool_use",
    }
)
_COUNTED_KEYS: Final = ("messages", "system", "tools")
_VERSION: Final = re.compile(r"-v\d+(?::\w+)*$")
_ARGUMENT_PIECE: Final = 12
_ID_CHARS: Final = 22


class Claude:
    """Speaks for Claude."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the conversation asks."""
        del streamed  # the same body for both operations
        asked = read_anthropic(ClaudeBody, body)
        check_conversation(asked.messages)
        check_options(asked, traits_of(model))
        tools = tuple(
            Tool(tool.name, tool.input_schema.model_dump(by_alias=True), tool.description or "")
            for tool in asked.tools
            if isinstance(tool, CustomTool)
        )
        said, returned = _last_words(asked)
        return Question(
            said=said,
            returned=returned,
            instructions=_instructions(asked),
            input_tokens=tokens(sum(measure(body.get(key)) for key in _COUNTED_KEYS)),
            max_tokens=asked.max_tokens,
            stop_sequences=tuple(asked.stop_sequences),
            tools=() if asked.tool_choice is not None and asked.tool_choice.type == "none" else tools,
            forced=_forced(asked, tools),
            parallel=asked.tool_choice is None or not asked.tool_choice.disable_parallel_tool_use,
            schema=asked.answer_schema,
            reasoning=asked.thinking is not None and asked.thinking.type != "disabled",
            shown="none"
            if isinstance(asked.thinking, ThinkingAdaptive) and asked.thinking.display == "omitted"
            else "all",
            signs_reasoning=True,
            prefixes=claude_prefixes(body, model),
        )

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the chunks of one message."""
        del body
        message = {
            **_message_head(answer, model),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**_input_usage(answer), "output_tokens": 1},
        }
        yield chunk({"type": "message_start", "message": message})
        for index, (start, deltas) in enumerate(_blocks(answer)):
            yield chunk({"type": "content_block_start", "index": index, "content_block": start})
            for delta in deltas:
                if isinstance(delta, str):
                    yield _text_delta(index, delta)
                else:
                    yield _delta(index, delta)
            yield chunk({"type": "content_block_stop", "index": index})
        yield chunk(
            {
                "type": "message_delta",
                "delta": {"stop_reason": _STOP_REASONS[answer.stop], "stop_sequence": answer.stop_sequence},
                "usage": {"output_tokens": answer.output_tokens},
            }
        )
        yield chunk({"type": "message_stop", METRICS: metrics(answer)})

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the message."""
        del body
        content: list[dict[str, Any]] = []
        if answer.signature:
            thinking = "".join(answer.reasoning)
            content.append({"type": "thinking", "thinking": thinking, "signature": answer.signature})
        content.extend({"type": "redacted_thinking", "data": data} for data in answer.redacted)
        if answer.text:
            content.append({"type": "text", "text": "".join(answer.text)})
        content.extend(
            {**_call_head(call), "input": orjson.loads(call.arguments)} for call in answer.tool_calls
        )
        return {
            **_message_head(answer, model),
            "content": content,
            "stop_reason": _STOP_REASONS[answer.stop],
            "stop_sequence": answer.stop_sequence,
            "usage": {**_input_usage(answer), "output_tokens": answer.output_tokens},
        }

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters."""
        return counters(answer)


def _delta(index: int, delta: dict[str, str]) -> Event:
    return chunk({"type": "content_block_delta", "index": index, "delta": delta}, delta=True)


@remember_words
def _text_delta(index: int, text: str) -> Event:
    return _delta(index, {"type": "text_delta", "text": text})


def _blocks(answer: Answer) -> Iterator[tuple[dict[str, Any], Iterator[dict[str, str] | str]]]:
    """Yield each block's start and its deltas, those of text as mere text."""
    if answer.signature:
        yield {"type": "thinking", "thinking": "", "signature": ""}, _thinking_deltas(answer)
    for data in answer.redacted:
        yield {"type": "redacted_thinking", "data": data}, iter(())
    if answer.text:
        yield {"type": "text", "text": ""}, iter(answer.text)
    for call in answer.tool_calls:
        parts = ["", *pieces(call.arguments, _ARGUMENT_PIECE)]  # the first is empty in every recording
        yield (
            {**_call_head(call), "input": {}},
            ({"type": "input_json_delta", "partial_json": part} for part in parts),
        )


def _thinking_deltas(answer: Answer) -> Iterator[dict[str, str]]:
    for text in answer.reasoning:
        yield {"type": "thinking_delta", "thinking": text}
    yield {"type": "signature_delta", "signature": answer.signature}


def _message_head(answer: Answer, model: ModelId) -> dict[str, Any]:
    """Return the start of the message: `model` is Anthropic's name, not Bedrock's id (recorded)."""
    return {
        "id": f"msg_bdrk_01{answer.key[:_ID_CHARS]}",
        "type": "message",
        "role": "assistant",
        "model": _VERSION.sub("", model.name) or model.given,
    }


def _input_usage(answer: Answer) -> dict[str, Any]:
    usage: dict[str, Any] = {"input_tokens": answer.input_tokens}
    if answer.cache.asked:
        usage["cache_creation_input_tokens"] = answer.cache.write
        usage["cache_read_input_tokens"] = answer.cache.read
        usage["cache_creation"] = {f"ephemeral_{ttl}_input_tokens": answer.cache.kept(ttl) for ttl in TTLS}
    return usage


def _call_head(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_bdrk_01{call.key[:_ID_CHARS]}", "name": call.name}


def _forced(asked: ClaudeBody, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    choice = asked.tool_choice
    if choice is None or choice.type in {"auto", "none"}:
        return ()
    return tuple(tool for tool in tools if choice.type == "any" or tool.name == choice.name)


def _instructions(asked: ClaudeBody) -> str:
    system = asked.system
    return system if isinstance(system, str) else "\n".join(block.text for block in system)


def _last_words(asked: ClaudeBody) -> tuple[str, str]:
    last = next(turn for turn in reversed(asked.messages) if turn.role == "user")
    said = [block.text for block in last.blocks if isinstance(block, Text)]
    returned: list[str] = []
    for block in last.blocks:
        if isinstance(block, ToolResult):
            if isinstance(block.content, str):
                returned.append(block.content)
            else:
                returned.extend(part.text for part in block.content if isinstance(part, Text))
    return "\n".join(said), "\n".join(returned)
