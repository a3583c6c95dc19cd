"""AI21's Jurassic-2 by InvokeModel: a completion model that answers in one piece.

It has no streaming operation, so the catalogue has it served by the unary one, and its answer becomes one
text delta. The extractor is here because every family has one: it reads the whole answer out of one chunk,
which is all that a stream of it could be. An operator who forces streaming gets Bedrock's refusal.

`User: …` and `Assistant: …` is the transcript of a conversation; the model itself knows no roles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.invocation import ChunkExtractor, Envelope, InvokedFamily
from gateway.codecs.output_limits import HIGHEST
from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences
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
_MAX_TOKENS: Final = HIGHEST["jurassic"]


class JurassicExtractor(ChunkExtractor):
    """Reads an answer out of the one chunk that holds it; see the module."""

    __slots__ = ()

    def _read(self, chunk: Json, events: list[Event]) -> None:
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


class JurassicCodec(InvokedFamily):
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
        return invoked(body, request)

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
