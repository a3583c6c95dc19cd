"""Claude's own answer as Anthropic's clients expect it: the chunks of InvokeModel are the events already.

What Bedrock adds to them (`amazon-bedrock-…`: its metrics, a guardrail's verdict and trace) is taken out: the
trace quotes what a guardrail has masked. The order of the chunks is checked where they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.dialects import anthropic_errors
from gateway.dialects.anthropic_stream import MESSAGE_STOP, PING, event
from gateway.domain import PassedOn
from gateway.errors import UpstreamProtocolError
from gateway.wire import json, sse

if TYPE_CHECKING:
    from gateway.dialects.protocol import Begun, Ended
    from gateway.domain import Event, Usage
    from gateway.errors import GatewayError

ADDED: Final = "amazon-bedrock-"
"""How the keys begin that Bedrock adds to Claude's objects."""
_ADDED: Final = ADDED.encode()
_TYPE: Final = b'{"type":"'
_NAMED: Final = len(_TYPE)
_HEADS: Final = {
    _TYPE + name: b"event: %b\ndata: " % name
    for name in (
        b"message_start",
        b"content_block_start",
        b"content_block_delta",
        b"content_block_stop",
        b"message_delta",
    )
}
"""What need not be looked into, unless there is a line break, an escape, or a key of Bedrock's in it."""
_PLAIN: Final = (
    *(
        b'{"type":"content_block_start","index":%d,"content_block":{"type":"text","text":""}}' % n
        for n in range(8)
    ),
    *(b'{"type":"content_block_stop","index":%d}' % n for n in range(8)),
)
"""How a text begins and a block ends: the same in every answer."""
_START, _END, _TERMINAL = "message_start", "message_delta", "message_stop"
_START_NAME: Final = _TYPE + _START.encode()
_END_NAME: Final = _TYPE + _END.encode()
_STOP: Final = b'{"type":"message_stop"'
_STOPPED: Final = len(_STOP)
_INPUT: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_TOLD: Final = b'"input_tokens"'
_MESSAGE: Final = b'{"type":"message_start","message":{'
_TOLD_FIRST: Final = b'"usage":{"input_tokens":'
_TOLD_NEXT: Final = b',"output_tokens":'
_TOLD_LAST: Final = b'"usage":{"output_tokens":'
_DELTA: Final = (_HEADS[_TYPE + b"content_block_delta"], b"\n\n")


class ClaudeEvents:
    """Makes a chunk an event of its own type; see `gateway.upstream.Framing`. One for each stream.

    Anthropic's own API counts a prompt's tokens in `message_delta` again, and there its clients look for them
    (langchain-anthropic 1.7 looks nowhere else). The older Claudes of Bedrock do not: there they are put in.
    """

    known: Final = {payload: sse.frame(payload, orjson.loads(payload)["type"]) for payload in _PLAIN}
    usual: Final = _DELTA

    def __init__(self) -> None:
        self._start = b""  # of which the counters are taken only where they are missed

    def payload(self, event_type: str, payload: bytes) -> bytes:
        """Return the event of a chunk: nothing where only Bedrock speaks in it, and for the terminal one.

        That one waits for the end: behind it the answer may still turn out to be broken. A frame that is no
        chunk is none of Claude's.

        Raises:
            UpstreamProtocolError: it is not the JSON of an event.
        """
        if event_type != "chunk":
            return b""
        find = payload.find  # at half of what `in` costs
        if payload[:_STOPPED] == _STOP and payload.count(b'"type"') == 1 and find(b"\\") < 0:
            return b""
        name = payload[: find(b'"', _NAMED)]
        if (
            name not in _HEADS
            or find(_ADDED) >= 0
            or find(b"\\") >= 0
            or find(b"\n") >= 0
            or find(b"\r") >= 0
        ):
            return self._looked_into(payload)
        if name == _START_NAME:
            self._start = payload
        elif name == _END_NAME and self._start and find(_TOLD) < 0:
            counted = _usually_counted(payload, self._start)
            if counted is None:
                return self._looked_into(payload)
            payload = counted
        return _HEADS[name] + payload + b"\n\n"

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
        if kind == _START:
            self._start = payload
        elif kind == _END and self._start and _TOLD not in payload:
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


def _usually_counted(delta: bytes, start: bytes) -> bytes | None:
    """Return `message_delta` with the counter that only this `message_start` had, None where it has more.

    By position, as both are in every answer of a Claude that says neither more nor less than what it used.
    """
    before, _, said = delta.partition(_TOLD_LAST)
    _, _, told = start.partition(_TOLD_FIRST)
    asked, _, first = told.partition(_TOLD_NEXT)
    if (
        said[-2:] == first[-3:-1] == b"}}"
        and said[:-2].isdigit()
        and asked.isdigit()
        and first[:-3].isdigit()  # so the last of its three objects is the message's
        and start[: len(_MESSAGE)] == _MESSAGE
        and start.count(b"{") == 3  # noqa: PLR2004
    ):
        return before + _TOLD_FIRST + asked + _TOLD_NEXT + said
    return None


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
