"""The JSON of Anthropic's Messages API, as far as the domain has words for it: shapes only, no meaning.

Strict: types are not coerced, unknown fields are refused. Fields that only models of Anthropic know are here
with the one value that changes nothing, so that a client that always sends them is served.
`anthropic_messages.py` gives these shapes their meaning; `anthropic_refusals.py` says first what no model on
Bedrock has. Lists stop at their first wrong item, as in `native_schema`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from gateway.dialects.limits import MAX_MODEL, MAX_TOKENS


class Shape(BaseModel):
    """A JSON object of this API."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _as_blocks(value: Any) -> Any:
    """A plain string is the short form of one text block."""
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _custom_unless_said(value: Any) -> Any:
    """A tool without a type is the caller's own."""
    if isinstance(value, dict) and value.get("type") is None:
        return {**value, "type": "custom"}
    return value


class CacheControl(Shape):
    """The prompt is to be cached up to here."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Cacheable(Shape):
    """A block behind which the cache may end."""

    cache_control: CacheControl | None = None


class TextBlock(Cacheable):
    """`{"type": "text", "text": …}`. `citations` may be there and empty."""

    type: Literal["text"]
    text: str
    citations: Annotated[list[Any], Field(max_length=0)] | None = None


class SpokenTextBlock(Cacheable):
    """What the model said in an earlier answer, handed back as it came; what it cited is not said again."""

    type: Literal["text"]
    text: str
    citations: list[Any] | None = None


class ImageSource(Shape):
    """A picture by its bytes."""

    type: Literal["base64"]
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: str


class ImageBlock(Cacheable):
    """A picture."""

    type: Literal["image"]
    source: ImageSource


class PdfSource(Shape):
    """A PDF by its bytes."""

    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: str


class PlainTextSource(Shape):
    """A document by its text."""

    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: Annotated[str, StringConstraints(min_length=1)]


class CitationsConfig(Shape):
    """Whether the model is to cite the document."""

    enabled: bool = False


class DocumentBlock(Cacheable):
    """A document."""

    type: Literal["document"]
    source: Annotated[PdfSource | PlainTextSource, Field(discriminator="type")]
    title: Annotated[str, StringConstraints(max_length=500)] | None = None
    context: str | None = None
    citations: CitationsConfig | None = None


class ThinkingBlock(Shape):
    """Reasoning of an earlier answer; of models that do not sign it the signature is empty."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(Shape):
    """Reasoning of an earlier answer that is not shown."""

    type: Literal["redacted_thinking"]
    data: Annotated[str, StringConstraints(min_length=1)]


ToolUseId = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.:-]{1,256}$")]


class ToolUseBlock(Cacheable):
    """A call that the assistant made in an earlier turn."""

    type: Literal["tool_use"]
    id: ToolUseId
    name: str
    input: dict[str, Any]


ResultContent = Annotated[
    list[Annotated[TextBlock | ImageBlock | DocumentBlock, Field(discriminator="type")]],
    Field(fail_fast=True),
    BeforeValidator(_as_blocks),
]


class ToolResultBlock(Cacheable):
    """The caller's answer to a call."""

    type: Literal["tool_result"]
    tool_use_id: ToolUseId
    content: Annotated[ResultContent, Field(default_factory=list)]
    is_error: bool | None = None


UserContent = Annotated[
    list[Annotated[TextBlock | ImageBlock | DocumentBlock | ToolResultBlock, Field(discriminator="type")]],
    Field(fail_fast=True, min_length=1),
    BeforeValidator(_as_blocks),
]
AssistantContent = Annotated[
    list[
        Annotated[
            SpokenTextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock,
            Field(discriminator="type"),
        ]
    ],
    Field(fail_fast=True, min_length=1),
    BeforeValidator(_as_blocks),
]
SystemContent = Annotated[list[TextBlock], Field(fail_fast=True), BeforeValidator(_as_blocks)]


class UserMessage(Shape):
    """What the user says, and what the tools returned."""

    role: Literal["user"]
    content: UserContent


class AssistantMessage(Shape):
    """What the model said in an earlier turn, or the beginning of what it is to say."""

    role: Literal["assistant"]
    content: AssistantContent


Message: TypeAlias = Annotated[UserMessage | AssistantMessage, Field(discriminator="role")]


class Tool(Cacheable):
    """A tool that the caller runs; `input_schema` is JSON Schema."""

    type: Literal["custom"]
    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None
    eager_input_streaming: Literal[False] | None = None
    defer_loading: Literal[False] | None = None
    allowed_callers: tuple[Literal["direct"]] | None = Field(default=None, strict=False)


class ToolChoice(Shape):
    """Whether and which tool is to be called; `name` belongs to `tool` alone."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingEnabled(Shape):
    """Think, within a budget of tokens."""

    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1024, le=MAX_TOKENS)]
    display: Literal["summarized"] | None = None


class ThinkingAdaptive(Shape):
    """Think as much as it takes."""

    type: Literal["adaptive"]
    display: Literal["summarized"] | None = None


class ThinkingDisabled(Shape):
    """Do not think."""

    type: Literal["disabled"]


Thinking: TypeAlias = Annotated[
    ThinkingEnabled | ThinkingAdaptive | ThinkingDisabled, Field(discriminator="type")
]


class JsonFormat(Shape):
    """The answer is to be JSON that fits a schema."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Shape):
    """How the answer is to be."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class Metadata(Shape):
    """About the request."""

    user_id: str | None = None


StopSequence = Annotated[str, StringConstraints(min_length=1)]


class Conversation(Shape):
    """What both routes take: the conversation and what the model may do with it."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=MAX_MODEL)]
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    system: Annotated[SystemContent, Field(default_factory=list)]
    tools: Annotated[
        list[Annotated[Tool, BeforeValidator(_custom_unless_said)]],
        Field(fail_fast=True, default_factory=list),
    ]
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    cache_control: CacheControl | None = None
    speed: Literal["standard"] | None = None


class MessagesBody(Conversation):
    """The body of `POST /v1/messages`."""

    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)]
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    stop_sequences: Annotated[list[StopSequence], Field(fail_fast=True, default_factory=list)]
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None


class CountBody(Conversation):
    """The body of `POST /v1/messages/count_tokens`."""


BodyT = TypeVar("BodyT", MessagesBody, CountBody)
