"""The JSON of the native API, in the style of OpenAI chat: shapes only, no meaning.

Strict: types are not coerced, unknown fields are refused. `native.py` gives these shapes their meaning.
Lists stop at their first wrong item: a hostile body of 90,000 of them would hold the loop for half a second.
No default is a list, but made by a factory: pydantic copies what is there deeply, each time.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
)

from gateway.dialects.bedrock_headers import GUARDRAIL_ID, GUARDRAIL_VERSION
from gateway.dialects.limits import MAX_MODEL, MAX_TOKENS
from gateway.domain import CacheTtl, Effort, Latency, ServiceTier  # noqa: TC001 - pydantic asks


class Shape(BaseModel):
    """A JSON object of this API."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _as_parts(value: Any) -> Any:
    """A plain string is the short form of one text part."""
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _form_of_choice(value: Any) -> str:
    return "object" if isinstance(value, dict) else "word"


class TextPart(Shape):
    """`{"type": "text", "text": …}`."""

    type: Literal["text"]
    text: str


class ImageUrl(Shape):
    """A `data:` URL. `detail` is accepted only as OpenAI's default, because no Bedrock model has a choice."""

    url: str
    detail: Literal["auto"] = "auto"


class ImagePart(Shape):
    """`{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}`."""

    type: Literal["image_url"]
    image_url: ImageUrl


class File(Shape):
    """A document as a `data:` URL; `filename` is what the model may call it."""

    filename: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    file_data: str


class FilePart(Shape):
    """`{"type": "file", "file": {"filename": "report.pdf", "file_data": "data:application/pdf;base64,…"}}`.

    `citations`: the model is to cite it. `context` is what is told of it, beside its content.
    """

    type: Literal["file"]
    file: File
    citations: bool = False
    context: str | None = None


class CachePoint(Shape):
    """How long what stands before it is to be cached; without `ttl` as long as the model does by itself."""

    ttl: CacheTtl | None = None


class CachePointPart(CachePoint):
    """`{"type": "cache_point"}`: all that stands before it is to be kept in the prompt cache."""

    type: Literal["cache_point"]


class FunctionCall(Shape):
    """The name of a function and the JSON text of its arguments."""

    name: str
    arguments: str


class ToolCall(Shape):
    """A call that the assistant made in an earlier turn."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    type: Literal["function"] = "function"
    function: FunctionCall


class Reasoning(Shape):
    """One block of reasoning from an earlier answer, given back as it came."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


TextContent = Annotated[
    list[Annotated[TextPart | CachePointPart, Field(discriminator="type")]],
    Field(fail_fast=True),
    BeforeValidator(_as_parts),
]
MixedContent = Annotated[
    list[Annotated[TextPart | ImagePart | FilePart | CachePointPart, Field(discriminator="type")]],
    Field(fail_fast=True),
    BeforeValidator(_as_parts),
]


class SystemMessage(Shape):
    """Instructions; only before the first turn."""

    role: Literal["system", "developer"]
    content: TextContent


class UserMessage(Shape):
    """What the user says."""

    role: Literal["user"]
    content: Annotated[MixedContent, Field(min_length=1)]


class AssistantMessage(Shape):
    """What the model said in an earlier turn: the message of an answer may be given back as it is.

    What it cited is not said again.
    """

    role: Literal["assistant"]
    content: TextContent | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True, default_factory=list)]
    reasoning: Annotated[list[Reasoning], Field(fail_fast=True, default_factory=list)]
    citations: list[Any] | None = None


class ToolMessage(Shape):
    """The result of one tool call."""

    role: Literal["tool"]
    tool_call_id: str
    content: MixedContent
    is_error: bool = False


Message: TypeAlias = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class Function(Shape):
    """A function that the model may call; `parameters` is JSON Schema, which `strict` makes a promise."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None


class Tool(Shape):
    """`{"type": "function", "function": {…}}`; the tools up to a `cache_point` are cached."""

    type: Literal["function"]
    function: Function
    cache_point: CachePoint | None = None


class NamedFunction(Shape):
    """The function that must be called."""

    name: str


class NamedTool(Shape):
    """`{"type": "function", "function": {"name": …}}`."""

    type: Literal["function"]
    function: NamedFunction


ToolChoice: TypeAlias = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("word")] | Annotated[NamedTool, Tag("object")],
    Discriminator(_form_of_choice),
]
StopSequence = Annotated[str, StringConstraints(min_length=1)]


class ReasoningRequest(Shape):
    """How much the model is to think before it answers: one of the two."""

    effort: Effort | None = None
    budget_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None


class JsonSchema(Shape):
    """The schema that the answer must fit, and what it is called."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")] | None = None
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class TextFormat(Shape):
    """Plain text, as without a format."""

    type: Literal["text"]


class JsonFormat(Shape):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(Shape):
    """A JSON object that fits a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class Guardrail(Shape):
    """A guardrail of Bedrock's to apply; `sync` holds a stream's text back until it is judged."""

    identifier: Annotated[str, StringConstraints(pattern=GUARDRAIL_ID, max_length=2048)]
    version: Annotated[str, StringConstraints(pattern=GUARDRAIL_VERSION)]
    stream_mode: Literal["sync", "async"] | None = None


class CompletionBody(Shape):
    """The body of `POST /chat/completions` and of `POST /chat/completions/stream`."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=MAX_MODEL)]
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)] | None = None
    prompt: Annotated[str, StringConstraints(min_length=1)] | None = None
    system: TextContent | None = None
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    stop: Annotated[
        list[StopSequence], Field(fail_fast=True, default_factory=list), BeforeValidator(_as_list)
    ]
    tools: Annotated[list[Tool], Field(fail_fast=True, default_factory=list)]
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningRequest | None = None
    response_format: Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")] | None = (
        None
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    guardrail: Guardrail | None = None
    service_tier: ServiceTier | None = None
    latency: Latency | None = None
    betas: Annotated[list[str], Field(fail_fast=True, default_factory=list)]
    metadata: dict[str, str] = Field(default_factory=dict)
    provider: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = None
