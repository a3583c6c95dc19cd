"""How the subjects are asked, and how to know that an answer is right."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import orjson

from gateway.errors import UpstreamProtocolError
from gateway.wire.eventstream import Decoder, Message
from tests.benchmarks.load import StreamFailedError, encode_post
from tests.benchmarks.scenarios import CLAUDE

if TYPE_CHECKING:
    from tests.benchmarks.scenarios import Point, Scenario


class Api(Protocol):
    """How a subject is spoken to."""

    def request(self, scenario: Scenario, point: Point) -> bytes:
        """Return the bytes of the HTTP request."""

    def check(self, body: bytes, deltas: int) -> None:
        """Raise `StreamFailedError` unless the body is a whole answer of so many text deltas."""


class NativeApi:
    """The gateway's own API, and that of the naive loop: NDJSON."""

    def request(self, scenario: Scenario, point: Point) -> bytes:
        """Return the bytes of the HTTP request."""
        body = {
            "model": scenario.model,
            "messages": [{"role": "user", "content": scenario.prompt(point)}],
        }
        return encode_post("/chat/completions/stream", orjson.dumps(body))

    def check(self, body: bytes, deltas: int) -> None:
        """Raise `StreamFailedError` unless `done` ends the records and the deltas are all there."""
        last = body[body.rfind(b"\n", 0, -1) + 1 :]
        counted = body.count(b'{"type":"text_delta",')
        if counted != deltas or not last.startswith(b'{"type":"done",') or not last.endswith(b"\n"):
            raise StreamFailedError(f"{counted} of {deltas} deltas, last record {last[:200]!r}")


class BedrockApi:
    """Bedrock's own API, which is what a proxy that only passes bytes speaks."""

    def request(self, scenario: Scenario, point: Point) -> bytes:
        """Return the bytes of the HTTP request, unsigned: the emulator is told to take it."""
        text = scenario.prompt(point)
        if scenario.model == CLAUDE:
            operation, content = "invoke-with-response-stream", [{"type": "text", "text": text}]
        else:
            operation, content = "converse-stream", [{"text": text}]
        body: dict[str, object] = {"messages": [{"role": "user", "content": content}]}
        if scenario.model == CLAUDE:
            body |= {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4096}
        return encode_post(f"/model/{quote(scenario.model, safe='')}/{operation}", orjson.dumps(body))

    def check(self, body: bytes, deltas: int) -> None:
        """Raise `StreamFailedError` unless frames and deltas are whole and the terminal event is last."""
        messages: list[Message] = []
        decoder = Decoder()
        try:
            decoder.feed(body, messages)
            decoder.close()
        except UpstreamProtocolError as error:
            raise StreamFailedError(str(error.detail)) from error
        kinds = [_kind(message) for message in messages]
        counted = kinds.count("delta")
        if counted != deltas or kinds[-1:] != ["end"]:
            raise StreamFailedError(f"{counted} of {deltas} deltas, last event {kinds[-1:]}")


def _kind(message: Message) -> str:
    name = str(message.headers[":event-type"])
    if name == "chunk":
        inner = orjson.loads(_unwrap(message.payload))
        name = inner.get("delta", {}).get("type") or inner["type"]
    return {
        "contentBlockDelta": "delta",
        "text_delta": "delta",
        "metadata": "end",
        "message_stop": "end",
    }.get(name, name)


def _unwrap(payload: bytes) -> bytes:
    return b64decode(orjson.loads(payload)["bytes"])
