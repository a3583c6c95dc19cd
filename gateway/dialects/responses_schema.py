"""The JSON of OpenAI's Responses: shapes only, no meaning.

Strict as `native_schema` is. Fields of the API that are not served are here by name, so that they are refused
in our words (`responses`); what the API does not know is an unknown field. Null is like absent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag

from gateway.dialects.limits import MAX_MODEL, MAX_TOKENS
from gateway.dialects.native_schema import Shape

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"] | None
FunctionName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
CallId = Annotated[str, StringConstraints(min_length=1, max_length=256)]


# ── content ───────────────────────────────────────────────────────────────────────────────────────────


class InputText(Shape):
    """`{"type": "input_text", "text": …}`."""

    type: Literal["input_text"]
    text: str


class InputImage(Shape):
    """`{"type": "input_image", "image_url": "data:image/png;base64,…"}`."""

    type: Literal["input_image"]
    image_url: str | None = None
    detail: Literal["auto"] | None = None
    file_id: str | None = None


class InputFile(Shape):
    """`{"type": "input_file", "filename": …, "file_data": "data:application/pdf;base64,…"}`."""

    type: Literal["input_file"]
    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None
    file_url: str | None = None


class OutputText(Shape):
    """Text that the model said in an earlier turn; what it cited is not said again.

    `parsed` is what OpenAI's SDK for JavaScript makes of the text, and sends back beside it.
    """

    type: Literal["output_text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None
    parsed: Any = None


class Refusal(Shape):
    """What the model said in an earlier turn where it refused."""

    type: Literal["refusal"]
    refusal: str


Content = Annotated[
    list[
        Annotated[
            InputText | InputImage | InputFile | OutputText | Refusal,
            Field(discriminator="type"),
        ]
    ],
    Field(fail_fast=True),
]


def _form_of_content(value: Any) -> str:
    return "text" if isinstance(value, str) else "parts"


Said: TypeAlias = Annotated[
    Annotated[str, Tag("text")] | Annotated[Content, Tag("parts")], Discriminator(_form_of_content)
]
"""A text, or parts. Told apart by hand: what is wrong in a part is then named where it stands."""


# ── items ─────────────────────────────────────────────────────────────────────────────────────────────


class Message(Shape):
    """A turn, or system text. Items that came in an answer have an id and a status."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Said
    id: str | None = None
    status: Status = None
    phase: str | None = None


class FunctionCall(Shape):
    """A call that the model made in an earlier answer.

    `parsed_arguments` is what OpenAI's SDK for JavaScript makes of the arguments, and sends back beside them.
    """

    type: Literal["function_call"]
    call_id: CallId
    name: FunctionName
    arguments: str
    id: str | None = None
    status: Status = None
    parsed_arguments: Any = None


class FunctionCallOutput(Shape):
    """The result of a call."""

    type: Literal["function_call_output"]
    call_id: CallId
    output: Said
    id: str | None = None
    status: Status = None


class SummaryText(Shape):
    """A piece of reasoning, as answers have it."""

    type: Literal["summary_text"]
    text: str


class ReasoningText(Shape):
    """A piece of reasoning, as some other servers have it."""

    type: Literal["reasoning_text"]
    text: str


class ReasoningItem(Shape):
    """One block of reasoning from an earlier answer, given back as it came."""

    type: Literal["reasoning"]
    id: str | None = None
    summary: Annotated[list[SummaryText], Field(fail_fast=True, default_factory=list)]
    content: Annotated[list[ReasoningText], Field(fail_fast=True)] | None = None
    encrypted_content: str | None = None
    status: Status = None


def _kind_of_item(value: Any) -> str:
    """`type` may be left out of a message."""
    kind = value.get("type", "message") if isinstance(value, dict) else "message"
    return kind if isinstance(kind, str) else "message"


Item: TypeAlias = Annotated[
    Annotated[Message, Tag("message")]
    | Annotated[FunctionCall, Tag("function_call")]
    | Annotated[FunctionCallOutput, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(_kind_of_item),
]


def _as_items(value: Any) -> Any:
    """A plain string is the short form of one message of the user."""
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


# ── tools and the form of the answer ──────────────────────────────────────────────────────────────────


class Function(Shape):
    """A function that the model may call; `parameters` is JSON Schema."""

    type: Literal["function"]
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedFunction(Shape):
    """The function that must be called."""

    type: Literal["function"]
    name: str


def _form_of_choice(value: Any) -> str:
    return "object" if isinstance(value, dict) else "word"


ToolChoice: TypeAlias = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("word")] | Annotated[NamedFunction, Tag("object")],
    Discriminator(_form_of_choice),
]


class TextFormat(Shape):
    """Any text."""

    type: Literal["text"]


class JsonFormat(Shape):
    """Some JSON object."""

    type: Literal["json_object"]


class SchemaFormat(Shape):
    """A JSON object that fits a schema."""

    type: Literal["json_schema"]
    name: FunctionName
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class TextOptions(Shape):
    """What the text of the answer is to be."""

    format: Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Literal["medium"] | None = None


class ReasoningOptions(Shape):
    """How much the model is to think. Its reasoning comes as it is, whatever `summary` asks for."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class StreamOptions(Shape):
    """The only choice is obfuscation, which this gateway does not do."""

    include_obfuscation: Literal[False] | None = None


MetadataText = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}$")]
"""What Bedrock takes as a value of its request metadata."""


class ResponseBody(Shape):
    """The body of `POST /v1/responses`. `top_k` is not OpenAI's."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=MAX_MODEL)]
    input: Annotated[list[Item], Field(min_length=1, fail_fast=True), BeforeValidator(_as_items)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    tools: Annotated[list[Function], Field(fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    service_tier: Literal["auto", "default", "flex", "priority", "reserved"] | None = None
    metadata: dict[str, str] | None = None
    user: MetadataText | None = None
    safety_identifier: MetadataText | None = None
    include: list[str] | None = None
    # only at the value that asks for nothing, see `responses.REFUSED`
    background: Any = None
    context_management: Any = None
    conversation: Any = None
    max_tool_calls: Any = None
    previous_response_id: Any = None
    prompt: Any = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Any = None
    store: Any = None
    top_logprobs: Any = None
    truncation: Any = None
