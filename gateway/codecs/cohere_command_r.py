"""Cohere Command R and R+ by InvokeModel: events by their type, tool calls whole and without ids.

The terminal event `stream-end` repeats the answer. Of that only tool calls are taken, and only where no event
of their own told of them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from gateway.codecs import cohere_command_r_request
from gateway.codecs.cohere_command import append_stop, is_finished
from gateway.codecs.invocation import Envelope, metadata_headers
from gateway.codecs.shapes import Json, load, malformed, optional_record, optional_records, text
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


class CohereCommandRExtractor:
    """Reads one streamed answer; the event that `is_finished` is its terminal one."""

    __slots__ = ("_answer", "_envelope", "_raw")

    def __init__(self) -> None:
        self._envelope = Envelope()
        self._answer = _Answer()
        self._raw: str | None = None

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of what this answer held and Command R is not known to say."""
        return self._envelope.unknown

    @property
    def finished(self) -> bool:
        """Whether the terminal event has been seen."""
        return self._raw is not None

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this chunk says."""
        chunk = self._envelope.open(event_type, payload, events)
        if chunk is None:
            return
        if self.finished:
            raise malformed("a chunk after the terminal one")
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


class CohereCommandRCodec:
    """Cohere Command R and R+."""

    name: Final = "cohere_command_r"

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        return cohere_command_r_request.body(request, model)

    def stop_is_native(self, model: Model) -> bool:  # noqa: ARG002 - the seam's signature
        """Return true: the body takes them."""
        return True

    def headers(self, request: CompletionRequest) -> dict[str, str]:
        """Return the request's metadata as Bedrock's header."""
        return metadata_headers(request)

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
