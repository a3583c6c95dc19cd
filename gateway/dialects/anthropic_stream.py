"""The stream of Anthropic's Messages API: events of the domain in, server-sent events out.

One block is open at a time, as in Anthropic's own streams: it ends where another begins, or the answer.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gateway.dialects import anthropic_answer, anthropic_errors
from gateway.dialects.text_records import TextRecords
from gateway.domain import (
    Citation,
    PassedOn,
    ReasoningDelta,
    Stop,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from gateway.errors import UpstreamProtocolError
from gateway.wire import json, sse

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.dialects.protocol import Begun, Ended
    from gateway.domain import Event
    from gateway.errors import GatewayError

_TEXT, _THINKING, _TOOL, _NONE = "text_delta", "thinking_delta", "input_json_delta", ""
"""What the open block goes on with; the last where none is open."""
EMPTY_TEXT: Final = {"type": "text", "text": ""}
_FIELDS: Final = {_TEXT: "text", _THINKING: "thinking", _TOOL: "partial_json"}


def event(record: dict[str, Any]) -> bytes:
    """Return a record as a server-sent event of its own type."""
    return sse.frame(json.dumps(record), record["type"])


PING: Final = event({"type": "ping"})
MESSAGE_STOP: Final = event({"type": "message_stop"})


class AnthropicStream:
    """Encodes one stream; see `gateway.dialects.protocol.StreamEncoder`.

    `stop` are the stop sequences that were asked for.
    """

    __slots__ = ("_call", "_called", "_kind", "_number", "_pieces", "_said", "_stop")

    content_type: Final = sse.CONTENT_TYPE
    heartbeat: Final = PING

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._stop = stop
        self._number = -1  # of the block that began last
        self._kind = _NONE
        self._call = -1  # the tool call that is open
        self._called: set[int] = set()  # the calls that have arguments
        self._said: list[str] = []  # by the open block, and still to be written
        self._pieces: list[bytes] = []

    def start(self, begun: Begun) -> bytes:
        """Return `message_start`; what the prompt took is known, and told, at the end."""
        return event({"type": "message_start", "message": anthropic_answer.opening(begun)})

    def events(self, batch: list[Event]) -> bytes:
        """Return the events of a batch.

        Raises:
            UpstreamProtocolError: a tool call goes on behind its end.
        """
        for happened in batch:
            if type(happened) is TextDelta and self._kind is _TEXT:  # as nearly always
                self._said.append(happened.text)
            else:
                self._HANDLERS[type(happened)](self, happened)
        self._flush()
        return self._taken()

    def done(self, ended: Ended) -> bytes:
        """Return the end of an answer that is whole: the open block's, the reason and the usage."""
        self._end()
        delta = anthropic_answer.ending(ended.stop, self._stop)
        tokens = anthropic_answer.usage(ended.usage)
        self._pieces.append(event({"type": "message_delta", "delta": delta, "usage": tokens}))
        self._pieces.append(MESSAGE_STOP)
        return self._taken()

    def error(self, fault: GatewayError, usage: Usage, *, request_id: str) -> bytes:  # noqa: ARG002 - no room for it
        """Return the event `error`, behind which no `message_stop` comes."""
        return event(anthropic_errors.problem(fault, request_id))

    # ── blocks ────────────────────────────────────────────────────────────────────────────────────────

    def _taken(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data

    def _flush(self) -> None:
        if self._said:
            self._pieces.append(_deltas(self._kind, self._number).encode(self._said))
            self._said = []

    def _begin(self, kind: str, block: dict[str, Any]) -> None:
        self._end()
        self._number += 1
        self._kind = kind
        self._pieces.append(
            _text_start(self._number)
            if kind is _TEXT
            else event({"type": "content_block_start", "index": self._number, "content_block": block})
        )

    def _end(self) -> None:
        if self._kind is not _NONE:
            self._flush()
            self._kind = _NONE
            self._pieces.append(_block_stop(self._number))

    def _delta(self, delta: dict[str, Any]) -> None:
        self._flush()
        self._pieces.append(event({"type": "content_block_delta", "index": self._number, "delta": delta}))

    # ── events ────────────────────────────────────────────────────────────────────────────────────────

    def _begin_text(self) -> None:
        if self._kind is not _TEXT:
            self._begin(_TEXT, EMPTY_TEXT)

    def _text(self, said: TextDelta) -> None:
        self._begin_text()
        self._said.append(said.text)

    def _citation(self, given: Citation) -> None:
        self._begin_text()
        self._delta({"type": "citations_delta", "citation": anthropic_answer.citation(given.citation)})

    def _reasoning(self, thought: ReasoningDelta) -> None:
        if thought.redacted is not None:
            self._begin(_THINKING, {"type": "redacted_thinking", "data": thought.redacted})
            self._end()
            return
        if self._kind is not _THINKING:
            self._begin(_THINKING, {"type": "thinking", "thinking": "", "signature": ""})
        if thought.text:
            self._said.append(thought.text)
        if thought.signature is not None:  # nothing comes behind it
            self._delta({"type": "signature_delta", "signature": thought.signature})
            self._end()

    def _tool_call(self, call: ToolCall) -> None:
        self._begin(_TOOL, {"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
        self._call = call.index

    def _arguments(self, delta: ToolCallDelta) -> None:
        if self._kind is _TOOL and self._call == delta.index:
            self._called.add(delta.index)
            self._said.append(delta.arguments)
        elif delta.index in self._called or delta.arguments != "{}":  # which a call begins with
            raise UpstreamProtocolError(
                "The model went on with a tool call behind its end.", detail=f"tool call {delta.index}"
            )

    def _nothing(self, _event: Event) -> None:
        """Usage and stop are told at the end."""

    _HANDLERS: ClassVar[dict[type[Event], Callable[[AnthropicStream, Any], None]]] = {
        TextDelta: _text,
        ReasoningDelta: _reasoning,
        ToolCall: _tool_call,
        ToolCallDelta: _arguments,
        Citation: _citation,
        PassedOn: _nothing,
        Usage: _nothing,
        Stop: _nothing,
    }


@lru_cache(maxsize=256)
def _text_start(number: int) -> bytes:
    return event({"type": "content_block_start", "index": number, "content_block": EMPTY_TEXT})


@lru_cache(maxsize=256)
def _block_stop(number: int) -> bytes:
    return event({"type": "content_block_stop", "index": number})


@lru_cache(maxsize=256)
def _deltas(kind: str, number: int) -> TextRecords:
    name = "content_block_delta"
    empty = {"type": name, "index": number, "delta": {"type": kind, _FIELDS[kind]: ""}}
    return TextRecords(json.dumps(empty), partial(sse.frame, event=name))
