"""Answers of each dialect, whole or streamed, as its callers read them.

Streams are put together as the dialect's clients do; nothing here uses the gateway's code for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.completion import fold
from gateway.dialects import anthropic_answer, native_records, native_stream, openai_answer, responses_objects
from gateway.dialects.anthropic_stream import AnthropicStream
from gateway.dialects.openai_stream import ChatStream
from gateway.dialects.protocol import Begun, Ended
from gateway.dialects.responses_objects import Echo
from gateway.dialects.responses_stream import ResponsesStream
from gateway.domain import ReasoningPart, Usage
from tests.dialects import anthropic_reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.dialects.protocol import StreamEncoder
    from gateway.domain import Event

Json = dict[str, Any]
BEGUN = Begun("cmpl_1f", "m", "p", "r")
ECHO = Echo({})
AT = 1_700_000_000


class Read(NamedTuple):
    """An answer as a caller has it. Arguments are those of each call; `ended` is the dialect's own word."""

    text: str
    reasoning: list[ReasoningPart]
    calls: list[tuple[str, str, Any]]
    citations: list[Any]
    ended: str
    usage: Usage | None


class Answers(NamedTuple):
    """How a dialect answers: the whole value, its stream's encoder, and how both are read.

    `told` puts the bytes of a stream together to the value that the answer is when it does not stream.
    `turn` is what a caller gives back of it in the next request.
    """

    whole: Callable[[Sequence[Event], Ended], Json]
    encoder: Callable[[], StreamEncoder]
    told: Callable[[bytes], Json]
    read: Callable[[Json], Read]
    turn: Callable[[Json], list[Json]]


def streamed(answers: Answers, batches: Sequence[list[Event]], ended: Ended) -> Json:
    """Return the answer that a stream of these batches makes."""
    encoder = answers.encoder()
    data = [encoder.start(BEGUN), *[encoder.events(batch) for batch in batches], encoder.done(ended)]
    return answers.told(b"".join(data))


def _records(data: bytes) -> list[Any]:
    """Return the data of server-sent events, parsed."""
    lines = [line for line in data.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line[6:]) for line in lines if line != b"data: [DONE]"]


# ── native ────────────────────────────────────────────────────────────────────────────────────────────


def _native_told(data: bytes) -> Json:
    first, *said, last = [json.loads(line) for line in data.splitlines()]
    assert (first["type"], last["type"]) == ("start", "done")
    message: Json = {"role": "assistant", "content": "", "reasoning": [], "tool_calls": [], "citations": []}
    before = ""
    for record in said:
        match record["type"]:
            case "text_delta":
                message["content"] += record["text"]
            case "reasoning_delta":
                _think(message["reasoning"], record, goes_on=before == "reasoning_delta")
            case "tool_call":
                function = {"name": record["name"], "arguments": ""}
                message["tool_calls"].append({"id": record["id"], "type": "function", "function": function})
            case "tool_call_delta":
                call = message["tool_calls"][record["index"]]
                call["function"]["arguments"] += record["arguments"]
            case kind:
                assert kind == "citation"
                message["citations"].append(record["citation"])
        before = record["type"]
    given = {name: value for name, value in message.items() if value or name == "content"}
    return {**first, **last, "type": "completion", "message": given}


def _think(blocks: list[Json], record: Json, *, goes_on: bool) -> None:
    """Add a piece of reasoning: a signature ends its block, a redacted one stands alone."""
    if "redacted" in record or not goes_on or blocks[-1].keys() & {"signature", "redacted"}:
        blocks.append({})
    for name in ("text", "signature", "redacted"):
        if name in record:
            blocks[-1][name] = blocks[-1].get(name, "") + record[name]


def _native_read(value: Json) -> Read:
    message = value["message"]
    blocks = [ReasoningPart(**block) for block in message.get("reasoning", ())]
    usage = Usage(**value["usage"])
    return Read(
        message["content"],
        blocks,
        _calls(message),
        message.get("citations", []),
        value["finish_reason"],
        usage,
    )


def _calls(message: Json) -> list[tuple[str, str, Any]]:
    return [
        (call["id"], call["function"]["name"], _arguments(call["function"]["arguments"]))
        for call in message.get("tool_calls", ())
    ]


def _arguments(text: str) -> Any:
    return json.loads(text or "{}")


# ── OpenAI's chat ─────────────────────────────────────────────────────────────────────────────────────


def accumulate(whole: Json, delta: Json) -> None:
    """Add a delta as OpenAI's SDK does (`lib/streaming/_deltas.py`)."""
    for key, value in delta.items():
        if isinstance(value, list):
            entries = whole.setdefault(key, [])
            for entry in value:
                if entry["index"] == len(entries):
                    entries.append({})
                accumulate(entries[entry["index"]], entry)
        elif isinstance(value, dict):
            accumulate(whole.setdefault(key, {}), value)
        elif isinstance(value, str) and key != "type":
            whole[key] = whole.get(key, "") + value
        else:
            whole[key] = value


def without_index(value: Any) -> Any:
    """Return a value without the numbers that only a stream's entries have."""
    if isinstance(value, dict):
        return {name: without_index(item) for name, item in value.items() if name != "index"}
    return [without_index(item) for item in value] if isinstance(value, list) else value


def _chat_told(data: bytes) -> Json:
    *chunks, last = _records(data)
    message: Json = {}
    for chunk in chunks:
        accumulate(message, chunk["choices"][0]["delta"])
    choice = {**chunks[-1]["choices"][0], "message": without_index(message)}
    return {**last, "choices": [choice]}


def _chat_read(value: Json) -> Read:
    (choice,) = value["choices"]
    message, usage = choice["message"], value["usage"]
    blocks = [
        ReasoningPart(block.get("thinking", ""), block.get("signature"), block.get("data"))
        for block in message.get("thinking_blocks", ())
    ]
    assert message.get("reasoning_content", "") == "".join([block.text for block in blocks])
    details = usage["prompt_tokens_details"]
    cached, written = details["cached_tokens"], details["cache_write_tokens"]
    prompt = usage["prompt_tokens"]
    asked = None if prompt is None else prompt - (cached or 0) - (written or 0)
    return Read(
        message["content"] or "",
        blocks,
        _calls(message),
        message.get("citations", []),
        choice["finish_reason"],
        Usage(asked, usage["completion_tokens"], cached, written),
    )


# ── OpenAI's Responses ────────────────────────────────────────────────────────────────────────────────


def _responses_told(data: bytes) -> Json:
    records = _records(data)
    response: Json = records[-1]["response"]
    done = [one["item"] for one in records if one["type"] == "response.output_item.done"]
    places = [one["output_index"] for one in records if one["type"] == "response.output_item.done"]
    assert [done[places.index(place)] for place in range(len(done))] == response["output"]
    return response


def _responses_read(value: Json) -> Read:
    texts, blocks, calls, citations = "", [], [], []
    for item in value["output"]:
        match item["type"]:
            case "message":
                (part,) = item["content"]
                texts += part["text"]
                citations += [
                    {name: inner for name, inner in one.items() if inner != "bedrock_citation"}
                    for one in part["annotations"]
                ]
            case "reasoning":
                blocks.append(_sealed(item))
            case _:
                calls.append((item["call_id"], item["name"], _arguments(item["arguments"])))
    usage = value["usage"] and _responses_usage(value["usage"])
    ended = (value["incomplete_details"] or {"reason": value["status"]})["reason"]
    return Read(texts, blocks, calls, citations, ended, usage)


def _sealed(item: Json) -> ReasoningPart:
    kind, _, secret = (item["encrypted_content"] or "").partition(":")
    text = "".join([part["text"] for part in item["summary"]])
    return ReasoningPart(text, **({kind: secret} if kind else {}))


def _responses_usage(usage: Json) -> Usage:
    details = usage["input_tokens_details"]
    cached, written = details["cached_tokens"], details["cache_write_tokens"]
    asked = usage["input_tokens"] - (cached or 0) - (written or 0)
    return Usage(asked, usage["output_tokens"], cached, written)


# ── Anthropic ─────────────────────────────────────────────────────────────────────────────────────────


def _anthropic_read(value: Json) -> Read:
    texts, blocks, calls, citations = "", [], [], []
    for block in value["content"]:
        match block["type"]:
            case "text":
                texts += block["text"]
                citations += block.get("citations", [])
            case "thinking":
                blocks.append(ReasoningPart(block["thinking"], block["signature"] or None))
            case "redacted_thinking":
                blocks.append(ReasoningPart(redacted=block["data"]))
            case _:
                calls.append((block["id"], block["name"], block["input"]))
    usage = value["usage"]
    counted = Usage(
        usage["input_tokens"],
        usage["output_tokens"],
        usage["cache_read_input_tokens"],
        usage["cache_creation_input_tokens"],
    )
    return Read(texts, blocks, calls, citations, value["stop_reason"], counted)


ANSWERS: Mapping[str, Answers] = {
    "native": Answers(
        lambda events, ended: native_records.completion(BEGUN, fold(events), ended),
        lambda: native_stream.NDJSON,
        _native_told,
        _native_read,
        lambda value: [value["message"]],
    ),
    "chat": Answers(
        lambda events, ended: openai_answer.completion(
            BEGUN, fold(events), ended, created=AT, service_tier=None
        ),
        lambda: ChatStream(AT, include_usage=True),
        _chat_told,
        _chat_read,
        lambda value: [value["choices"][0]["message"]],
    ),
    "responses": Answers(
        lambda events, ended: responses_objects.whole(BEGUN, fold(events), ended, AT, ECHO),
        lambda: ResponsesStream(AT, ECHO),
        _responses_told,
        _responses_read,
        lambda value: value["output"],
    ),
    "anthropic": Answers(
        lambda events, ended: anthropic_answer.message(BEGUN, fold(events), ended),
        AnthropicStream,
        lambda data: anthropic_reading.folded(anthropic_reading.events_of(data)),
        _anthropic_read,
        lambda value: [{"role": "assistant", "content": value["content"]}],
    ),
}
