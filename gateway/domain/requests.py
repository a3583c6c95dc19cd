"""What callers ask. Every value is frozen and valid by existence: dialects build it after they checked it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Role: TypeAlias = Literal["user", "assistant"]
ImageFormat: TypeAlias = Literal["png", "jpeg", "gif", "webp"]
DocumentFormat: TypeAlias = Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"]
CacheTtl: TypeAlias = Literal["5m", "1h"]
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
ServiceTier: TypeAlias = Literal["default", "priority", "flex", "reserved"]
Latency: TypeAlias = Literal["standard", "optimized"]
JsonObject: TypeAlias = "Mapping[str, Any]"


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
class DocumentPart:
    """A document given by its bytes. `name` is what the model may call it.

    `citations`: the model is to cite it. `context` is what the caller tells of it, beside its content.
    """

    format: DocumentFormat
    data: bytes
    name: str
    citations: bool = False
    context: str | None = None


@dataclass(frozen=True, slots=True)
class CachePoint:
    """All that stands before it is to be kept in the model's prompt cache; None: for the model's own time."""

    ttl: CacheTtl | None = None


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
    content: tuple[TextPart | ImagePart | DocumentPart, ...]
    is_error: bool = False


Part: TypeAlias = (
    TextPart | ImagePart | DocumentPart | ReasoningPart | ToolUsePart | ToolResultPart | CachePoint
)
SystemPart: TypeAlias = TextPart | CachePoint


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. System text is not a turn: it is `CompletionRequest.system`."""

    role: Role
    content: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask the caller to run; `input_schema` is JSON Schema.

    `strict`: the arguments must fit the schema; None: the caller said nothing about it. `cache`: the point
    behind it, up to which the prompt is to be cached.
    """

    name: str
    description: str | None
    input_schema: JsonObject
    strict: bool | None = None
    cache: CachePoint | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`auto`: the model decides; `any`: some tool; `tool`: the tool called `name`; `none`: no tool."""

    mode: Literal["auto", "any", "tool", "none"]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How much the model is to think before it answers: exactly one of the two.

    `effort` is OpenAI's word, `none` for not at all; `budget_tokens` is how many tokens it may think.
    """

    effort: Effort | None = None
    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The answer's text is to be a JSON object that fits `schema` (JSON Schema); any where that is None."""

    schema: JsonObject | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A guardrail of Bedrock's to apply. `stream_mode` `sync` holds the text back until it is judged.

    Its trace is told by Bedrock's own API only, which is passed on: no event here has a place for it.
    """

    identifier: str
    version: str
    stream_mode: Literal["sync", "async"] | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Tokens of an answer where the caller names no limit: what its rules give it, and the most of theirs.

    The model's own maximum stands before the first, which is nobody's wish; `highest` None: there is none.
    """

    default: int
    highest: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One question to one model. `None` and the empty tuple mean: the caller said nothing about it."""

    model: str
    messages: tuple[Message, ...]
    system: tuple[SystemPart, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    response_format: ResponseFormat | None = None
    seed: int | None = None
    guardrail: Guardrail | None = None
    service_tier: ServiceTier | None = None
    latency: Latency | None = None
    betas: tuple[str, ...] = ()
    """Flags of Anthropic's, which switch on what a Claude model has in trial."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    provider: str | None = None
    """Callers of the earlier system name the provider beside the model; it must agree with the model."""
    allowance: Allowance | None = None
    """None: the caller has no rules about it."""

    @property
    def system_text(self) -> str | None:
        """The system text as one, for models that take no more than that; None where there is none."""
        if not self.system:
            return None
        return "\n\n".join([part.text for part in self.system if type(part) is TextPart])
