"""The answers that Converse and Nova give, streamed and whole.

A stream is messageStart, content blocks, messageStop, metadata; metadata is the terminal event. How it
stopped is told only at the end, because a guardrail may still speak up in the last chunk (seen in a recorded
Nova stream). Block numbers mean little: Nova gives every text delta its own, and text blocks do not begin,
they are just there.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gateway.codecs.protocol import UsualDelta
from gateway.codecs.shapes import (
    Json,
    count,
    index,
    malformed,
    optional_record,
    optional_records,
    optional_text,
    record,
    records,
    text,
    usage,
)
from gateway.codecs.stops import finish_reason
from gateway.codecs.tool_calls import ToolCalls
from gateway.domain import Citation, FinishReason, ReasoningDelta, TextDelta
from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.codecs.invocation import Envelope
    from gateway.domain import Event

_SERVER_TOOL = "server_tool_use"
_COUNTERS: Final = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")


class _State(Enum):
    WAITING = auto()  # for messageStart
    OPEN = auto()
    STOPPED = auto()  # messageStop seen
    ENDED = auto()  # metadata seen


_WAITING, _OPEN, _STOPPED, _ENDED = _State  # looking up an enum's member costs as much as a small call


class BlockEvents:
    """The state machine of one streamed answer. What is unknown goes into the envelope's set."""

    __slots__ = ("_block", "_envelope", "_raw", "_state", "_stops", "_tools", "finished", "usual")

    def __init__(self, envelope: Envelope, stops: Mapping[str, FinishReason]) -> None:
        self._envelope = envelope
        self._stops = stops
        self._state = _WAITING
        self.finished = False
        """Whether the terminal event has been seen."""
        self._tools = ToolCalls()
        self._raw = ""
        self._block: Any = None  # the number of the block that spoke last
        self.usual: UsualDelta | None = None
        """The delta that follows in a block that spoke twice, as Converse spells it; None at the end."""

    def event(self, name: str, body: Any, events: list[Event]) -> None:
        """Append what the event called `name` says.

        Raises:
            UpstreamProtocolError: it is malformed or comes out of order.
        """
        if type(body) is not dict:
            raise malformed("an event is not an object")
        handle = self._EVENTS.get(name)
        if handle is None:  # AWS may add one, at any place
            self._envelope.unknown.add(f"event:{name}")
            return
        if self._state is _ENDED:
            raise malformed("an event after the terminal metadata")
        handle(self, body, events)

    def close(self, events: list[Event]) -> None:
        """Append the stop.

        Raises:
            UpstreamProtocolError: the terminal event has not been seen.
            UpstreamFailed: Bedrock calls the answer malformed.
        """
        if self._state is not _ENDED:
            raise UpstreamProtocolError("the answer is truncated: it ended before its metadata event")
        _stop(self._raw, self._stops, self._envelope, events)

    def _message_start(self, _body: Json, _events: list[Event]) -> None:
        if self._state is not _WAITING:
            raise malformed("messageStart out of order")
        self._state = _OPEN

    def _block_start(self, body: Json, events: list[Event]) -> None:
        if self._state is not _OPEN:
            raise malformed("contentBlockStart out of order")
        block, start = index(body, "contentBlockIndex"), record(body, "start")
        tool = optional_record(start, "toolUse")
        if tool is not None and tool.get("type") != _SERVER_TOOL:
            self._tools.begin(block, (text(tool, "toolUseId"), text(tool, "name")), events)
        elif tool is not None:
            self._tools.ignore(block)
            self._envelope.unknown.add(f"start:{_SERVER_TOOL}")
        else:
            self._envelope.unknown.update(f"start:{kind}" for kind in start)

    def _block_delta(self, body: Json, events: list[Event]) -> None:
        if self._state is not _OPEN:
            raise malformed("contentBlockDelta out of order")
        delta = record(body, "delta")
        for kind in delta:
            handle = self._DELTAS.get(kind)
            if handle is None:
                self._envelope.unknown.add(f"delta:{kind}")
            else:
                handle(self, body, delta, events)

    def _text(self, body: Json, delta: Json, events: list[Event]) -> None:
        _say(text(delta, "text"), events)
        number = body.get("contentBlockIndex")
        again = number == self._block and type(number) is int  # nobody needs it to be one
        self._block, self.usual = number, _usual_delta(number) if again else None

    def _tool_arguments(self, body: Json, delta: Json, events: list[Event]) -> None:
        self._tools.arguments(
            index(body, "contentBlockIndex"), text(record(delta, "toolUse"), "input"), events
        )

    def _reasoning(self, _body: Json, delta: Json, events: list[Event]) -> None:
        reasoning = record(delta, "reasoningContent")
        for kind in reasoning:
            make = _REASONING.get(kind)
            if make is None:
                self._envelope.unknown.add(f"delta:reasoningContent.{kind}")
            elif piece := text(reasoning, kind):
                events.append(make(piece))

    def _citation(self, _body: Json, delta: Json, events: list[Event]) -> None:
        events.append(Citation(record(delta, "citation")))

    def _block_stop(self, body: Json, events: list[Event]) -> None:
        if self._state is not _OPEN:
            raise malformed("contentBlockStop out of order")
        self._tools.end(index(body, "contentBlockIndex"), events)

    def _message_stop(self, body: Json, events: list[Event]) -> None:
        if self._state is not _OPEN:
            raise malformed("messageStop out of order")
        self._raw = text(body, "stopReason")
        self._tools.end_all(events)
        self._state, self.usual = _STOPPED, None

    def _metadata(self, body: Json, events: list[Event]) -> None:
        if self._state is not _STOPPED:
            raise malformed("metadata out of order")
        self._state, self.finished = _ENDED, True
        _count(body, self._envelope, events)

    _EVENTS: ClassVar[dict[str, Callable[[BlockEvents, Json, list[Event]], None]]] = {
        "contentBlockDelta": _block_delta,
        "contentBlockStart": _block_start,
        "contentBlockStop": _block_stop,
        "messageStart": _message_start,
        "messageStop": _message_stop,
        "metadata": _metadata,
    }
    _DELTAS: ClassVar[dict[str, Callable[[BlockEvents, Json, Json, list[Event]], None]]] = {
        "text": _text,
        "toolUse": _tool_arguments,
        "reasoningContent": _reasoning,
        "citation": _citation,
    }


@lru_cache(maxsize=64)
def _usual_delta(number: int) -> UsualDelta:
    before = b'{"contentBlockIndex":%d,"delta":{"text":"' % number
    return UsualDelta("contentBlockDelta", before, b'"}}', TextDelta)


_REASONING: dict[str, Callable[[str], ReasoningDelta]] = {
    "text": lambda piece: ReasoningDelta(text=piece),
    "signature": lambda piece: ReasoningDelta(signature=piece),
    "redactedContent": lambda piece: ReasoningDelta(redacted=piece),
}


# ── whole answers ─────────────────────────────────────────────────────────────────────────────────────


def read_answer(
    answer: Json,
    headers: Mapping[str, str],
    envelope: Envelope,
    stops: Mapping[str, FinishReason],
    events: list[Event],
) -> None:
    """Append the events of a whole answer; `headers` fill counters that the body does not give.

    Raises:
        UpstreamProtocolError: it is malformed.
        UpstreamFailed: Bedrock calls it malformed.
    """
    tools = ToolCalls()
    for block in records(record(record(answer, "output"), "message"), "content"):
        for kind in block:
            read = _WHOLE.get(kind)
            if read is None:
                envelope.unknown.add(f"content:{kind}")
            else:
                read(block, envelope, tools, events)
    _count(answer, envelope, events)
    envelope.fill_from_headers(headers, events)
    raw = optional_text(answer, "stopReason") if envelope.intervened else text(answer, "stopReason")
    _stop(raw or "", stops, envelope, events)


def _whole_text(block: Json, _envelope: Envelope, _tools: ToolCalls, events: list[Event]) -> None:
    _say(text(block, "text"), events)


def _whole_tool_use(block: Json, envelope: Envelope, tools: ToolCalls, events: list[Event]) -> None:
    tool = record(block, "toolUse")
    if tool.get("type") == _SERVER_TOOL:
        envelope.unknown.add(f"content:{_SERVER_TOOL}")
        return
    tools.whole((text(tool, "toolUseId"), text(tool, "name")), tool.get("input"), events)


def _whole_reasoning(block: Json, envelope: Envelope, _tools: ToolCalls, events: list[Event]) -> None:
    content = record(block, "reasoningContent")
    for kind in content:
        if kind == "reasoningText":
            reasoning = record(content, kind)
            if said := optional_text(reasoning, "text"):
                events.append(ReasoningDelta(text=said))
            if signature := optional_text(reasoning, "signature"):
                events.append(ReasoningDelta(signature=signature))
        elif kind == "redactedContent":
            events.append(ReasoningDelta(redacted=text(content, kind)))
        else:
            envelope.unknown.add(f"content:reasoningContent.{kind}")


def _whole_citations(block: Json, envelope: Envelope, _tools: ToolCalls, events: list[Event]) -> None:
    content = record(block, "citationsContent")
    for piece in optional_records(content, "content"):
        if "text" in piece:
            _say(text(piece, "text"), events)
        else:
            envelope.unknown.update(f"content:citationsContent.{kind}" for kind in piece)
    events.extend(Citation(citation) for citation in optional_records(content, "citations"))


_WHOLE: dict[str, Callable[[Json, Envelope, ToolCalls, list[Event]], None]] = {
    "text": _whole_text,
    "toolUse": _whole_tool_use,
    "reasoningContent": _whole_reasoning,
    "citationsContent": _whole_citations,
}


# ── both ──────────────────────────────────────────────────────────────────────────────────────────────


def _say(said: str, events: list[Event]) -> None:
    if said:  # an empty delta before the end of a block is normal
        events.append(TextDelta(said))


def _count(answer: Json, envelope: Envelope, events: list[Event]) -> None:
    """Take `usage`. Nova names the cache counters `…Count`; Converse's wire has both names (recorded)."""
    told = optional_record(answer, "usage")
    if told is None:
        return
    counted = usage(told, _COUNTERS)
    if counted.cache_read_tokens is None and "cacheReadInputTokenCount" in told:
        counted = counted._replace(cache_read_tokens=count(told, "cacheReadInputTokenCount"))
    if counted.cache_write_tokens is None and "cacheWriteInputTokenCount" in told:
        counted = counted._replace(cache_write_tokens=count(told, "cacheWriteInputTokenCount"))
    envelope.count(counted, events)


def _stop(raw: str, stops: Mapping[str, FinishReason], envelope: Envelope, events: list[Event]) -> None:
    if envelope.intervened and not raw:  # a blocked answer need not say why the model stopped
        events.append(envelope.stop(FinishReason.CONTENT_FILTER, raw))
        return
    events.append(envelope.stop(finish_reason(stops, raw, envelope.unknown), raw))
