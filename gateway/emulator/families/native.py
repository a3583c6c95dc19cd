"""What the native answers of all families have in common: Bedrock's own counters."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.emulator.frames import CHUNK, Event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.emulator.answer import Answer, StopReason

METRICS: Final = "amazon-bedrock-invocationMetrics"
LATENCY: Final = "X-Amzn-Bedrock-Invocation-Latency"

TEXT_REASONS: Final[Mapping[StopReason, str]] = MappingProxyType(
    {"end": "stop", "max_tokens": "length", "stop_sequence": "stop", "tool_use": "tool_calls"}
)
"""Why an answer ended, in the words of Llama, Mistral, DeepSeek and all that look like OpenAI."""

COHERE_REASONS: Final[Mapping[StopReason, str]] = MappingProxyType(
    {"end": "COMPLETE", "max_tokens": "MAX_TOKENS", "stop_sequence": "COMPLETE", "tool_use": "COMPLETE"}
)
"""The same in Cohere's words."""


def chunk(payload: dict[str, Any], *, delta: bool = False) -> Event:
    """Return the event of one provider object, its keys in the order of the recordings."""
    return Event(CHUNK, orjson.dumps(payload), delta)


def metrics(answer: Answer) -> dict[str, int]:
    """Return what Bedrock adds to the last chunk of a stream."""
    measured = {
        "inputTokenCount": answer.input_tokens,
        "outputTokenCount": answer.output_tokens,
        "invocationLatency": answer.latency_ms,
        "firstByteLatency": answer.first_byte_ms,
    }
    if answer.cache.asked:
        measured["cacheReadInputTokenCount"] = answer.cache.read
        measured["cacheWriteInputTokenCount"] = answer.cache.write
    return measured


def counters(answer: Answer) -> dict[str, str]:
    """Return the headers that Bedrock adds to an answer in one piece."""
    counted = {
        "X-Amzn-Bedrock-Input-Token-Count": str(answer.input_tokens),
        "X-Amzn-Bedrock-Output-Token-Count": str(answer.output_tokens),
        LATENCY: str(answer.latency_ms),
    }
    if answer.cache.asked:
        counted["X-Amzn-Bedrock-Cache-Read-Input-Token-Count"] = str(answer.cache.read)
        counted["X-Amzn-Bedrock-Cache-Write-Input-Token-Count"] = str(answer.cache.write)
    return counted
