"""What models answer: events, built by codecs after they decoded them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from gateway.domain.requests import JsonObject

_new = tuple.__new__  # a NamedTuple's own constructor is Python, and takes thrice as long


class FinishReason(StrEnum):
    """Why a model stopped, normalised over the families; `Stop.raw` keeps the family's own word."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer's text; never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of the model's reasoning: exactly one of text, signature and redacted (base64)."""

    text: str | None = None
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model begins tool call number `index` (0, 1, … in the order of the answer)."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of the JSON text of the arguments of tool call `index`; never empty."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A citation that the model attached to its text, in the provider's own shape."""

    citation: JsonObject


class Usage(NamedTuple):
    """Token counters. The four are disjoint: cached tokens are never folded into `input_tokens`.

    As an event it carries what one payload said; `None` means that it said nothing about that counter.
    Later events override earlier ones counter by counter (see `merge`).

    A tuple, because a request makes and compares more than ten: at half of what a frozen dataclass costs.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None

    def merge(self, later: Usage) -> Usage:
        """Return the counters of `later` where it has them, else mine."""
        if self is UNTOLD or None not in later:
            return later
        asked, said, read, written = later
        mine = self
        told = (
            mine[0] if asked is None else asked,
            mine[1] if said is None else said,
            mine[2] if read is None else read,
            mine[3] if written is None else written,
        )
        return _new(Usage, told)


UNTOLD = Usage()
"""What is known before anything was told."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The model ended its answer: the last event, told when nothing can come behind it any more."""

    reason: FinishReason
    raw: str


class PassedOn(NamedTuple):
    """The next piece of an answer in the words of the API that the caller speaks: checked, not translated.

    Only the answers of calls that asked for it (`UpstreamCall.relay`) have it, in place of the deltas;
    `characters` is about how much the model says in it.
    """

    data: bytes
    characters: int


Event: TypeAlias = TextDelta | ReasoningDelta | ToolCall | ToolCallDelta | Citation | PassedOn | Usage | Stop
