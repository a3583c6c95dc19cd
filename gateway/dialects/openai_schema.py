"""The JSON of OpenAI's chat completions: shapes only, no meaning.

Strict as `native_schema` is. Every field that a public SDK can send is here by name, so that one which is
not supported is refused in our words (`openai_refused`); what no SDK knows is an unknown field. Null is like
absent, as OpenAI has it. `openai_chat` and `openai_messages` give these shapes their meaning.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag

from gateway.dialects.limits import MAX_MODEL, MAX_TOKENS
from gateway.dialects.native_schema import Shape
from gateway.dialects.openai_message_schema import CacheControl, Message  # noqa: TC001 - pydantic asks


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _form_of_choice(value: Any) -> str:
    if not isinstance(value, dict):
        return "word"
    return "allowed" if value.get("type") == "allowed_tools" else "named"


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────────

FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class Function(Shape):
    """A function that the model may call; `parameters` is JSON Schema."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


class Tool(Shape):
    """`{"type": "function", "function": {…}}`."""

    type: Literal["function"]
    function: Function
    cache_control: CacheControl | None = None


class NamedFunction(Shape):
    """One function by its name."""

    name: str


class NamedTool(Shape):
    """`{"type": "function", "function": {"name": …}}`."""

    type: Literal["function"]
    function: NamedFunction


class AllowedTools(Shape):
    """Which of the tools may be called now, and whether one must be."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, fail_fast=True)]


class AllowedToolsChoice(Shape):
    """`{"type": "allowed_tools", "allowed_tools": {…}}`."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


ToolChoice: TypeAlias = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("word")]
    | Annotated[NamedTool, Tag("named")]
    | Annotated[AllowedToolsChoice, Tag("allowed")],
    Discriminator(_form_of_choice),
]


# ── the body ──────────────────────────────────────────────────────────────────────────────────────────


class TextFormat(Shape):
    """Any text."""

    type: Literal["text"]


class JsonFormat(Shape):
    """Some JSON object."""

    type: Literal["json_object"]


class JsonSchema(Shape):
    """What the answer must look like."""

    name: FunctionName
    description: str | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class SchemaFormat(Shape):
    """A JSON object that fits a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat: TypeAlias = Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")]


class StreamOptions(Shape):
    """`include_usage` asks for a last chunk with the usage."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class Thinking(Shape):
    """Anthropic's parameter, as LiteLLM's callers send it: a budget in tokens instead of an effort."""

    type: Literal["enabled", "disabled"]
    budget_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None


class CacheOptions(Shape):
    """Cache points are where the caller sets them; Bedrock has no implicit ones."""

    mode: Literal["explicit"] | None = None
    ttl: Literal["30m"] | None = None


StopSequence = Annotated[str, StringConstraints(min_length=1)]
Limit = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
MetadataText = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}$")]
"""What Bedrock takes as a value of its request metadata."""


class ChatBody(Shape):
    """The body of `POST /v1/chat/completions`. `thinking` and `top_k` are not OpenAI's."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=MAX_MODEL)]
    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    max_completion_tokens: Limit | None = None
    max_tokens: Limit | None = None
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    stop: Annotated[list[StopSequence], Field(fail_fast=True), BeforeValidator(_as_list)] | None = None
    seed: int | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    thinking: Thinking | None = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    service_tier: Literal["auto", "default", "flex", "priority", "fast", "reserved"] | None = None
    metadata: dict[str, str] | None = None
    user: MetadataText | None = None
    safety_identifier: MetadataText | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: CacheOptions | None = None
    # only at the value that asks for nothing, see `openai_refused`
    audio: Any = None
    frequency_penalty: Any = None
    function_call: Any = None
    functions: Any = None
    logit_bias: Any = None
    logprobs: Any = None
    modalities: Any = None
    moderation: Any = None
    n: Any = None
    prediction: Any = None
    presence_penalty: Any = None
    prompt_cache_retention: Any = None
    store: Any = None
    top_logprobs: Any = None
    verbosity: Any = None
    web_search_options: Any = None
