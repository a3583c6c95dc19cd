"""Cohere Command R and R+ by InvokeModel: events by their type, tool calls whole and without ids.

The terminal event `stream-end` repeats the answer. Of that only tool calls are taken, and only where no event
of their own told of them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from gateway.codecs import cohere_command_r_request
from gateway.codecs.cohere_command import append_stop, is_finished
from gateway.codecs.invocation import ChunkExtractor, Envelope, InvokedFamily
from gateway.codecs.shapes import Json, load, optional_record, optional_records, text
from gateway.codecs.tool_calls import ToolCalls
from gateway.domain import Citation, TextDelta
from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event


class _Answer:
    """What one answer has said so far; `called` tells whether it called tools."""

    __slots__ = ("_calls", "_tools")

    def __init__(self) -> None:
        self._calls = 0
        self._tools = ToolCalls()

    @property
    def called(self) -> bool:
        return self._calls > 0

    def begin(self, _chunk: Json, _events: list[Event]) -> None:
        """`stream-start` has nothing but an id; Bedrock may leave it out."""

    def text(self, chunk: Json, events: list[Event]) -> None:
        """Take the text of an event or an answer."""
        if said := text(chunk, "text"):
            events.append(TextDelta(said))

    def calls(self, chunk: Json, events: list[Event]) -> None:
        """Take tool calls, and number them, for they have no ids."""
        for call in optional_records(chunk, "tool_calls"):
            self._tools.whole((f"tooluse_{self._calls}", text(call, "name")), call.get("parameters"), events)
            self._calls += 1

    def citations(self, chunk: Json, events: list[Event]) -> None:
        """Take citations."""
        events.extend(Citation(citation) for citation in optional_records(chunk, "citations"))


_EVENTS: Final[Mapping[str, Callable[[_Answer, Json, list[Event]], None]]] = MappingProxyType(
    {
        "stream-start": _Answer.begin,
        "text-generation": _Answer.text,
        "tool-calls-generation": _Answer.calls,
        "citation-generation": _Answer.citations,
    }
)


class CohereCommandRExtractor(ChunkExtractor):
    """Reads one streamed answer; the event that `is_finished` is its terminal one."""

    __slots__ = ("_answer",)

    def __init__(self) -> None:
        super().__init__()
        self._answer = _Answer()

    def _read(self, chunk: Json, events: list[Event]) -> None:
        if is_finished(chunk):
            if not self._answer.called:
                self._answer.calls(optional_record(chunk, "response") or {}, events)
            self._raw = text(chunk, "finish_reason")
            return
        name = text(chunk, "event_type")
        handle = _EVENTS.get(name)
        if handle is None:
            self._envelope.unknown.add(f"event:{name}")
        else:
            handle(self._answer, chunk, events)

    def close(self, events: list[Event]) -> None:
        """Append the stop, or raise `UpstreamProtocolError` if the answer is not whole."""
        if self._raw is None:
            raise UpstreamProtocolError("the answer is truncated: it ended before its stream-end")
        append_stop(self._raw, self._envelope, events, called=self._answer.called)


class CohereCommandRCodec(InvokedFamily):
    """Cohere Command R and R+."""

    name: Final = "cohere_command_r"

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        return cohere_command_r_request.body(request, model)

    def extractor(self) -> CohereCommandRExtractor:
        """Return a new extractor."""
        return CohereCommandRExtractor()

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of an InvokeModel answer; its counters are in the headers."""
        envelope = Envelope()
        answer = load(body)
        envelope.look(answer, events)
        said = _Answer()
        said.text(answer, events)
        said.calls(answer, events)
        said.citations(answer, events)
        envelope.fill_from_headers(headers, events)
        append_stop(text(answer, "finish_reason"), envelope, events, called=said.called)
        return envelope.unknown
