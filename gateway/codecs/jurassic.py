"""AI21's Jurassic-2 by InvokeModel: a completion model that answers in one piece.

It has no streaming operation, so the catalogue has it served by the unary one, and its answer becomes one
text delta. The extractor is here because every family has one: it reads the whole answer out of one chunk,
which is all that a stream of it could be. An operator who forces streaming gets Bedrock's refusal.

`User: …` and `Assistant: …` is the transcript of a conversation; the model itself knows no roles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.invocation import Envelope, metadata_headers
from gateway.codecs.parameters import encode, max_tokens, sampling, stop_sequences
from gateway.codecs.shapes import Json, load, malformed, record, records, text
from gateway.codecs.stops import finish_reason
from gateway.codecs.transcripts import Transcripts
from gateway.domain import FinishReason, TextDelta
from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event

STOP_REASONS: Final = {
    "endoftext": FinishReason.STOP,
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
}
_TRANSCRIPTS: Final = Transcripts("Jurassic-2", assistant="Assistant")
_MAX_TOKENS: Final = 8191


class JurassicExtractor:
    """Reads an answer out of the one chunk that holds it; see the module."""

    __slots__ = ("_envelope", "_raw")

    def __init__(self) -> None:
        self._envelope = Envelope()
        self._raw: str | None = None

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of what this answer held and Jurassic-2 is not known to say."""
        return self._envelope.unknown

    @property
    def finished(self) -> bool:
        """Whether the answer has been seen."""
        return self._raw is not None

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this chunk says."""
        chunk = self._envelope.open(event_type, payload, events)
        if chunk is None:
            return
        if self.finished:
            raise malformed("a chunk after the terminal one")
        self._raw = _say(chunk, events)

    def close(self, events: list[Event]) -> None:
        """Append the stop, or raise `UpstreamProtocolError` if there was no answer."""
        if self._raw is None:
            raise UpstreamProtocolError("the answer is truncated: it ended before its completion")
        _stop(self._raw, self._envelope, events)


def _say(answer: Json, events: list[Event]) -> str:
    """Append the text and return the reason of the stop."""
    completions = records(answer, "completions")
    if len(completions) != 1:  # the gateway never asks for more
        raise malformed("completions does not have exactly one element")
    if said := text(record(completions[0], "data"), "text"):
        events.append(TextDelta(said))
    return text(record(completions[0], "finishReason"), "reason")


def _stop(raw: str, envelope: Envelope, events: list[Event]) -> None:
    events.append(envelope.stop(finish_reason(STOP_REASONS, raw, envelope.unknown), raw))


class JurassicCodec:
    """AI21's Jurassic-2."""

    name: Final = "jurassic"

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        sampled = sampling(request, model, top_k=None)
        body: dict[str, Any] = {
            "prompt": _TRANSCRIPTS.prompt(request),
            "maxTokens": max_tokens(request, model, _MAX_TOKENS),
        }
        for name, wire_name in (("temperature", "temperature"), ("top_p", "topP")):
            if name in sampled:
                body[wire_name] = sampled[name]
        if request.stop:
            body["stopSequences"] = stop_sequences(request, self.name)
        return encode(body)

    def stop_is_native(self, model: Model) -> bool:  # noqa: ARG002 - the seam's signature
        """Return true: the body takes them."""
        return True

    def headers(self, request: CompletionRequest) -> dict[str, str]:
        """Return the request's metadata as Bedrock's header."""
        return metadata_headers(request)

    def extractor(self) -> JurassicExtractor:
        """Return a new extractor."""
        return JurassicExtractor()

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of an InvokeModel answer; its counters are in the headers."""
        envelope = Envelope()
        answer = load(body)
        envelope.look(answer, events)
        raw = _say(answer, events)
        envelope.fill_from_headers(headers, events)
        _stop(raw, envelope, events)
        return envelope.unknown
