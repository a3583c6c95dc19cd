"""Cohere Command and Command Light by InvokeModel: completion models that take one text.

`User: …` and `Chatbot: …` is the transcript of a conversation. The body itself must say whether the answer is
to be streamed. Names of Cohere's special tokens in a caller's text get a space behind their first character,
which leaves them readable and takes their power: `<EOS_TOKEN>` would end the prompt. The one at the end of an
answer is the model's sign that it is done, no part of the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.invocation import ChunkExtractor, Envelope, InvokedFamily
from gateway.codecs.output_limits import HIGHEST
from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences
from gateway.codecs.prompts import BARRED, token_breaker
from gateway.codecs.shapes import Json, load, malformed, optional_text, records, text
from gateway.codecs.stops import finish_reason
from gateway.codecs.transcripts import Transcripts
from gateway.domain import FinishReason, TextDelta
from gateway.errors import UpstreamFailed, UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event

STOP_REASONS: Final = {
    "COMPLETE": FinishReason.STOP,
    "STOP_SEQUENCE": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "ERROR_LIMIT": FinishReason.LENGTH,  # the context is full
    "ERROR_TOXIC": FinishReason.CONTENT_FILTER,
}
FAILED: Final = "ERROR"

_TRANSCRIPTS: Final = Transcripts("Cohere Command", assistant="Chatbot")
_END: Final = "<EOS_TOKEN>"
_broken: Final = token_breaker(BARRED, r"<(?=(?i:[A-Z_]{1,40}_TOKEN)>)")
_MAX_TOKENS: Final = HIGHEST["cohere_command"]
_TEMPERATURE: Final = 5
_TOP_K: Final = 500
_NAMES: Final = {"temperature": "temperature", "top_p": "p", "top_k": "k"}


class CohereCommandExtractor(ChunkExtractor):
    """Reads one streamed answer; the chunk that `is_finished` is its terminal one."""

    __slots__ = ()

    def _read(self, chunk: Json, events: list[Event]) -> None:
        over = is_finished(chunk)
        _say(optional_text(chunk, "text") if over else text(chunk, "text"), events)
        if over:
            self._raw = text(chunk, "finish_reason")

    def close(self, events: list[Event]) -> None:
        """Append the stop, or raise `UpstreamProtocolError` if the answer is not whole."""
        if self._raw is None:
            raise UpstreamProtocolError("the answer is truncated: it ended before it is_finished")
        append_stop(self._raw, self._envelope, events)


def is_finished(chunk: Json) -> bool:
    """Return whether a chunk says that it is the terminal one."""
    over = chunk.get("is_finished")
    if type(over) is not bool:
        raise malformed("is_finished is neither true nor false")
    return over


def append_stop(raw: str, envelope: Envelope, events: list[Event], *, called: bool = False) -> None:
    """Append how the answer ended; `called`: with tool calls, for which Cohere has no word of its own.

    Raises:
        UpstreamFailed: the model failed.
    """
    if raw == FAILED:
        raise UpstreamFailed("the model failed", upstream_code=raw)
    reason = finish_reason(STOP_REASONS, raw, envelope.unknown)
    if called and reason is FinishReason.STOP:
        reason = FinishReason.TOOL_CALLS
    events.append(envelope.stop(reason, raw))


def sampled(request: CompletionRequest, model: Model, **ranges: Any) -> dict[str, float | int]:
    """Return the sampling parameters by Cohere's names."""
    given = sampling(request, model, top_k=_TOP_K, **ranges)
    return {_NAMES[name]: value for name, value in given.items()}


def _say(said: str | None, events: list[Event]) -> None:
    if said := (said or "").removesuffix(_END):
        events.append(TextDelta(said))


class CohereCommandCodec(InvokedFamily):
    """Cohere Command and Command Light."""

    name: Final = "cohere_command"

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body; it says by itself whether the answer is to be streamed."""
        body: dict[str, Any] = {
            "prompt": _broken(_TRANSCRIPTS.prompt(request)),
            "max_tokens": max_tokens(request, model, _MAX_TOKENS),
            **sampled(request, model, temperature=_TEMPERATURE),
        }
        if request.stop:
            body["stop_sequences"] = stop_sequences(request, self.name)
        if model.streaming:
            body["stream"] = True
        return invoked(body, request)

    def extractor(self) -> CohereCommandExtractor:
        """Return a new extractor."""
        return CohereCommandExtractor()

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of an InvokeModel answer; its counters are in the headers."""
        envelope = Envelope()
        answer = load(body)
        envelope.look(answer, events)
        generations = records(answer, "generations")
        if len(generations) != 1:  # the gateway never asks for more
            raise malformed("generations does not have exactly one element")
        _say(text(generations[0], "text"), events)
        envelope.fill_from_headers(headers, events)
        append_stop(text(generations[0], "finish_reason"), envelope, events)
        return envelope.unknown
