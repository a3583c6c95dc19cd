"""Custom-imported models by InvokeModel, whatever was imported.

The request is OpenAI's chat shape. AWS documents it for every model that was imported after 11 November 2025
("Invoke your imported model", OpenAIChatCompletion): the server knows the model's template, we do not. One
that was imported earlier takes only a raw prompt, in a template that its ARN does not tell; Bedrock refuses
this body, and Converse, which knows the template, is the way to ask it.

The answer may have the shape of any server that has been seen behind an import, told by its first chunk:
OpenAI chat (`choices[].delta` or `.message`) or completion (`choices[].text`), Llama's `generation`, which
R1's distillates and Qwen 3 use too, Mistral's `outputs[].text`, and the bare `text` of Qwen 2. These four
come from other people's code, not from recordings. Reasoning is told apart where a chat answer begins
with `<think>`; a model whose own template opens the tag, such as R1's distillates, writes only the end of it
into its text, and there it stays.

Whether a server takes stop sequences depends on the model, so the gateway looks for them itself. Tools and
images depend on it too, and are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.codecs import llama, mistral
from gateway.codecs.chat_answers import STOP_REASONS, ChatExtractor, ChatWords, read_chat
from gateway.codecs.invocation import request_headers
from gateway.codecs.parameters import invoked, max_tokens, sampling
from gateway.codecs.prompts import spoken
from gateway.codecs.shapes import Json, count, load, optional_record, optional_records, optional_text, text
from gateway.codecs.text_answers import Said, TextExtractor, TextShape, only
from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event

_TEMPERATURE: Final = 2
_STOPS: Final = ("finish_reason", "stop_reason")
_CHAT: Final = ChatWords(stops=_STOPS, deltas=("delta", "message"), tags=("<think>", "</think>"))


# ── the shapes of an answer ───────────────────────────────────────────────────────────────────────────


def _look_at_completion(answer: Json) -> Said:
    usage = optional_record(answer, "usage") or {}
    counters = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    if usage and not optional_records(answer, "choices"):  # counted behind the last choice
        return Said("", None, *counters)
    choice = only(answer, "choices")
    return Said(optional_text(choice, "text") or "", _reason(choice), *counters)


def _look_at_bare_text(answer: Json) -> Said:
    counters = count(answer, "prompt_token_count"), count(answer, "generation_token_count")
    return Said(text(answer, "text"), _reason(answer), *counters)


def _reason(choice: Json) -> str | None:
    return next((raw for name in _STOPS if (raw := optional_text(choice, name))), None)


_SHAPES: Final = (
    ("generation", TextShape(llama.look, STOP_REASONS)),
    ("outputs", TextShape(mistral.look, STOP_REASONS)),
    ("text", TextShape(_look_at_bare_text, STOP_REASONS)),
)
"""By a key of the answer."""
_COMPLETION: Final = TextShape(_look_at_completion, STOP_REASONS)


def _shape(answer: Json) -> TextShape | None:
    """Return the shape of an answer by its first chunk, None for chat's."""
    choices = answer.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict) and "text" in choices[0]:
        return _COMPLETION
    return next((shape for key, shape in _SHAPES if key in answer), None)


class ImportedExtractor:
    """Reads one streamed answer as its first chunk tells."""

    __slots__ = ("_extractor", "_unknown")

    usual: Final = None

    def __init__(self) -> None:
        self._extractor: ChatExtractor | TextExtractor | None = None
        self._unknown: set[str] = set()

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of what this answer held and its shape is not known to say."""
        return self._unknown if self._extractor is None else self._unknown | self._extractor.unknown

    @property
    def finished(self) -> bool:
        """Whether the reason of the stop has been seen."""
        return self._extractor is not None and self._extractor.finished

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this chunk says."""
        if self._extractor is None:
            if event_type != "chunk":
                self._unknown.add(f"event:{event_type}")
                return
            if not payload:
                self._unknown.add("chunk:empty")
                return
            shape = _shape(load(payload))
            self._extractor = ChatExtractor(_CHAT) if shape is None else TextExtractor(shape)
        self._extractor.feed(event_type, payload, events)

    def close(self, events: list[Event]) -> None:
        """Append the stop, or raise `UpstreamProtocolError` if the answer is not whole."""
        if self._extractor is None:
            raise UpstreamProtocolError("the answer is truncated: there is nothing in it")
        self._extractor.close(events)


class ImportedCodec:
    """A custom-imported model."""

    name: Final = "imported"

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        messages: list[tuple[str, str]] = [("system", system)] if (system := request.system_text) else []
        messages += spoken(request, "An imported model")
        body: dict[str, Any] = {
            "messages": [{"role": role, "content": words} for role, words in messages],
            "max_tokens": max_tokens(request, model),
        }
        return invoked(body | dict(sampling(request, model, top_k=None, temperature=_TEMPERATURE)), request)

    def stop_is_native(self, model: Model) -> bool:  # noqa: ARG002 - the seam's signature
        """Return false: it depends on what was imported."""
        return False

    def headers(self, request: CompletionRequest) -> dict[str, str]:
        """Return guardrail, tier, latency and metadata as Bedrock's headers."""
        return request_headers(request)

    def extractor(self) -> ImportedExtractor:
        """Return a new extractor."""
        return ImportedExtractor()

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of an InvokeModel answer."""
        shape = _shape(load(body))
        if shape is None:
            return read_chat(body, headers, _CHAT, events)
        return TextExtractor(shape).read(body, headers, events)
