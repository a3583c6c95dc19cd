"""Claude's own answer as Anthropic's clients expect it: the chunks of InvokeModel are the events already.

What Bedrock adds to them (`amazon-bedrock-…`: its metrics, a guardrail's verdict and trace) is taken out: the
trace quotes what a guardrail has masked. The order of the chunks is checked where they are read.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.dialects import anthropic_errors
from gateway.dialects.anthropic_stream import MESSAGE_STOP, PING, event
from gateway.domain import PassedOn
from gateway.errors import UpstreamProtocolError
from gateway.wire import json, sse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.dialects.protocol import Begun, Ended
    from gateway.domain import Event, Usage
    from gateway.errors import GatewayError

ADDED: Final = "amazon-bedrock-"
"""How the keys begin that Bedrock adds to Claude's objects."""
_ADDED: Final = ADDED.encode()
_TYPE: Final = b'{"type":"'
_NAMED: Final = len(_TYPE)
_NAMES: Final = frozenset(
    {
        b"message_start",
        b"content_block_start",
        b"content_block_delta",
        b"content_block_stop",
    }
)
"""What need not be looked into, unless there is a line break, an escape, or a key of Bedrock's in it."""
_PLAIN: Final = (
    *(
        payload % number
        for number in range(8)
        for payload in (
            b'{"type":"content_block_start","index":%d,"content_block":{"type":"text","text":""}}',
            b'{"type":"content_block_stop","index":%d}',
        )
    ),
)
"""How a text begins and a block ends: the same in every answer."""
_TERMINAL: Final = "message_stop"
_START: Final = b"message_start"
_END: Final = "message_delta"
_INPUT: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_TOLD: Final = b'"input_tokens"'
_DELTA: Final = (b"event: content_block_delta\ndata: ", b"\n\n")
_COUNT: Final = rb"(?:0|[1-9][0-9]{0,14})"
_USUAL_START: Final = re.compile(
    rb'\{"type":"message_start","message":\{'
    rb'(?:"[a-z_]++":(?:"[\w .:-]*+"|null|\[\]),)*+'
    rb'"usage":\{("input_tokens":%b(?:,"cache_creation_input_tokens":%b)?(?:,"cache_read_input_tokens":%b)?)'
    rb',"output_tokens":%b\}\}\}' % ((_COUNT,) * 4)
)
"""Where the counters are that an older `message_delta` lacks."""
_USUAL_END: Final = re.compile(
    rb'(\{"type":"message_delta","delta":\{"stop_reason":"[a-z_]++","stop_sequence":null\},"usage":\{)'
    rb'("input_tokens":%b,(?:"cache_creation_input_tokens":%b,)?(?:"cache_read_input_tokens":%b,)?)?'
    rb'("output_tokens":%b\}\})' % ((_COUNT,) * 4)
)
"""What tells why the model stopped; the second group are counters of its own."""
_USUAL_STOP: Final = re.compile(
    rb'\{"type":"message_stop"(?:,"amazon-bedrock-invocationMetrics":\{"[A-Za-z]++":%b(?:,"[A-Za-z]++":%b)*+\})?\}'
    % (_COUNT, _COUNT)
)
"""These three are known by their bytes, and are not parsed once more."""


class ClaudeEvents:
    """Makes a chunk an event of its own type; see `gateway.upstream.Framing`. One for each stream.

    Anthropic's own API counts a prompt's tokens in `message_delta` again, and there its clients look for them
    (langchain-anthropic 1.7 looks nowhere else). The older Claudes of Bedrock do not: there they are put in.
    """

    known: Final[Mapping[bytes, bytes]] = MappingProxyType(
        {payload: sse.frame(payload, orjson.loads(payload)["type"]) for payload in _PLAIN}
    )

    def __init__(self) -> None:
        self._start = b""  # of which the counters are taken only where they are missed

    def usual(self, before: bytes) -> tuple[bytes, bytes]:  # noqa: ARG002 - they are all of one type
        """Return what stands before and behind a usual delta."""
        return _DELTA

    def payload(self, event_type: str, payload: bytes) -> bytes:
        """Return the event of a chunk: nothing where only Bedrock speaks in it, and for the terminal one.

        That one waits for the end: behind it the answer may still turn out to be broken. A frame that is no
        chunk is none of Claude's.

        Raises:
            UpstreamProtocolError: it is not the JSON of an event.
        """
        if event_type != "chunk":
            return b""
        if payload[:_NAMED] == _TYPE:
            name = payload[_NAMED : payload.find(b'"', _NAMED)]
            if name in _NAMES and not (
                b"\\" in payload or b"\n" in payload or b"\r" in payload or _ADDED in payload
            ):
                if name == _START:
                    self._start = payload
                return b"event: %b\ndata: %b\n\n" % (name, payload)
            if _USUAL_STOP.fullmatch(payload) is not None:
                return b""
            if (end := _USUAL_END.fullmatch(payload)) is not None and (
                counted := self._usually_counted(*end.groups())
            ):
                return b"event: message_delta\ndata: %b\n\n" % counted
        return self._looked_into(payload)

    def _usually_counted(self, before: bytes, told: bytes | None, behind: bytes) -> bytes:
        """Return `message_delta` of these parts, with the counters that it lacks; nothing if unknown."""
        if told is not None:
            return before + told + behind
        if not self._start:
            return before + behind
        start = _USUAL_START.fullmatch(self._start)
        return b"" if start is None else b"%b%b,%b" % (before, start[1], behind)

    def _looked_into(self, payload: bytes) -> bytes:
        chunk = _loads(payload)
        kept = without_additions(chunk)
        if not kept:
            return b""
        kind = kept.get("type")
        if type(kind) is not str or not kind or not kind.isprintable():
            raise UpstreamProtocolError("Bedrock sent a chunk that is no event of Claude's.")
        if kind == _TERMINAL:
            return b""
        if kind == "message_start":
            self._start = payload
        if kind == _END and self._start and _TOLD not in payload:
            kept = self._counted(kept)
        return event(kept)

    def _counted(self, delta: dict[str, Any]) -> dict[str, Any]:
        """Return `message_delta` with the counters that only `message_start` had."""
        message = _loads(self._start).get("message")
        told = message.get("usage") if type(message) is dict else None
        usage = delta.get("usage")
        if type(told) is not dict or type(usage) is not dict:
            return delta
        return {**delta, "usage": {**{name: told[name] for name in _INPUT if name in told}, **usage}}


class PassedStream:
    """Writes a stream of such events; see `gateway.dialects.protocol.StreamEncoder`. It has no state."""

    content_type: Final = sse.CONTENT_TYPE
    heartbeat: Final = PING

    def start(self, begun: Begun) -> bytes:  # noqa: ARG002 - the provider says it
        """Return nothing: the first chunk is `message_start`."""
        return b""

    def events(self, batch: list[Event]) -> bytes:
        """Return what is passed on, as it is."""
        data = b""
        for item in batch:
            if type(item) is PassedOn:  # of which a batch has one
                data = data + item.data if data else item.data
        return json.on_one_line(data)

    def done(self, ended: Ended) -> bytes:  # noqa: ARG002 - the provider has said it
        """Return `message_stop`, which has waited."""
        return MESSAGE_STOP

    def error(self, fault: GatewayError, usage: Usage, *, request_id: str) -> bytes:  # noqa: ARG002 - no room for it
        """Return the event `error`, behind which no `message_stop` comes."""
        return event(anthropic_errors.problem(fault, request_id))


PASSED_STREAM: Final = PassedStream()


def message(answer: bytes) -> bytes:
    """Return the whole answer of InvokeModel without what Bedrock adds; as it came where that is nothing.

    Raises:
        UpstreamProtocolError: it is no message.
    """
    value = _loads(answer)
    kept = without_additions(value)
    if kept.get("type") != "message":
        raise UpstreamProtocolError("Bedrock sent an answer that is no message of Claude's.")
    return answer if kept is value else json.dumps(kept)


def without_additions(value: dict[str, Any]) -> dict[str, Any]:
    """Return the object without the keys that Bedrock adds; itself where there are none."""
    kept = {key: item for key, item in value.items() if not key.startswith(ADDED)}
    return value if len(kept) == len(value) else kept


def _loads(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UpstreamProtocolError("Bedrock sent a chunk that is not JSON.", detail=str(error)) from None
    if type(value) is not dict:
        raise UpstreamProtocolError("Bedrock sent a chunk that is not a JSON object.")
    return value
