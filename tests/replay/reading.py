"""What botocore's own parser makes of recorded bytes, read off plainly: the other side of the comparison.

Nothing here uses the gateway's codecs. A `Reading` holds what an answer says, however it was framed.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import botocore.loaders
import botocore.model
import botocore.parsers
from botocore.compat import HTTPHeaders
from botocore.eventstream import EventStream

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE = botocore.model.ServiceModel(
    botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2")
)


@dataclass
class Reading:
    """Text, reasoning, tool calls, stop reason and usage of one answer."""

    text: str = ""
    reasoning: str = ""
    signatures: list[str] = field(default_factory=list)
    redacted: list[str] = field(default_factory=list)
    tool_calls: list[tuple[str, str, Any]] = field(default_factory=list)
    stop: str = ""
    usage: dict[str, int | None] = field(default_factory=dict)


class _Bytes:
    """Recorded bytes as the raw stream that botocore reads from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data

    def close(self) -> None:
        """Nothing is open."""


def botocore_events(operation: str, data: bytes) -> list[dict[str, Any]]:
    """Return the events that botocore parses out of a recorded event stream."""
    shape = SERVICE.operation_model(operation).get_event_stream_output()
    parser = botocore.parsers.EventStreamJSONParser()
    stream = EventStream(_Bytes(data), shape, parser, operation)
    return list(stream)


def botocore_answer(operation: str, body: bytes) -> dict[str, Any]:
    """Return what botocore parses out of a recorded unary body."""
    parser = botocore.parsers.create_parser("rest-json")
    answer = {"status_code": 200, "headers": {}, "body": body}
    parsed: dict[str, Any] = parser.parse(answer, SERVICE.operation_model(operation).output_shape)
    return parsed


def botocore_error(status: int, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """Return what botocore parses out of an error answer."""
    parser = botocore.parsers.create_parser("rest-json")
    answer = {"status_code": status, "headers": HTTPHeaders.from_dict(headers), "body": body}
    shape = SERVICE.operation_model("Converse").output_shape
    parsed: dict[str, Any] = parser.parse(answer, shape)
    return parsed


def _counters(usage: dict[str, Any], names: tuple[str, str, str, str]) -> dict[str, int | None]:
    keys = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    return {
        key: None if usage.get(name) is None else int(usage[name])
        for key, name in zip(keys, names, strict=True)
    }


CONVERSE_USAGE = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
NOVA_USAGE = ("inputTokens", "outputTokens", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
CLAUDE_USAGE = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
METRICS_USAGE = (
    "inputTokenCount", "outputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount"
)  # fmt: skip


SERVER_TOOL = "server_tool_use"
"""A tool that Bedrock itself ran inside the answer: no call for the caller to answer."""


def read_blocks_stream(events: list[dict[str, Any]], usage_names: tuple[str, str, str, str]) -> Reading:
    """Read ConverseStream events, or Nova's chunks, which have the same shape."""
    reading = Reading()
    arguments: dict[int, str] = {}
    started: dict[int, tuple[str, str]] = {}
    for event in events:
        start = event.get("contentBlockStart", {}).get("start", {}).get("toolUse")
        if start and start.get("type") != SERVER_TOOL:
            started[event["contentBlockStart"]["contentBlockIndex"]] = (start["toolUseId"], start["name"])
        if block := event.get("contentBlockDelta"):
            delta = block["delta"]
            reading.text += delta.get("text", "")
            index = block["contentBlockIndex"]
            if "toolUse" in delta and index in started:
                arguments[index] = arguments.get(index, "") + delta["toolUse"]["input"]
            _read_reasoning(delta.get("reasoningContent", {}), reading)
        if stop := event.get("messageStop"):
            reading.stop = stop["stopReason"]
        if metadata := event.get("metadata"):
            reading.usage = _counters(metadata["usage"], usage_names)
    reading.tool_calls = [(*started[index], json.loads(arguments.get(index) or "{}")) for index in started]
    return reading


def _read_reasoning(piece: dict[str, Any], reading: Reading) -> None:
    reading.reasoning += piece.get("text", "")
    if "signature" in piece:
        reading.signatures.append(piece["signature"])
    if "redactedContent" in piece:
        reading.redacted.append(base64.b64encode(piece["redactedContent"]).decode())


def read_blocks_answer(answer: dict[str, Any], usage_names: tuple[str, str, str, str]) -> Reading:
    """Read a Converse answer, or Nova's, which has the same shape."""
    reading = Reading(stop=answer["stopReason"], usage=_counters(answer["usage"], usage_names))
    for block in answer["output"]["message"]["content"]:
        reading.text += block.get("text", "")
        reading.text += "".join(item["text"] for item in block.get("citationsContent", {}).get("content", ()))
        use = block.get("toolUse")
        if use and use.get("type") != SERVER_TOOL:
            reading.tool_calls.append((use["toolUseId"], use["name"], use["input"]))
        piece = block.get("reasoningContent", {})
        flat = {
            **piece.get("reasoningText", {}),
            **{k: v for k, v in piece.items() if k == "redactedContent"},
        }
        _read_reasoning(flat, reading)
    return reading


def read_claude_stream(chunks: list[dict[str, Any]]) -> Reading:
    """Read Claude's messages stream."""
    reading, usage = Reading(), {}
    calls: dict[int, tuple[str, str]] = {}
    arguments: dict[int, str] = {}
    for chunk in chunks:
        match chunk["type"]:
            case "message_start":
                usage.update(chunk["message"]["usage"])
            case "content_block_start" if chunk["content_block"]["type"] == "tool_use":
                calls[chunk["index"]] = (chunk["content_block"]["id"], chunk["content_block"]["name"])
            case "content_block_delta":
                delta = chunk["delta"]
                reading.text += delta.get("text", "")
                reading.reasoning += delta.get("thinking", "")
                if "partial_json" in delta:
                    arguments[chunk["index"]] = arguments.get(chunk["index"], "") + delta["partial_json"]
            case "message_delta":
                reading.stop = chunk["delta"]["stop_reason"]
                usage.update(chunk["usage"])
            case _:
                pass
    reading.usage = _counters(usage, CLAUDE_USAGE)
    reading.tool_calls = [(*calls[index], json.loads(arguments.get(index) or "{}")) for index in calls]
    return reading


def read_claude_answer(answer: dict[str, Any]) -> Reading:
    """Read Claude's whole message."""
    blocks = answer["content"]
    return Reading(
        text="".join(block.get("text", "") for block in blocks),
        tool_calls=[(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"],
        stop=answer["stop_reason"],
        usage=_counters(answer["usage"], CLAUDE_USAGE),
    )


def read_titan_stream(chunks: list[dict[str, Any]]) -> Reading:
    """Read Titan's chunks; counters come from the chunks, else from Bedrock's metrics."""
    reading = Reading(text="".join(chunk["outputText"] for chunk in chunks))
    metrics: dict[str, Any] = {}
    for chunk in chunks:
        metrics |= chunk.get("amazon-bedrock-invocationMetrics", {})
        if chunk.get("inputTextTokenCount") is not None:
            metrics["inputTokenCount"] = chunk["inputTextTokenCount"]
        if chunk.get("totalOutputTextTokenCount") is not None:
            metrics["outputTokenCount"] = chunk["totalOutputTextTokenCount"]
        reading.stop = chunk.get("completionReason") or reading.stop
        if chunk.get("amazon-bedrock-guardrailAction") == "INTERVENED" and not reading.stop:
            reading.stop = "INTERVENED"
    reading.usage = _counters(metrics, METRICS_USAGE)
    return reading


def read_titan_answer(answer: dict[str, Any]) -> Reading:
    """Read Titan's whole answer."""
    result = answer["results"][0]
    return Reading(
        text=result["outputText"],
        stop=result["completionReason"],
        usage=_counters(
            {"inputTokenCount": answer["inputTextTokenCount"], "outputTokenCount": result["tokenCount"]},
            METRICS_USAGE,
        ),
    )


def read_text_answer(family: str, answer: dict[str, Any], headers: dict[str, str]) -> Reading:
    """Read the answer of a family that gives one text; counters the body lacks are Bedrock's headers'."""
    usage: dict[str, Any] = {
        "inputTokenCount": headers["x-amzn-bedrock-input-token-count"],
        "outputTokenCount": headers["x-amzn-bedrock-output-token-count"],
    }
    match family:
        case "llama":
            text, stop = answer["generation"], answer["stop_reason"]
            usage["inputTokenCount"] = answer["prompt_token_count"]
            usage["outputTokenCount"] = answer["generation_token_count"]
        case "mistral":
            text, stop = answer["outputs"][0]["text"], answer["outputs"][0]["stop_reason"]
        case "cohere_command":
            text, stop = answer["generations"][0]["text"], answer["generations"][0]["finish_reason"]
        case "cohere_command_r":
            text, stop = answer["text"], answer["finish_reason"]
        case _:
            completion = answer["completions"][0]
            text, stop = completion["data"]["text"], completion["finishReason"]["reason"]
    return Reading(text=text, stop=stop, usage=_counters(usage, METRICS_USAGE))
