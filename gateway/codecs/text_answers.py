"""The answers of the families that continue a text: chunks of one shape, and whole answers of the same.

The terminal chunk is the one with a reason of the stop. Behind it nothing but counters may come. Where a
guardrail blocked the input there may be no reason, as recorded with Titan: then it is the chunk with the
guardrail's trace, which only the last one has.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from gateway.codecs.invocation import OURS, Envelope, request_headers
from gateway.codecs.shapes import Json, load, malformed, records
from gateway.codecs.stops import finish_reason
from gateway.codecs.tagged_text import TaggedText
from gateway.domain import FinishReason, TextDelta, Usage
from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event


_TRACE: Final = f"{OURS}trace"


class Said(NamedTuple):
    """What one chunk, or a whole answer, says. Counters are totals so far; `raw` is why the model stopped."""

    text: str
    raw: str | None
    input_tokens: int | None = None
    output_tokens: int | None = None


class TextShape(NamedTuple):
    """How a family says it.

    `look` reads a chunk; it raises where the chunk is malformed. `tags`: between them the model writes its
    reasoning into its text, and the prompt already ended with the first of them.
    """

    look: Callable[[Json], Said]
    stops: Mapping[str, FinishReason]
    tags: tuple[str, str] | None = None


class TextExtractor:
    """Reads one streamed answer.

    Counters that grow are told once, with the stop or where the stream breaks off: the last figure counts.
    """

    __slots__ = ("_counted", "_envelope", "_output", "_raw", "_shape", "_tagged", "finished")

    usual: Final = None

    def __init__(self, shape: TextShape) -> None:
        self.finished = False
        """Whether the terminal chunk has been seen."""
        self._shape = shape
        self._envelope = Envelope()
        self._tagged = TaggedText(*shape.tags, inside=True) if shape.tags else None
        self._counted = False  # whether the input has been told
        self._output: int | None = None
        self._raw: str | None = None

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of what this answer held and its family is not known to say."""
        return self._envelope.unknown

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this chunk says."""
        chunk = self._envelope.open(event_type, payload, events)
        if chunk is not None:
            self._take(chunk, events)
            if self._raw is not None or (self._envelope.intervened and _TRACE in chunk):
                self._end(events)

    def close(self, events: list[Event]) -> None:
        """Append the stop, or raise `UpstreamProtocolError` if the answer is not whole."""
        if not self.finished:
            self._tell_rest(events)
            raise UpstreamProtocolError("the answer is truncated: it ended before its stop_reason")
        self._stop(events)

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of a whole answer; see `Codec.read`."""
        answer = load(body)
        self._envelope.look(answer, events)
        self._take(answer, events)
        if self._raw is None and not self._envelope.intervened:
            raise malformed("there is no stop_reason")
        self._end(events)
        self._envelope.fill_from_headers(headers, events)
        self._stop(events)
        return self._envelope.unknown

    def _take(self, chunk: Json, events: list[Event]) -> None:
        said = self._shape.look(chunk)
        if self.finished and (said.text or said.raw not in {None, self._raw}):
            raise malformed("it goes on after its stop_reason")
        if self._tagged is not None:
            self._tagged.feed(said.text, events)
        elif said.text:
            events.append(TextDelta(said.text))
        if said.input_tokens is not None and not self._counted:
            self._counted = True
            self._envelope.count(Usage(input_tokens=said.input_tokens), events)
        if said.output_tokens is not None:
            self._output = said.output_tokens
        if said.raw is not None:
            self._raw = said.raw

    def _end(self, events: list[Event]) -> None:
        self.finished = True
        self._tell_rest(events)

    def _tell_rest(self, events: list[Event]) -> None:
        """The text is over, well or badly: tell what waited for that."""
        if self._tagged is not None:
            self._tagged.finish(events)
        if self._output is not None:
            self._envelope.count(Usage(output_tokens=self._output), events)
            self._output = None

    def _stop(self, events: list[Event]) -> None:
        if self._raw is None:  # a blocked answer need not say why the model stopped
            events.append(self._envelope.stop(FinishReason.CONTENT_FILTER, ""))
            return
        reason = finish_reason(self._shape.stops, self._raw, self._envelope.unknown)
        events.append(self._envelope.stop(reason, self._raw))


def only(parent: Json, key: str) -> Json:
    """Return the one object in the array at `key`: the gateway never asks for more than one answer."""
    choices = records(parent, key)
    if len(choices) != 1:
        raise malformed(f"{key} does not have exactly one element")
    return choices[0]


class TextFamily:
    """What the codecs of these families have in common: all but the request."""

    shape: ClassVar[TextShape]
    native_stop: ClassVar[bool] = True

    def stop_is_native(self, model: Model) -> bool:  # noqa: ARG002 - the seam's signature
        """Tell whether the family's body takes stop sequences."""
        return self.native_stop

    def headers(self, request: CompletionRequest) -> dict[str, str]:
        """Return guardrail, tier, latency and metadata as Bedrock's headers."""
        return request_headers(request)

    def extractor(self) -> TextExtractor:
        """Return a new extractor."""
        return TextExtractor(self.shape)

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of an InvokeModel answer."""
        return TextExtractor(self.shape).read(body, headers, events)


STOPS: Final = MappingProxyType({"stop": FinishReason.STOP, "length": FinishReason.LENGTH})
"""The words of Llama, Mistral and DeepSeek."""
