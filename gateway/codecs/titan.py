"""Amazon Titan Text by InvokeModel: a completion model that takes one text and knows no turns.

`User: …` and `Bot: …` is its documented form of a conversation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.invocation import Envelope, InvokedFamily
from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences
from gateway.codecs.shapes import Json, count, load, malformed, optional_text, records, text
from gateway.codecs.transcripts import Transcripts
from gateway.domain import FinishReason, TextDelta, Usage
from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event

STOP_REASONS: Final = (
    ("FINISH", FinishReason.STOP),  # the wire says FINISH, the documentation FINISHED
    ("STOP_CRITERIA_MET", FinishReason.STOP),
    ("RAG_QUERY_WHEN_RAG_DISABLED", FinishReason.STOP),
    ("LENGTH", FinishReason.LENGTH),
    ("CONTENT_FILTERED", FinishReason.CONTENT_FILTER),
)
"""By prefix."""

_TRANSCRIPTS: Final = Transcripts("Titan Text", assistant="Bot")


# ── answering ─────────────────────────────────────────────────────────────────────────────────────────


class TitanExtractor:
    """Reads one streamed Titan answer.

    The terminal chunk has a `completionReason`; where a guardrail blocked the input there is none (recorded),
    then it is the chunk with the total count.
    """

    __slots__ = ("_envelope", "_raw", "finished")

    usual: Final = None

    def __init__(self) -> None:
        self.finished = False
        self._envelope = Envelope()
        self._raw: str | None = None

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of what this answer held and Titan is not known to say."""
        return self._envelope.unknown

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this chunk says."""
        chunk = self._envelope.open(event_type, payload, events)
        if chunk is None:
            return
        if self.finished:
            raise malformed("a chunk after the terminal one")
        _say(chunk, events)
        usage = Usage(
            input_tokens=count(chunk, "inputTextTokenCount"),
            output_tokens=count(chunk, "totalOutputTextTokenCount"),
        )
        self._envelope.count(usage, events)
        self._raw = optional_text(chunk, "completionReason")
        blocked = self._envelope.intervened and usage.output_tokens is not None
        self.finished = self._raw is not None or blocked

    def close(self, events: list[Event]) -> None:
        """Append the stop, or raise `UpstreamProtocolError` if the answer is not whole."""
        if not self.finished:
            raise UpstreamProtocolError("the answer is truncated: it ended before its completionReason")
        _stop(self._raw, self._envelope, events)


def _say(chunk: Json, events: list[Event]) -> None:
    if said := text(chunk, "outputText"):
        events.append(TextDelta(said))


def _stop(raw: str | None, envelope: Envelope, events: list[Event]) -> None:
    reason = next((reason for prefix, reason in STOP_REASONS if (raw or "").startswith(prefix)), None)
    if reason is None and raw is not None:
        envelope.unknown.add(f"stop_reason:{raw}")
    events.append(envelope.stop(reason or FinishReason.STOP, raw or ""))


class TitanCodec(InvokedFamily):
    """Amazon Titan Text."""

    name: Final = "titan"

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        prompt = _TRANSCRIPTS.prompt(request)
        sampled = sampling(request, model, top_k=None)
        config: dict[str, Any] = {"maxTokenCount": max_tokens(request, model)}
        for name, wire_name in (("temperature", "temperature"), ("top_p", "topP")):
            if name in sampled:
                config[wire_name] = sampled[name]
        if request.stop:
            config["stopSequences"] = stop_sequences(request, "titan")
        return invoked({"inputText": prompt, "textGenerationConfig": config}, request)

    def extractor(self) -> TitanExtractor:
        """Return a new extractor."""
        return TitanExtractor()

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of an InvokeModel answer."""
        envelope = Envelope()
        answer = load(body)
        envelope.look(answer, events)
        results = records(answer, "results")
        if len(results) != 1:  # Titan has no parameter to ask for more
            raise malformed("results does not have exactly one element")
        result = results[0]
        _say(result, events)
        usage = Usage(
            input_tokens=count(answer, "inputTextTokenCount"), output_tokens=count(result, "tokenCount")
        )
        envelope.count(usage, events)
        envelope.fill_from_headers(headers, events)
        read_reason = optional_text if envelope.intervened else text
        _stop(read_reason(result, "completionReason"), envelope, events)
        return envelope.unknown
