"""What a client of Anthropic's does with a stream: checks that it is legal, and folds it into the message.

Written after the event flow of Anthropic's page on streaming; nothing here uses the gateway's code.
"""

from __future__ import annotations

import json
from typing import Any

FIELDS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
BLOCKS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "redacted_thinking": set(),
    "tool_use": {"input_json_delta"},
}
"""Which deltas belong to which block."""


def events_of(data: bytes) -> list[dict[str, Any]]:
    """Return the events of a whole stream; each is named as its data is."""
    assert data.endswith(b"\n\n") or not data
    events = []
    for block in data.split(b"\n\n")[:-1]:
        name, _, text = block.partition(b"\n")
        record = json.loads(text.removeprefix(b"data: "))
        assert name == b"event: " + record["type"].encode()
        assert len(text.decode().splitlines()) == 1
        events.append(record)
    return events


def folded(events: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: C901 - one arm for each kind of event
    """Return the message that these events make, after checking that they may come like this.

    A stream that ends in an error folds into that error.
    """
    message: dict[str, Any] | None = None
    opened: int | None = None
    arguments: dict[int, str] = {}
    spoken = [event for event in events if event["type"] != "ping"]
    assert [event["type"] for event in spoken].count("message_stop") <= 1
    for position, event in enumerate(spoken):
        kind = event["type"]
        if kind == "error":
            assert position == len(spoken) - 1
            return event
        if kind == "message_start":
            assert position == 0
            message = event["message"]
            continue
        assert message is not None
        content = message["content"]
        match kind:
            case "content_block_start":
                assert opened is None
                opened = event["index"]
                assert opened == len(content)
                content.append(event["content_block"])
            case "content_block_delta":
                assert event["index"] == opened
                _grow(content[-1], event["delta"], arguments, event["index"])
            case "content_block_stop":
                assert event["index"] == opened
                if opened in arguments:
                    content[-1]["input"] = json.loads(arguments[opened])
                opened = None
            case "message_delta":
                assert opened is None
                message |= event["delta"]
                message["usage"] |= event["usage"]
            case _:
                assert (kind, position) == ("message_stop", len(spoken) - 1)
                return message
    raise AssertionError("the stream has no end")


def _grow(block: dict[str, Any], delta: dict[str, Any], arguments: dict[int, str], index: int) -> None:
    kind = delta["type"]
    assert kind in BLOCKS[block["type"]]
    if kind == "input_json_delta":
        arguments[index] = arguments.get(index, "") + delta["partial_json"]
    elif kind == "citations_delta":
        block.setdefault("citations", []).append(delta["citation"])
    else:
        block[FIELDS[kind]] += delta[FIELDS[kind]]


def counted(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return Bedrock's events with the prompt's counters in `message_delta` too, as Anthropic's own are."""
    found = []
    counters: dict[str, Any] = {}
    for event in events:
        if event["type"] == "message_start":
            usage = event["message"]["usage"]
            counters = {key: value for key, value in usage.items() if key.endswith("input_tokens")}
        found.append(
            {**event, "usage": {**counters, **event["usage"]}} if event["type"] == "message_delta" else event
        )
    return found
