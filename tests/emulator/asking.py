"""Bodies to ask the emulator with, the SDK to ask it by, and what a caller puts together from a stream.

Nothing here knows the emulator's code: it is the reader that the emulator must satisfy.
"""

from __future__ import annotations

import json
import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.emulator import Emulator

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-micro-v1:0"
TITAN = "amazon.titan-text-express-v1"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
TALKING = (CLAUDE, NOVA, TITAN, LLAMA)
NATIVE = (CLAUDE, NOVA, TITAN)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL_CONFIG = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}]}


def claude(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """Return a body of Claude's Messages."""
    messages = [{"role": "user", "content": text}]
    return {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1000, "messages": messages, **fields}


def claude_with_tool(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """Return the same with a tool."""
    return claude(text, tools=[{"name": "weather", "input_schema": SCHEMA}], **fields)


def converse(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """Return a body of Converse, which is one of Nova too."""
    return {"messages": [{"role": "user", "content": [{"text": text}]}], **fields}


def titan(text: str = "Hello", **config: Any) -> dict[str, Any]:
    """Return a body of Titan Text."""
    return {"inputText": text, "textGenerationConfig": config}


def native(model: str, text: str = "Hello") -> dict[str, Any]:
    """Return a body of InvokeModel for one of `NATIVE`."""
    return {CLAUDE: claude, NOVA: converse, TITAN: titan}[model](text)


@contextmanager
def sdk(emulator: Emulator, **keys: str) -> Iterator[Any]:
    """Give boto3's client of an emulator, which trusts its keys unless `keys` are others."""
    settings = emulator.settings
    session = boto3.session.Session()
    client = session.client(
        "bedrock-runtime",
        endpoint_url=emulator.url,
        region_name=keys.pop("region_name", settings.region),
        config=Config(retries={"total_max_attempts": 1}, signature_version=keys.pop("signature", "v4")),
        **{
            "aws_access_key_id": settings.access_key_id,
            "aws_secret_access_key": settings.secret_access_key,
            **keys,
        },
    )
    try:
        yield client
    finally:
        client.close()


def invoke(client: Any, model: str, body: Any) -> dict[str, Any]:
    """Return the JSON of InvokeModel."""
    with client.invoke_model(modelId=model, body=json.dumps(body))["body"] as answer:
        parsed: dict[str, Any] = json.loads(answer.read())
    return parsed


def invoke_stream(client: Any, model: str, body: Any) -> list[dict[str, Any]]:
    """Return the chunks of InvokeModelWithResponseStream, as JSON."""
    response = client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))
    with closing(response["body"]) as events:
        return [json.loads(event["chunk"]["bytes"]) for event in events]


def converse_stream(client: Any, model: str, body: Any) -> list[dict[str, Any]]:
    """Return the events of ConverseStream."""
    with closing(client.converse_stream(modelId=model, **body)["stream"]) as events:
        return list(events)


# ── what a caller makes of a stream ───────────────────────────────────────────────────────────────────


def fold_claude(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the message that the chunks tell of."""
    message: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    for chunk in chunks:
        match chunk["type"]:
            case "message_start":
                message = chunk["message"]
            case "content_block_start":
                message["content"].append(chunk["content_block"])
            case "content_block_delta":
                block, delta = message["content"][chunk["index"]], chunk["delta"]
                for key in ("text", "thinking", "signature"):
                    block |= {key: block[key] + delta[key]} if key in delta else {}
                inputs[chunk["index"]] = inputs.get(chunk["index"], "") + delta.get("partial_json", "")
            case "message_delta":
                message |= chunk["delta"]
                message["usage"] |= chunk["usage"]
    for index, text in inputs.items():
        message["content"][index] |= {"input": json.loads(text)} if text else {}
    return message


def fold_blocks(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return content, stop reason and usage that events in the manner of Converse tell of."""
    content: list[dict[str, Any]] = []
    answer: dict[str, Any] = {"content": content, "inputs": ""}
    for event in events:
        if "contentBlockStart" in event:
            content.append({"toolUse": {**event["contentBlockStart"]["start"]["toolUse"], "input": ""}})
        if "contentBlockDelta" in event:
            _add(content, event["contentBlockDelta"]["delta"])
        answer |= event.get("messageStop", {})
        answer |= {key: event["metadata"][key] for key in ("usage",) if "metadata" in event}
    for block in content:
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return answer


def _add(content: list[dict[str, Any]], delta: dict[str, Any]) -> None:
    last = content[-1] if content else {}
    if "toolUse" in delta:
        last["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "reasoningContent" in delta:
        if "reasoningContent" not in last:
            last = {"reasoningContent": {"reasoningText": {"text": ""}}}
            content.append(last)
        reasoning = last["reasoningContent"]["reasoningText"]
        for key, value in delta["reasoningContent"].items():
            reasoning[key] = reasoning.get(key, "") + value
    elif "text" in last:
        last["text"] += delta["text"]
    else:
        content.append({"text": delta["text"]})


def fold_titan(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the result that the chunks tell of."""
    last = chunks[-1]
    result = {
        "tokenCount": last["totalOutputTextTokenCount"],
        "outputText": "".join(chunk["outputText"] for chunk in chunks),
        "completionReason": last["completionReason"],
    }
    return {"inputTextTokenCount": chunks[0]["inputTextTokenCount"], "results": [result]}


FOLDS: dict[str, Callable[[list[dict[str, Any]]], dict[str, Any]]] = {
    CLAUDE: fold_claude,
    NOVA: fold_blocks,
    TITAN: fold_titan,
}


# ── recordings ────────────────────────────────────────────────────────────────────────────────────────


def recordings_folder() -> Path:
    """Return the folder of recorded traffic, or skip the test and say where it was looked for."""
    root = Path(__file__).resolve().parent.parent.parent
    folder = Path(os.environ.get("GATEWAY_RECORDINGS", root.parent / "shared" / "recordings"))
    if not folder.is_dir():
        pytest.skip("no recordings: neither GATEWAY_RECORDINGS nor ../shared/recordings is a folder")
    return folder


def recorded(operations: Iterable[str]) -> list[dict[str, Any]]:
    """Return the recordings of some operations, in the order of their files' names."""
    records = (json.loads(path.read_bytes()) for path in sorted(recordings_folder().glob("*.json")))
    return [record for record in records if record["operation"] in set(operations)]
