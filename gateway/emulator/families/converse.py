"""Converse: one body and one answer for every model that talks (bedrock-wire.md §1.2, §2.3)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.emulator.answer import Question, measure, pieces, tokens
from gateway.emulator.errors import invalid
from gateway.emulator.families.cache_points import block_prefixes
from gateway.emulator.families.converse_fields import read_fields
from gateway.emulator.families.converse_rules import check_conversation, check_guardrail
from gateway.emulator.families.converse_shapes import ConverseBody, CountedConverse
from gateway.emulator.frames import Event, remember_words
from gateway.emulator.schemas import check
from gateway.emulator.sense.calls import Tool
from gateway.emulator.shapes import read_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gateway.emulator.answer import Answer, StopReason, ToolCall
    from gateway.emulator.families.converse_shapes import Block, ToolConfig, Turn
    from gateway.emulator.models import ModelId

STOP_REASONS: Final[Mapping[StopReason, str]] = MappingProxyType(
    {
        "end": "end_turn",
        "max_tokens": "max_tokens",
        "stop_sequence": "stop_sequence",
        "tool_use": "tool_use",
    }
)
_COUNTED_KEYS: Final = ("messages", "system", "toolConfig")
_REPEATED_KEYS: Final = ("performanceConfig", "serviceTier")
_ARGUMENT_PIECE: Final = 12


class Converse:
    """Speaks for every model. Its JSON has sorted keys, as all recordings have."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the conversation asks."""
        if not model.talks:
            raise invalid(
                "This action doesn't support the model that you provided. Try again with a supported text or "
                "chat model."
            )
        asked = read_schema(ConverseBody, body)
        check_conversation(asked.messages, asked.tool_config, model)
        check_guardrail(asked, streamed=streamed)
        reasons = read_fields(asked, model)
        tools, forced = tools_of(asked.tool_config)
        said, returned = last_words(asked.messages)
        return Question(
            said=said,
            guarded="\n".join(text for turn in asked.messages for text in guarded_texts(turn.content)),
            returned=returned,
            instructions="\n".join(block.text for block in asked.system if block.text),
            input_tokens=count(body),
            max_tokens=asked.inference_config.max_tokens,
            stop_sequences=tuple(asked.inference_config.stop_sequences),
            tools=tools,
            forced=forced,
            parallel=reasons.parallel,
            schema=_schema(asked) or reasons.schema,
            reasoning=reasons.reasoning,
            shown=reasons.shown,
            signs_reasoning=reasons.signed,
            prefixes=block_prefixes(body, model),
        )

    def count(self, body: Any, model: ModelId) -> int:
        """Return the input tokens of the part of a body that CountTokens takes."""
        asked = read_schema(CountedConverse, body)
        check_conversation(asked.messages, asked.tool_config, model)
        return count(body)

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the events: no start for text and reasoning, whose blocks begin with their first delta."""
        del model
        yield _event("messageStart", {"role": "assistant"})
        index = 0
        for thoughts in _thoughts(answer):
            for delta in thoughts:
                yield _delta(index, {"reasoningContent": delta})
            yield _event("contentBlockStop", {"contentBlockIndex": index})
            index += 1
        if answer.text:
            for text in answer.text:
                yield _text_delta(index, text)
            yield _event("contentBlockStop", {"contentBlockIndex": index})
            index += 1
        for call in answer.tool_calls:
            start = {"toolUse": _call_head(call)}
            yield _event("contentBlockStart", {"contentBlockIndex": index, "start": start})
            for piece in ["", *pieces(call.arguments, _ARGUMENT_PIECE)]:
                yield _delta(index, {"toolUse": {"input": piece}})
            yield _event("contentBlockStop", {"contentBlockIndex": index})
            index += 1
        yield _event("messageStop", {"stopReason": STOP_REASONS[answer.stop]})
        yield _event("metadata", _tail(answer, body))

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the message with its usage."""
        del model
        content: list[dict[str, Any]] = []
        if answer.reasoning or answer.signature:
            signed = {"signature": answer.signature} if answer.signature else {}
            content.append(
                {"reasoningContent": {"reasoningText": {"text": "".join(answer.reasoning), **signed}}}
            )
        content.extend({"reasoningContent": {"redactedContent": data}} for data in answer.redacted)
        if answer.text:
            content.append({"text": "".join(answer.text)})
        content.extend(
            {"toolUse": {"input": orjson.loads(call.arguments), **_call_head(call)}}
            for call in answer.tool_calls
        )
        message = {"content": content, "role": "assistant"}
        tail = _tail(answer, body)
        return {"output": {"message": message}, "stopReason": STOP_REASONS[answer.stop], **tail}

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return nothing: Converse has its counters in the body."""
        del answer
        return {}


def count(body: Mapping[str, Any]) -> int:
    """Return the input tokens of a Converse-shaped body."""
    return tokens(sum(measure(body.get(key)) for key in _COUNTED_KEYS))


def tools_of(config: ToolConfig | None) -> tuple[tuple[Tool, ...], tuple[Tool, ...]]:
    """Return the tools of the caller, and those of which one must be called.

    Raises:
        BedrockError: the tool to call is not among them.
    """
    if config is None:
        return (), ()
    tools = tuple(
        Tool(spec.name, spec.input_schema.json_ or {}, spec.description or "")
        for spec in (entry.tool_spec for entry in config.tools)
        if spec is not None
    )
    choice = config.tool_choice
    if choice is None or choice.auto is not None:
        return tools, ()
    if choice.tool is None:
        return tools, tools
    forced = tuple(tool for tool in tools if tool.name == choice.tool.name)
    if not forced:
        raise invalid(
            f"The toolChoice tool [{choice.tool.name}] is not in toolConfig.tools. Add it and try again."
        )
    return tools, forced


def guarded_texts(blocks: Iterable[Block]) -> list[str]:
    """Return the texts that a caller marked for the guardrail."""
    contents = (block.guard_content for block in blocks if block.guard_content is not None)
    return [content.text.text for content in contents if content.text is not None]


def last_words(messages: Sequence[Turn]) -> tuple[str, str]:
    """Return the text of the last user turn and that of the tool results in it."""
    last = next(turn for turn in reversed(messages) if turn.role == "user")
    said = [block.text for block in last.content if block.text is not None]
    said += guarded_texts(last.content)
    returned = [
        orjson.dumps(piece.json_).decode() if piece.text is None else piece.text
        for block in last.content
        if block.tool_result is not None
        for piece in block.tool_result.content
        if piece.text is not None or piece.json_ is not None
    ]
    return "\n".join(said), "\n".join(returned)


def _schema(asked: ConverseBody) -> dict[str, Any] | None:
    """Return the schema of the answer, None for prose; it is JSON in a string.

    Raises:
        BedrockError: the string is no JSON object, or no schema.
    """
    config = asked.output_config
    if config is None or config.text_format is None or config.text_format.structure.json_schema is None:
        return None
    try:
        schema = orjson.loads(config.text_format.structure.json_schema.schema_)
    except orjson.JSONDecodeError as exc:
        raise invalid("The JSON schema in outputConfig is not valid JSON.") from exc
    if not isinstance(schema, dict):
        raise invalid("The JSON schema in outputConfig must be a JSON object.")
    try:
        return check(schema)
    except ValueError as exc:
        raise invalid(f"The JSON schema in outputConfig cannot be used: {exc}") from exc


def _thoughts(answer: Answer) -> Iterator[list[dict[str, str]]]:
    """Yield the deltas of each block of reasoning."""
    if answer.reasoning or answer.signature:
        signed = [{"signature": answer.signature}] if answer.signature else []
        yield [*({"text": text} for text in answer.reasoning), *signed]
    for data in answer.redacted:
        yield [{"redactedContent": data}]


def _call_head(call: ToolCall) -> dict[str, str]:
    tail = urlsafe_b64encode(bytes.fromhex(call.key)[:16]).decode("ascii").rstrip("=")
    return {"name": call.name, "toolUseId": f"tooluse_{tail}", "type": "tool_use"}


def _tail(answer: Answer, body: Mapping[str, Any]) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "inputTokens": answer.input_tokens,
        "outputTokens": answer.output_tokens,
        "serverToolUsage": {},
        "totalTokens": answer.total_tokens,
    }
    if answer.cache.asked:
        for name, count in (("cacheRead", answer.cache.read), ("cacheWrite", answer.cache.write)):
            usage[f"{name}InputTokens"] = usage[f"{name}InputTokenCount"] = count
        if answer.cache.written:
            usage["cacheDetails"] = answer.cache.details()
    repeated = {key: body[key] for key in _REPEATED_KEYS if body.get(key) is not None}
    return {"metrics": {"latencyMs": answer.latency_ms}, "usage": usage, **repeated}


def _delta(index: int, delta: dict[str, Any]) -> Event:
    return Event("contentBlockDelta", orjson.dumps({"contentBlockIndex": index, "delta": delta}), delta=True)


@remember_words
def _text_delta(index: int, text: str) -> Event:
    return _delta(index, {"text": text})


def _event(kind: str, payload: dict[str, Any]) -> Event:
    return Event(kind, orjson.dumps(payload))
