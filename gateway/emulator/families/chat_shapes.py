"""Conversations as OpenAI writes them; Jamba and Mistral's chat take a part of it (bedrock-wire.md §4.10)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, StringConstraints

from gateway.emulator.schemas import AnySchema  # noqa: TC001 - pydantic asks
from gateway.emulator.shapes import NonEmpty, Shape, StringOr

Share = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Temperature = Annotated[float, Field(ge=0, le=2)]
Stop: TypeAlias = StringOr[NonEmpty, Annotated[list[NonEmpty], Field(max_length=4)]]
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class TextPart(Shape):
    """Text."""

    type: Literal["text"]
    text: NonEmpty


class ImageUrl(Shape):
    """A picture inside its URL; no model fetches one."""

    url: Annotated[str, StringConstraints(pattern=r"^data:image/(png|jpeg|gif|webp);base64,.")]
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Shape):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part: TypeAlias = Annotated[TextPart | ImagePart, Discriminator("type")]
Texts: TypeAlias = StringOr[NonEmpty, Annotated[list[TextPart], Field(min_length=1)]]


class CalledFunction(Shape):
    """Name and arguments of a call, the latter as JSON text."""

    name: ToolName
    arguments: str


class ToolCallMade(Shape):
    """A call that the model made before."""

    id: NonEmpty
    type: Literal["function"] = "function"
    function: CalledFunction


class SystemMessage(Shape):
    """What the operator says."""

    role: Literal["system", "developer"]
    content: Texts
    name: str | None = None


class UserMessage(Shape):
    """What the user says."""

    role: Literal["user"]
    content: StringOr[NonEmpty, Annotated[list[Part], Field(min_length=1)]]
    name: str | None = None

    @property
    def parts(self) -> list[TextPart | ImagePart]:
        """The content as a list."""
        return [TextPart(type="text", text=self.content)] if isinstance(self.content, str) else self.content


class AssistantMessage(Shape):
    """What the model said."""

    role: Literal["assistant"]
    content: StringOr[str, list[TextPart]] | None = None
    reasoning_content: str | None = None
    tool_calls: Annotated[list[ToolCallMade], Field(min_length=1)] | None = None


class ToolMessage(Shape):
    """What a tool returned."""

    role: Literal["tool"]
    content: StringOr[str, list[TextPart]]
    tool_call_id: NonEmpty
    name: str | None = None


Message: TypeAlias = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Discriminator("role")
]
Messages: TypeAlias = Annotated[list[Message], Field(min_length=1)]


class Function(Shape):
    """What a tool can do; its parameters are a JSON Schema."""

    name: ToolName
    description: str | None = None
    parameters: AnySchema = Field(default_factory=dict)
    strict: bool | None = None


class ChatTool(Shape):
    """A tool."""

    type: Literal["function"]
    function: Function


class FunctionName(Shape):
    """The function that must be called."""

    name: ToolName


class NamedChoice(Shape):
    """One tool and no other."""

    type: Literal["function"]
    function: FunctionName


class JsonSchema(Shape):
    """The schema of an answer in JSON."""

    name: ToolName
    schema_: AnySchema = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Shape):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Shape):
    """What else to stream."""

    include_usage: bool


class ChatBody(Shape):
    """A body of OpenAI's Chat Completions. The emulator gives one choice and no probabilities."""

    messages: Messages
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    stop: Stop | None = None
    n: Literal[1] | None = None
    seed: int | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: Literal[False] | None = None
    tools: Annotated[list[ChatTool], Field(min_length=1)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    user: str | None = None


class MistralChatBody(Shape):
    """The body of Mistral's chat completions."""

    messages: Messages
    max_tokens: Annotated[int, Field(ge=1, le=8192)] | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    stop: Stop | None = None
    tools: Annotated[list[ChatTool], Field(min_length=1)] | None = None
    tool_choice: Literal["auto", "any", "none"] | None = None


class JambaBody(Shape):
    """The body of AI21's Jamba."""

    messages: Messages
    max_tokens: Annotated[int, Field(ge=0, le=4096)] = 4096
    temperature: Temperature | None = None
    top_p: Annotated[float, Field(ge=0.01, le=1)] | None = None
    stop: StringOr[NonEmpty, list[NonEmpty]] | None = None
    n: Literal[1] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    tools: Annotated[list[ChatTool], Field(min_length=1)] | None = None
    documents: list[dict[str, Any]] | None = None
    response_format: ResponseFormat | None = None
