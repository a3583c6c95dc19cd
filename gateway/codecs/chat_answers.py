"""The answers of every family that speaks OpenAI's chat shape, streamed and whole.

A stream is chunks with one choice; the chunk with the reason of the stop is the terminal one. Behind it may
come what is no part of the answer: a chunk with no choice and the usage, a chunk with Bedrock's metrics
alone, the word `[DONE]` as a JSON string, a choice that says nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from gateway.codecs.invocation import Envelope, InvokedFamily
from gateway.codecs.shapes import (
    Json,
    count,
    load,
    malformed,
    optional_record,
    optional_records,
    optional_text,
    record,
    records,
    text,
)
from gateway.codecs.stops import finish_reason
from gateway.codecs.tagged_text import TaggedText
from gateway.codecs.tool_calls import ToolCalls
from gateway.domain import FinishReason, ReasoningDelta, TextDelta, Usage
from gateway.errors import UpstreamFailed, UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from gateway.domain import Event

STOP_REASONS: Mapping[str, FinishReason] = MappingProxyType(
    {
        "stop": FinishReason.STOP,
        "length": FinishReason.LENGTH,
        "model_length": FinishReason.LENGTH,  # Mistral: the context is full
        "tool_calls": FinishReason.TOOL_CALLS,
        "content_filter": FinishReason.CONTENT_FILTER,
    }
)
_DONE: Final = b'"[DONE]"'
_FAILED: Final = "error"  # Mistral's word
_SAID: Final = ("content", "reasoning_content", "reasoning", "tool_calls", "refusal")
_KNOWN: Final = frozenset({*_SAID, "role"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatWords:
    """Where a family's answers differ: the names of a choice's fields, the first that is there counts.

    `tags` are those between which the model writes its reasoning into its text.
    """

    stops: tuple[str, ...] = ("finish_reason",)
    deltas: tuple[str, ...] = ("delta",)
    tags: tuple[str, str] | None = None


class ChatExtractor:
    """Reads one streamed answer."""

    __slots__ = ("_answer", "_envelope", "_words")

    usual: Final = None

    def __init__(self, words: ChatWords) -> None:
        self._words = words
        self._envelope = Envelope()
        self._answer = _Answer(self._envelope, words)

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of what this answer held and the shape is not known to say."""
        return self._envelope.unknown

    @property
    def finished(self) -> bool:
        """Whether the reason of the stop has been seen."""
        return self._answer.raw is not None

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this chunk says."""
        if payload == _DONE and self.finished:
            return
        chunk = self._envelope.open(event_type, payload, events)
        if chunk is None:
            return
        for choice in _choices(chunk):
            self._choice(choice, events)
        if "usage" in chunk:
            _count(chunk, self._envelope, events)

    def close(self, events: list[Event]) -> None:
        """Append the stop, or raise `UpstreamProtocolError` if the answer is not whole."""
        if not self.finished:
            raise UpstreamProtocolError("the answer is truncated: it ended before its finish_reason")
        self._answer.stop(events)

    def _choice(self, choice: Json, events: list[Event]) -> None:
        delta = None
        for name in self._words.deltas:
            delta = delta or optional_record(choice, name)
        raw = _raw(choice, self._words)
        if self.finished:
            if raw not in {None, self._answer.raw} or any((delta or {}).get(kind) for kind in _SAID):
                raise malformed("it goes on after its finish_reason")
            return
        if delta:
            self._answer.say(delta, events)
        if raw is not None:
            self._answer.end(raw, events)


def read_chat(
    body: bytes, headers: Mapping[str, str], words: ChatWords, events: list[Event]
) -> AbstractSet[str]:
    """Append the events of a whole answer and return what was unknown in it; see `Codec.read`.

    Raises:
        UpstreamProtocolError: it is malformed.
        UpstreamFailed: it says that the model failed.
    """
    envelope = Envelope()
    answer = _Answer(envelope, words)
    body_json = load(body)
    envelope.look(body_json, events)
    choices = _choices(body_json)
    if not choices:
        raise malformed("there is no choice")
    answer.say(record(choices[0], "message"), events)
    raw = _raw(choices[0], words)
    if raw is None and not envelope.intervened:
        raise malformed("there is no finish_reason")
    answer.end(raw or "", events)
    _count(body_json, envelope, events)
    envelope.fill_from_headers(headers, events)
    answer.stop(events)
    return envelope.unknown


class _Answer:
    """What one answer has said so far. `raw` is the reason of its stop, None before it."""

    __slots__ = ("_envelope", "_ids", "_refused", "_tagged", "_tools", "raw")

    def __init__(self, envelope: Envelope, words: ChatWords) -> None:
        self.raw: str | None = None
        self._envelope = envelope
        self._tagged = TaggedText(*words.tags) if words.tags else None
        self._tools = ToolCalls()
        self._ids: dict[int, str] = {}
        self._refused = False

    def say(self, delta: Json, events: list[Event]) -> None:
        """Take what a delta, or a whole message, says."""
        said = delta.get("content")
        if len(delta) > 1 or said is None:
            self._say_the_rest(delta, events)
        if said is not None:
            self._text(text(delta, "content"), events)
        if delta.get("tool_calls"):
            for position, call in enumerate(records(delta, "tool_calls")):
                self._tool_call(position, call, events)

    def end(self, raw: str, events: list[Event]) -> None:
        """The model has stopped for the reason `raw`."""
        if self._tagged is not None:
            self._tagged.finish(events)
        self._tools.end_all(events)
        self.raw = raw

    def stop(self, events: list[Event]) -> None:
        """Append how the answer ended.

        A model that refuses says so in a field of its own and stops as ever.
        """
        raw = self.raw or ""
        if raw == _FAILED:
            raise UpstreamFailed("the model failed", upstream_code=raw)
        reason = finish_reason(STOP_REASONS, raw, self._envelope.unknown) if raw else FinishReason.STOP
        if reason is FinishReason.STOP and self._refused:
            reason = FinishReason.REFUSAL
        events.append(self._envelope.stop(reason, raw))

    def _say_the_rest(self, delta: Json, events: list[Event]) -> None:
        """Take reasoning, which comes before the text, and a refusal; name what is unknown."""
        reasoning = optional_text(delta, "reasoning_content") or optional_text(delta, "reasoning")
        if reasoning:
            events.append(ReasoningDelta(text=reasoning))
        if refusal := optional_text(delta, "refusal"):
            self._refused = True
            events.append(TextDelta(refusal))
        for kind, value in delta.items():
            if kind not in _KNOWN and value:
                self._envelope.unknown.add(f"delta:{kind}")

    def _text(self, said: str, events: list[Event]) -> None:
        if self._tagged is not None:
            self._tagged.feed(said, events)
        elif said:
            events.append(TextDelta(said))

    def _tool_call(self, position: int, call: Json, events: list[Event]) -> None:
        """Take a call, or the next piece of one.

        A new id begins a new call, whatever its number: some servers number every call 0. A call without a
        number is whole; it stands at its place in the message, and has a number of its own here.
        """
        number = count(call, "index")
        block = position if number is None else number
        call_id = optional_text(call, "id")
        function = optional_record(call, "function") or {}
        if call_id and self._ids.get(block) != call_id:
            self._tools.end(block, events)
            self._tools.begin(block, (call_id, text(function, "name")), events)
            self._ids[block] = call_id
        if block not in self._ids:
            raise malformed("a tool call has no id")
        self._tools.arguments(block, optional_text(function, "arguments") or "", events)


def _choices(answer: Json) -> list[Json]:
    """Return the choices, of which there is at most one: the gateway never asks for more.

    Raises:
        UpstreamFailed: the answer is an error object.
    """
    if "choices" not in answer:
        _refuse_errors(answer)
    choices = optional_records(answer, "choices") if answer.get("usage") else records(answer, "choices")
    if len(choices) > 1 or (choices and count(choices[0], "index")):
        raise malformed("it has more than one choice")
    return choices


def _refuse_errors(answer: Json) -> None:
    """Raise if the answer is an error object. Only its type is kept: its words may quote the prompt."""
    error = answer.get("error")
    if error:
        kind = error.get("type") if isinstance(error, dict) else None
        raise UpstreamFailed("the model failed", upstream_code=kind if isinstance(kind, str) else None)


def _raw(choice: Json, words: ChatWords) -> str | None:
    for name in words.stops:
        raw = optional_text(choice, name)
        if raw:
            return raw
    return None


def _count(answer: Json, envelope: Envelope, events: list[Event]) -> None:
    """Take `usage`; its `prompt_tokens` include those that came out of a cache."""
    usage = optional_record(answer, "usage")
    if usage is None:
        return
    prompt = count(usage, "prompt_tokens")
    details = optional_record(usage, "prompt_tokens_details") or {}
    cached = count(details, "cached_tokens")
    if cached and prompt is not None:
        prompt = max(prompt - cached, 0)
    envelope.count(
        Usage(input_tokens=prompt, output_tokens=count(usage, "completion_tokens"), cache_read_tokens=cached),
        events,
    )


class ChatFamily(InvokedFamily):
    """The answering half of a codec for an OpenAI-shaped family; `words` are what its answers differ in."""

    words: ChatWords

    def extractor(self) -> ChatExtractor:
        """Return a new extractor."""
        return ChatExtractor(self.words)

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of an InvokeModel answer."""
        return read_chat(body, headers, self.words, events)
