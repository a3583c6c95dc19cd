"""Amazon Nova by InvokeModel: blocks like Converse's, every text delta in a block of its own (§4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from gateway.emulator.answer import Question
from gateway.emulator.families.cache_points import block_prefixes
from gateway.emulator.families.converse import STOP_REASONS, count, last_words, tools_of
from gateway.emulator.families.converse_rules import check_conversation
from gateway.emulator.families.native import METRICS, chunk, counters, metrics
from gateway.emulator.families.nova_shapes import NovaBody, check_reasoning
from gateway.emulator.frames import remember_words
from gateway.emulator.shapes import read_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer, ToolCall
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId


class Nova:
    """Speaks for Nova. Its reasoning is not recorded on this operation: it has Converse's shape here."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the conversation asks."""
        del streamed  # the same body for both operations
        asked = read_schema(NovaBody, body)
        check_conversation(asked.messages, asked.tool_config, model)
        tools, forced = tools_of(asked.tool_config)
        said, returned = last_words(asked.messages)
        config = asked.inference_config
        limit = config.max_new_tokens if config.max_tokens is None else config.max_tokens
        reasons = check_reasoning(
            asked.reasoning_config or config.reasoning_config,
            model,
            limits=(limit, config.temperature, config.top_p, config.top_k),
        )
        return Question(
            said=said,
            returned=returned,
            input_tokens=count(body),
            max_tokens=limit,
            stop_sequences=tuple(config.stop_sequences),
            tools=tools,
            forced=forced,
            speaks_reasoning=model.name.startswith("nova-2-"),
            reasoning=reasons,
            shown="redacted",
            prefixes=block_prefixes(body, model),
        )

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the chunks; the last text block is empty, and a tool call comes in one delta (recorded)."""
        del model, body
        yield chunk({"messageStart": {"role": "assistant"}})
        deltas = [_reasoning_delta(index, text) for index, text in enumerate(answer.reasoning)]
        parts = (*answer.text, "") if answer.text else ()
        deltas += [_text_delta(index, text) for index, text in enumerate(parts, start=len(deltas))]
        for index, delta in enumerate(deltas):
            yield delta
            yield _stop(index)
        for index, call in enumerate(answer.tool_calls, start=len(deltas)):
            start = {"toolUse": _call_head(call)}
            yield chunk({"contentBlockStart": {"start": start, "contentBlockIndex": index}})
            yield _delta(index, {"toolUse": {"input": call.arguments}})
            yield _stop(index)
        yield chunk({"messageStop": {"stopReason": STOP_REASONS[answer.stop]}})
        cache = _cache(answer)
        usage = {"inputTokens": answer.input_tokens, "outputTokens": answer.output_tokens, **cache}
        yield chunk(
            {
                "metadata": {"usage": usage, "metrics": {}, "trace": {}},
                METRICS: {**metrics(answer), **cache},
            }
        )

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the message with its usage."""
        del model, body
        content: list[dict[str, Any]] = []
        if answer.reasoning:
            content.append({"reasoningContent": {"reasoningText": {"text": "".join(answer.reasoning)}}})
        if answer.text:
            content.append({"text": "".join(answer.text)})
        content.extend(
            {"toolUse": {**_call_head(call), "input": orjson.loads(call.arguments)}}
            for call in answer.tool_calls
        )
        return {
            "output": {"message": {"content": content, "role": "assistant"}},
            "stopReason": STOP_REASONS[answer.stop],
            "usage": {
                "inputTokens": answer.input_tokens,
                "outputTokens": answer.output_tokens,
                "totalTokens": answer.total_tokens,
                **_cache(answer),
            },
        }

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the counters, those of the cache included."""
        return {
            **counters(answer),
            "X-Amzn-Bedrock-Cache-Read-Input-Token-Count": str(answer.cache.read),
            "X-Amzn-Bedrock-Cache-Write-Input-Token-Count": str(answer.cache.write),
        }


def _call_head(call: ToolCall) -> dict[str, str]:
    return {"toolUseId": str(UUID(hex=call.key[:32])), "name": call.name}


def _delta(index: int, delta: dict[str, Any]) -> Event:
    return chunk({"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}, delta=True)


def _cache(answer: Answer) -> dict[str, int]:
    return {
        "cacheReadInputTokenCount": answer.cache.read,
        "cacheWriteInputTokenCount": answer.cache.write,
    }


def _reasoning_delta(index: int, text: str) -> Event:
    return _delta(index, {"reasoningContent": {"text": text}})


@remember_words
def _text_delta(index: int, text: str) -> Event:
    return _delta(index, {"text": text})


def _stop(index: int) -> Event:
    return chunk({"contentBlockStop": {"contentBlockIndex": index}})
