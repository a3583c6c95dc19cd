"""How the subjects are asked, and how to know that an answer is right."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import orjson

from gateway.errors import UpstreamProtocolError
from gateway.wire.eventstream import Decoder, Message
from tests.benchmarks.load import StreamFailedError, encode_post
from tests.benchmarks.scenarios import CLAUDE

if TYPE_CHECKING:
    from collections.abc import Callable


class Api(Protocol):
    """How a subject is spoken to."""

    @property
    def text(self) -> re.Pattern[bytes]:
        """Finds the first text in a body as far as it has come."""

    def request(self, model: str, prompt: str) -> bytes:
        """Return the bytes of the HTTP request."""

    def check(self, body: bytes, deltas: int) -> None:
        """Raise `StreamFailedError` unless the body is a whole answer of so many text deltas."""


class NativeApi:
    """The gateway's own API, and that of the naive loop: NDJSON."""

    text = re.compile(rb'"text_delta"')

    def request(self, model: str, prompt: str) -> bytes:
        """Return the bytes of the HTTP request."""
        body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
        return encode_post("/chat/completions/stream", orjson.dumps(body))

    def check(self, body: bytes, deltas: int) -> None:
        """Raise `StreamFailedError` unless `done` ends the records and the deltas are all there."""
        last = body[body.rfind(b"\n", 0, -1) + 1 :]
        counted = body.count(b'{"type":"text_delta",')
        if counted != deltas or not last.startswith(b'{"type":"done",') or not last.endswith(b"\n"):
            raise StreamFailedError(f"{counted} of {deltas} deltas, last record {last[:200]!r}")


class BedrockApi:
    """Bedrock's own API, which is what a proxy that only passes bytes speaks."""

    text = re.compile(rb"contentBlockDelta|chunk(?s:.*)chunk(?s:.*)chunk")
    """Claude's text is base64; it stands in the third frame."""

    def request(self, model: str, prompt: str) -> bytes:
        """Return the bytes of the HTTP request, unsigned: the emulator is told to take it."""
        if model == CLAUDE:
            operation, content = "invoke-with-response-stream", [{"type": "text", "text": prompt}]
        else:
            operation, content = "converse-stream", [{"text": prompt}]
        body: dict[str, object] = {"messages": [{"role": "user", "content": content}]}
        if model == CLAUDE:
            body |= {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4096}
        return encode_post(f"/model/{quote(model, safe='')}/{operation}", orjson.dumps(body))

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


@dataclass(frozen=True, slots=True)
class ChatApi:
    """OpenAI's chat completions as server-sent events, which is what the other gateways speak.

    `encode` makes the request of a prompt; which model answers is in the gateway's own configuration.
    """

    encode: Callable[[str], bytes]
    text: re.Pattern[bytes] = re.compile(rb'"content":\s*"[^"]')

    def request(self, model: str, prompt: str) -> bytes:
        """Return the bytes of the HTTP request."""
        del model
        return self.encode(prompt)

    def check(self, body: bytes, deltas: int) -> None:
        """Raise `StreamFailedError` unless `[DONE]` is last, behind a finish reason and all deltas."""
        data = [line[5:].strip() for line in body.split(b"\n") if line.startswith(b"data:")]
        events = [orjson.loads(line) for line in data[:-1]]
        choices = [choice for event in events for choice in event.get("choices", ())]
        counted = sum(bool(choice["delta"].get("content")) for choice in choices)
        finished = any(choice.get("finish_reason") for choice in choices)
        if counted != deltas or not finished or data[-1:] != [b"[DONE]"]:
            raise StreamFailedError(f"{counted} of {deltas} deltas, the end is {body[-200:]!r}")


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
