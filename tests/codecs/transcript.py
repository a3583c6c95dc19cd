"""Reading the transcript folders under data/; see test_transcripts for what they hold."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gateway.catalog.catalog import Catalog
from gateway.codecs import CODECS
from gateway.domain import (
    CachePoint,
    CompletionRequest,
    DocumentPart,
    Guardrail,
    ImagePart,
    Message,
    PassedOn,
    Reasoning,
    ReasoningPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolChoice,
    ToolResultPart,
    ToolUsePart,
    Usage,
)

if TYPE_CHECKING:
    from gateway.catalog.model import Family
    from gateway.completion import Completion
    from gateway.domain import Event, Part

DATA = Path(__file__).parent / "data"
MADE = {
    "tool_choice": ToolChoice,
    "reasoning": Reasoning,
    "response_format": ResponseFormat,
    "guardrail": Guardrail,
}
"""Fields of a request that are records of their own."""
CASES = sorted(path.parent for path in DATA.glob("*/*/request.json"))


class Transcript:
    """One case, read from its folder; the folder above it names the codec."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.codec = CODECS[cast("Any", folder.parent.name)]

    def json(self, name: str) -> Any:
        """Return the JSON of one of the case's files."""
        return json.loads((self.folder / name).read_bytes())

    def formatted(self) -> bytes:
        """Return the body that the codec makes of the request."""
        request = request_from(self.json("request.json"))
        model = Catalog().resolve(request.model)
        if self.codec.name == "converse":
            return self.codec.format(request, replace(model, api="converse"))
        family = cast("Family", self.codec.name)
        return self.codec.format(request, replace(model, api="invoke", native_family=family))

    def payloads(self) -> list[tuple[str, bytes]]:
        """Return the frames of the streamed answer: event type and payload."""
        lines = (self.folder / "payloads.ndjson").read_bytes().splitlines()
        if self.codec.name != "converse":
            return [("chunk", line) for line in lines]
        wrapped = [next(iter(json.loads(line).items())) for line in lines]
        return [(name, json.dumps(payload).encode()) for name, payload in wrapped]

    def stream_events(self) -> list[Event]:
        """Return the events of the streamed answer."""
        extractor = self.codec.extractor()
        events: list[Event] = []
        for event_type, payload in self.payloads():
            extractor.feed(event_type, payload, events)
        extractor.close(events)
        assert extractor.unknown == set()
        return events

    def streamed(self) -> list[Any]:
        """Return the events of the streamed answer as plain JSON values."""
        return [{type(event).__name__: plain(event)} for event in self.stream_events()]

    def read_events(self) -> list[Event]:
        """Return the events of the whole answer."""
        answer = self.json("answer.json")
        events: list[Event] = []
        assert self.codec.read(json.dumps(answer["body"]).encode(), answer["headers"], events) == set()
        return events


def said(event: Event) -> dict[str, Any]:
    """Return an event's fields."""
    return event._asdict() if isinstance(event, Usage | PassedOn) else asdict(event)


def plain(event: Event) -> dict[str, Any]:
    """Return an event's fields, without those that say nothing."""
    return {name: value for name, value in said(event).items() if value is not None}


def request_from(data: dict[str, Any]) -> CompletionRequest:
    """Return the request that a request.json describes."""
    fields = dict(data)
    if "system" in data:
        system = data["system"]
        said = [{"text": system}] if isinstance(system, str) else system
        fields["system"] = tuple(part_from(part) for part in said)
    for name, make in MADE.items():
        if name in data:
            fields[name] = make(**data[name])
    fields["betas"] = tuple(data.get("betas", ()))
    fields["messages"] = tuple(
        Message(message["role"], tuple(part_from(part) for part in message["content"]))
        for message in data["messages"]
    )
    fields["stop"] = tuple(data.get("stop", ()))
    fields["tools"] = tuple(
        Tool(
            tool["name"],
            tool.get("description"),
            tool["input_schema"],
            tool.get("strict"),
            CachePoint(**tool["cache"]) if "cache" in tool else None,
        )
        for tool in data.get("tools", ())
    )
    return CompletionRequest(**fields)


def part_from(data: dict[str, Any]) -> Part:  # noqa: PLR0911 - one for each kind
    """Return the part that `{kind: fields}` describes."""
    ((kind, value),) = data.items()
    match kind:
        case "text":
            return TextPart(value)
        case "image":
            return ImagePart(value["format"], b64decode(value["data"]))
        case "document":
            return DocumentPart(**{**value, "data": b64decode(value["data"])})
        case "cache_point":
            return CachePoint(**value)
        case "reasoning":
            return ReasoningPart(**value)
        case "tool_use":
            return ToolUsePart(value["id"], value["name"], value["arguments"])
        case _:
            content = tuple(cast("TextPart | ImagePart", part_from(item)) for item in value["content"])
            return ToolResultPart(value["id"], content, value.get("is_error", False))


def comparable(completion: Completion) -> dict[str, Any]:
    """Return a completion with tool arguments as values: their white space is the model's own."""
    return {
        "text": completion.text,
        "reasoning": completion.reasoning,
        "tools": [(call.id, call.name, json.loads(call.arguments)) for call in completion.tool_calls],
        "citations": completion.citations,
        "usage": completion.usage,
        "finish_reason": completion.finish_reason,
    }
