"""The messages of OpenAI's chat completions, in JSON: shapes only, no meaning; see `openai_schema`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints

from gateway.dialects.native_schema import FunctionCall, Shape


def _as_parts(value: Any) -> Any:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


# ── content ───────────────────────────────────────────────────────────────────────────────────────────


class CacheControl(Shape):
    """Anthropic's mark of a cache point, as LiteLLM, OpenRouter and LangChain send it in OpenAI's shapes."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class CacheBreakpoint(Shape):
    """OpenAI's own mark of a cache point; `ttl` is how long it is to live at least."""

    mode: Literal["explicit"]
    ttl: Literal["30m"] | None = None


class Marked(Shape):
    """What may end a prefix of the prompt that is to be cached."""

    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class TextPart(Marked):
    """`{"type": "text", "text": …}`."""

    type: Literal["text"]
    text: str


class RefusalPart(Shape):
    """What the assistant said when it refused."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(Shape):
    """A `data:` URL. No Bedrock model has a choice of detail: `low`, which costs less, is not offered."""

    url: str
    detail: Literal["auto", "high", "original"] | None = None


class ImagePart(Marked):
    """`{"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}`."""

    type: Literal["image_url"]
    image_url: ImageUrl


class File(Shape):
    """A file by its bytes, in a `data:` URL or as bare base64; there is no store of files for `file_id`."""

    file_data: str | None = None
    filename: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    file_id: str | None = None


class FilePart(Marked):
    """`{"type": "file", "file": {"filename": …, "file_data": "data:application/pdf;base64,…"}}`."""

    type: Literal["file"]
    file: File


TextContent = Annotated[list[TextPart], Field(fail_fast=True), BeforeValidator(_as_parts)]
SpokenContent = Annotated[
    list[Annotated[TextPart | RefusalPart, Field(discriminator="type")]],
    Field(fail_fast=True),
    BeforeValidator(_as_parts),
]
MixedContent = Annotated[
    list[Annotated[TextPart | ImagePart | FilePart, Field(discriminator="type")]],
    Field(fail_fast=True),
    BeforeValidator(_as_parts),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────


class SystemMessage(Marked):
    """Instructions, wherever they stand."""

    role: Literal["system", "developer"]
    content: TextContent
    name: Name | None = None


class UserMessage(Marked):
    """What a user says; `name` tells the model which one."""

    role: Literal["user"]
    content: Annotated[MixedContent, Field(min_length=1)]
    name: Name | None = None


class CalledFunction(FunctionCall):
    """`parsed_arguments` is what OpenAI's SDK makes of the arguments, and sends back beside them."""

    parsed_arguments: Any = None


class ToolCall(Shape):
    """A call that the assistant made in an earlier turn; `index` comes with calls that were streamed."""

    id: Name
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None


class ThinkingBlock(Shape):
    """A block of reasoning from an earlier answer, given back as it came; as LiteLLM has them.

    `thinking` with its `signature`, or `redacted_thinking` with its `data`; `index` comes with blocks that
    were streamed.
    """

    type: Literal["thinking", "redacted_thinking"]
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    index: int | None = None


class AssistantMessage(Marked):
    """What the model said in an earlier turn, with all that an answer and the SDK's copy of it have.

    So it can be sent back as it is. `parsed` is what OpenAI's SDK makes of the content.
    """

    role: Literal["assistant"]
    content: SpokenContent | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(fail_fast=True)] | None = None
    thinking_blocks: Annotated[list[ThinkingBlock], Field(fail_fast=True)] | None = None
    reasoning_content: str | None = None
    annotations: list[Any] | None = None
    citations: list[Any] | None = None
    parsed: Any = None
    name: Name | None = None
    audio: None = None
    function_call: None = None


class ToolMessage(Marked):
    """The result of one tool call."""

    role: Literal["tool"]
    tool_call_id: Name
    content: MixedContent
    name: Name | None = None


Message: TypeAlias = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]
