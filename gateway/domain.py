"""What callers ask and what models answer, in the gateway's own words.

Every value here is frozen and valid by existence: dialects build requests after they checked them, codecs
build events after they decoded them, and nothing in between needs to look twice. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Role: TypeAlias = Literal["user", "assistant"]
ImageFormat: TypeAlias = Literal["png", "jpeg", "gif", "webp"]
JsonObject: TypeAlias = "Mapping[str, Any]"


# ── what a caller asks ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text of a message."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image given by its bytes; the gateway never fetches one."""

    format: ImageFormat
    data: bytes


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """Reasoning that a model gave in an earlier turn, handed back as it came.

    Either `text` with the model's `signature`, or `redacted`: the opaque base64 text of a redacted block.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


@dataclass(frozen=True, slots=True)
class ToolUsePart:
    """A tool call that the assistant made in an earlier turn."""

    id: str
    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class ToolResultPart:
    """The caller's answer to the tool call `tool_use_id`."""

    tool_use_id: str
    content: tuple[TextPart | ImagePart, ...]
    is_error: bool = False


Part: TypeAlias = TextPart | ImagePart | ReasoningPart | ToolUsePart | ToolResultPart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. System text is not a turn: it is `CompletionRequest.system`."""

    role: Role
    content: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask the caller to run; `input_schema` is JSON Schema."""

    name: str
    description: str | None
    input_schema: JsonObject


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`auto`: the model decides; `any`: some tool; `tool`: the tool called `name`; `none`: no tool."""

    mode: Literal["auto", "any", "tool", "none"]
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One question to one model. `None` and the empty tuple mean: the caller said nothing about it."""

    model: str
    messages: tuple[Message, ...]
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    provider: str | None = None
    """Callers of the earlier system name the provider beside the model; it must agree with the model."""


# ── what a model answers ──────────────────────────────────────────────────────────────────────────────


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
        if self is UNTOLD:
            return later
        asked, said, read, written = later
        return Usage(
            self.input_tokens if asked is None else asked,
            self.output_tokens if said is None else said,
            self.cache_read_tokens if read is None else read,
            self.cache_write_tokens if written is None else written,
        )


UNTOLD = Usage()
"""What is known before anything was told."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The model ended its answer: the last event, told when nothing can come behind it any more."""

    reason: FinishReason
    raw: str


Event: TypeAlias = TextDelta | ReasoningDelta | ToolCall | ToolCallDelta | Citation | Usage | Stop


# ── embeddings ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class EmbeddingInput:
    """One thing to embed: a text, an image, or both where the model joins them."""

    text: str | None = None
    image: ImagePart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """Things to embed with one model. None means: the caller said nothing about it.

    `input_type` says what the vectors are for (`search_document`, `search_query`, `classification`,
    `clustering`, or a model's own word); `truncate` is `none`, `start` or `end`.
    """

    model: str
    inputs: tuple[EmbeddingInput, ...]
    dimensions: int | None = None
    normalize: bool | None = None
    input_type: str | None = None
    truncate: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of one call, in the order of its inputs, and the tokens that Bedrock counted for it."""

    vectors: list[list[float]]
    input_tokens: int | None
    request_id: str | None = None
