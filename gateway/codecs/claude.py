"""Anthropic Claude by InvokeModel: the Messages API inside Bedrock's envelope.

The model's name is in the URL and streaming is chosen by the operation, so neither is in the body (see
`claude_request`). Sources: AWS's page "Anthropic Claude Messages API" and recorded answers of Claude 2
to 3.5.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, NoReturn

from gateway.codecs import claude_request
from gateway.codecs.claude_blocks import ClaudeBlocks
from gateway.codecs.invocation import Envelope, InvokedFamily
from gateway.codecs.protocol import UsualDelta
from gateway.codecs.shapes import (
    Json,
    index,
    load,
    malformed,
    optional_text,
    record,
    records,
    text,
    usage,
)
from gateway.codecs.stops import finish_reason
from gateway.domain import FinishReason, ReasoningDelta, TextDelta
from gateway.errors import (
    GatewayError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamThrottled,
    UpstreamTimeout,
    UpstreamUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event

STOP_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "pause_turn": FinishReason.STOP,
    "tool_use": FinishReason.TOOL_CALLS,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.REFUSAL,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
}

ERRORS: Mapping[str, type[GatewayError]] = MappingProxyType(
    {
        "overloaded_error": UpstreamUnavailable,  # Anthropic's 529: no capacity, whoever asks
        "rate_limit_error": UpstreamThrottled,
        "timeout_error": UpstreamTimeout,
    }
)
"""What an `error` in the answer becomes; every other type is UpstreamFailed."""

_COUNTERS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)

_DELTAS: Mapping[str, tuple[bytes, Callable[[str], Event]]] = MappingProxyType(
    {
        "text": (b'{"type":"text_delta","text":"', TextDelta),
        "thinking": (b'{"type":"thinking_delta","thinking":"', ReasoningDelta),
    }
)
"""How the usual delta of a block begins, by the block's type."""


class _State(Enum):
    WAITING = auto()  # for message_start
    OPEN = auto()
    ENDED = auto()  # message_stop seen


_WAITING, _OPEN, _ENDED = _State  # looking up an enum's member costs as much as a small call


class ClaudeExtractor:
    """Reads one streamed Claude answer; `message_stop` is its terminal event.

    The stop is told at the end, not when `message_delta` gives the reason: a guardrail's verdict may come
    with the last chunk.
    """

    __slots__ = ("_envelope", "_made", "_raw", "_state", "finished", "unknown", "usual")

    def __init__(self) -> None:
        self._envelope = Envelope()
        self._made: ClaudeBlocks | None = None
        self._state = _WAITING
        self._raw: str | None = None
        self.finished = False
        """Whether `message_stop` has been seen."""
        self.unknown: AbstractSet[str] = self._envelope.unknown
        """Names of what this answer held and Claude is not known to say."""
        self.usual: UsualDelta | None = None
        """The delta of the block that began last, until a block ends."""

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this chunk says."""
        if len(payload) <= _LONGEST and payload in _PLAIN and self._state is _OPEN and event_type == "chunk":
            number, self.usual = _PLAIN[payload]
            if self.usual is None and self._made is not None:
                self._made.tools.end(number, events)
            return
        chunk = self._envelope.open(event_type, payload, events)
        if chunk is None:
            return
        kind = chunk.get("type")
        if type(kind) is not str:
            raise malformed("type is not text")
        handle = self._CHUNKS.get(kind)
        if handle is None:  # Anthropic may add one, at any place
            self._envelope.unknown.add(f"event:{kind}")
            return
        if self._state is _ENDED:
            raise malformed("a chunk after the terminal message_stop")
        handle(self, chunk, events)

    def close(self, events: list[Event]) -> None:
        """Append the stop, or raise `UpstreamProtocolError` if the answer is not whole."""
        if self._state is not _ENDED:
            raise UpstreamProtocolError("the answer is truncated: it ended before message_stop")
        _stop(self._raw, self._envelope, events)

    @property
    def _blocks(self) -> ClaudeBlocks:
        """The blocks of the answer: of one that is nothing but plain text they are never asked for."""
        if self._made is None:
            self._made = ClaudeBlocks(self._envelope.unknown)
        return self._made

    def _message_start(self, chunk: Json, events: list[Event]) -> None:
        if self._state is not _WAITING:
            raise malformed("message_start out of order")
        self._state = _OPEN
        _count(record(chunk, "message"), self._envelope, events)

    def _block_start(self, chunk: Json, events: list[Event]) -> None:
        if self._state is not _OPEN:
            raise malformed("content_block_start out of order")
        number, block = index(chunk, "index"), record(chunk, "content_block")
        self._blocks.begin(number, block, events)
        self.usual = _usual_delta(text(block, "type"), number)

    def _block_delta(self, chunk: Json, events: list[Event]) -> None:
        if self._state is not _OPEN:
            raise malformed("content_block_delta out of order")
        self._blocks.delta(chunk, events)

    def _block_stop(self, chunk: Json, events: list[Event]) -> None:
        if self._state is not _OPEN:
            raise malformed("content_block_stop out of order")
        self.usual = None
        self._blocks.tools.end(index(chunk, "index"), events)

    def _message_delta(self, chunk: Json, events: list[Event]) -> None:
        if self._state is not _OPEN:
            raise malformed("message_delta out of order")
        self._raw = optional_text(record(chunk, "delta"), "stop_reason") or self._raw
        _count(chunk, self._envelope, events)

    def _message_stop(self, _chunk: Json, events: list[Event]) -> None:
        if self._state is not _OPEN:
            raise malformed("message_stop out of order")
        self._state, self.usual, self.finished = _ENDED, None, True
        if self._made is not None:
            self._made.tools.end_all(events)

    def _ping(self, _chunk: Json, _events: list[Event]) -> None:
        """A sign of life, and nothing else."""

    def _error(self, chunk: Json, _events: list[Event]) -> None:
        _fail(chunk)

    _CHUNKS: ClassVar[dict[str, Callable[[ClaudeExtractor, Json, list[Event]], None]]] = {
        "content_block_delta": _block_delta,
        "content_block_start": _block_start,
        "content_block_stop": _block_stop,
        "message_start": _message_start,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
        "ping": _ping,
        "error": _error,
    }


@lru_cache(maxsize=64)
def _usual_delta(block: str, number: int) -> UsualDelta | None:
    if block not in _DELTAS:
        return None
    delta, make = _DELTAS[block]
    before = b'{"type":"content_block_delta","index":%d,"delta":%b' % (number, delta)
    return UsualDelta("chunk", before, b'"}}', make)


_TEXT = b'{"type":"content_block_start","index":%d,"content_block":{"type":"text","text":""}}'
_END = b'{"type":"content_block_stop","index":%d}'
_PLAIN: Final[dict[bytes, tuple[int, UsualDelta | None]]] = {
    **{_TEXT % number: (number, _usual_delta("text", number)) for number in range(8)},
    **{_END % number: (number, None) for number in range(8)},
}
"""How a text begins, with the delta to expect, and how a block ends: the same in every answer."""
_LONGEST: Final = max(map(len, _PLAIN))


def _count(parent: Json, envelope: Envelope, events: list[Event]) -> None:
    """Take `usage` where it is: `input_tokens` leaves cached tokens out, output is cumulative."""
    if parent.get("usage") is None:
        return
    envelope.count(usage(record(parent, "usage"), _COUNTERS), events)


def _stop(raw: str | None, envelope: Envelope, events: list[Event]) -> None:
    if raw is None and not envelope.intervened:
        raise malformed("it ends without a stop_reason")
    reason = FinishReason.STOP if raw is None else finish_reason(STOP_REASONS, raw, envelope.unknown)
    events.append(envelope.stop(reason, raw or ""))


def _fail(answer: Json) -> NoReturn:
    error = record(answer, "error")
    kind = text(error, "type")
    raise ERRORS.get(kind, UpstreamFailed)(
        "the model broke off with an error",
        upstream_code=kind,  # its words may quote the prompt
    )


class ClaudeCodec(InvokedFamily):
    """Claude's Messages API."""

    name: Final = "claude"

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        return claude_request.body(request, model)

    def extractor(self) -> ClaudeExtractor:
        """Return a new extractor."""
        return ClaudeExtractor()

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of an InvokeModel answer."""
        envelope = Envelope()
        answer = load(body)
        if answer.get("type") == "error":
            _fail(answer)
        envelope.look(answer, events)
        blocks = ClaudeBlocks(envelope.unknown)
        for number, block in enumerate(records(answer, "content")):
            blocks.begin(number, block, events)
            blocks.tools.end(number, events)
        _count(answer, envelope, events)
        envelope.fill_from_headers(headers, events)
        _stop(optional_text(answer, "stop_reason"), envelope, events)
        return envelope.unknown
