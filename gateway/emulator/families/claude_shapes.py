"""The body of Claude's Messages on InvokeModel (bedrock-wire.md §4.1), checked as Anthropic's API checks."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from gateway.emulator.families.claude_context import ContextManagement
from gateway.emulator.schemas import AnySchema, check
from gateway.emulator.shapes import Base64, NonEmpty, Shape, StringOr

Share = Annotated[float, Field(ge=0, le=1)]
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
ToolUseId = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]+$")]


class CacheControl(Shape):
    """Where Claude may cut for its cache."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Cacheable(Shape):
    """A block after which a cache may be cut."""

    cache_control: CacheControl | None = None


class Base64Image(Shape):
    """A picture by its bytes; Bedrock fetches none."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: Base64


class Base64Pdf(Shape):
    """A document by its bytes."""

    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: Base64


class PlainText(Shape):
    """A document by its text."""

    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


class CitationsConfig(Shape):
    """Whether to cite."""

    enabled: bool


class Text(Cacheable):
    """Text."""

    type: Literal["text"]
    text: str
    citations: list[dict[str, Any]] | None = None

    @field_validator("text")
    @classmethod
    def _something(cls, text: str) -> str:
        if not text:
            raise ValueError("text content blocks must be non-empty")
        return text


class Image(Cacheable):
    """A picture."""

    type: Literal["image"]
    source: Base64Image


class Document(Cacheable):
    """A document."""

    type: Literal["document"]
    source: Annotated[Base64Pdf | PlainText, Field(discriminator="type")]
    title: str | None = None
    context: str | None = None
    citations: CitationsConfig | None = None


class ToolUse(Cacheable):
    """A call that the model made."""

    type: Literal["tool_use"]
    id: ToolUseId
    name: ToolName
    input: dict[str, Any]


class Thinking(Shape):
    """Thoughts that the model gave, signed."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinking(Shape):
    """Thoughts that the model gave, not in the open."""

    type: Literal["redacted_thinking"]
    data: str


ResultBlock = Annotated[Text | Image | Document, Field(discriminator="type")]


class ToolResult(Cacheable):
    """What a tool returned."""

    type: Literal["tool_result"]
    tool_use_id: ToolUseId
    content: StringOr[str, list[ResultBlock]] = ""
    is_error: bool | None = None


Block = Annotated[
    Text | Image | Document | ToolUse | ToolResult | Thinking | RedactedThinking,
    Field(discriminator="type"),
]


class Turn(Shape):
    """A message."""

    role: Literal["user", "assistant"]
    content: StringOr[NonEmpty, Annotated[list[Block], Field(min_length=1)]]

    @property
    def blocks(self) -> list[Block]:
        """The content as blocks; a string is one of text."""
        return [Text(type="text", text=self.content)] if isinstance(self.content, str) else self.content


class JsonSchemaObject(Shape):
    """The schema of a tool's arguments: JSON Schema of an object."""

    model_config = ConfigDict(extra="allow")

    type: Literal["object"]

    @model_validator(mode="after")
    def _is_schema(self) -> Self:
        check(self.model_dump())
        return self


class CustomTool(Cacheable):
    """A tool of the caller."""

    type: Literal["custom"]
    name: ToolName
    input_schema: JsonSchemaObject
    description: str | None = None
    strict: bool | None = None


class BashTool(Cacheable):
    """Anthropic's shell, run by the caller."""

    type: Literal["bash_20250124"]
    name: Literal["bash"]


class TextEditorTool(Cacheable):
    """Anthropic's editor, run by the caller."""

    type: Literal["text_editor_20250124", "text_editor_20250429", "text_editor_20250728"]
    name: Literal["str_replace_editor", "str_replace_based_edit_tool"]
    max_characters: int | None = None


ToolEntry = Annotated[CustomTool | BashTool | TextEditorTool, Field(discriminator="type")]


class ToolChoice(Shape):
    """Whether to call a tool."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


BETAS = frozenset(
    {
        *("compact-2026-01-12", "computer-use-2024-10-22"),
        *("computer-use-2025-01-24", "computer-use-2025-11-24", "tool-search-tool-2025-10-19"),
        *("context-1m-2025-08-07", "context-management-2025-06-27", "dev-full-thinking-2025-05-14"),
        *(
            "effort-2025-11-24",
            "model-context-window-exceeded-2025-08-26",
            "fine-grained-tool-streaming-2025-05-14",
        ),
        *("interleaved-thinking-2025-05-14", "output-128k-2025-02-19", "structured-outputs-2025-11-13"),
        *("token-efficient-tools-2025-02-19", "tool-examples-2025-10-29"),
    }
)
"""Beta flags that Bedrock knows (bedrock-wire.md §4.1); it refuses all others."""

STRUCTURED_BETA = "structured-outputs-2025-11-13"


class ThinkingEnabled(Shape):
    """Think, within a budget."""

    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1024)]


class ThinkingAdaptive(Shape):
    """Think as much as it takes."""

    type: Literal["adaptive"]
    display: Literal["summarized", "omitted"] | None = None


class ThinkingDisabled(Shape):
    """Do not think."""

    type: Literal["disabled"]


ThinkingMode: TypeAlias = Annotated[
    ThinkingEnabled | ThinkingAdaptive | ThinkingDisabled, Field(discriminator="type")
]


class JsonFormat(Shape):
    """An answer in JSON, by a schema."""

    type: Literal["json_schema"]
    schema_: AnySchema = Field(alias="schema")


class OutputConfig(Shape):
    """The form of the answer, and how much effort goes into it."""

    format: JsonFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class Metadata(Shape):
    """Who asks."""

    user_id: str | None = None


class ClaudeBody(Shape):
    """The body: the model is in the URL and streaming is another operation, so neither is a field.

    The version is Bedrock's own or, as Anthropic's SDK for Bedrock sends it since its version 2, Anthropic's.
    """

    anthropic_version: Annotated[str, Field(pattern=r"^(bedrock-)?\d{4}-\d{2}-\d{2}$")]
    max_tokens: Annotated[int, Field(ge=1)]
    messages: Annotated[list[Turn], Field(min_length=1)]
    anthropic_beta: list[str] = Field(default_factory=list)
    system: StringOr[str, list[Text]] = ""
    tools: list[ToolEntry] = Field(default_factory=list)
    tool_choice: ToolChoice | None = None
    thinking: ThinkingMode | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Field(ge=0, le=500)] | None = None
    stop_sequences: Annotated[list[str], Field(max_length=8191)] = Field(default_factory=list)
    metadata: Metadata | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    context_management: ContextManagement | None = None

    @property
    def answer_schema(self) -> dict[str, Any] | None:
        """The schema that the answer must have, None for prose."""
        form = self.output_format if self.output_config is None else self.output_config.format
        return None if form is None else form.schema_

    @field_validator("tools", mode="before")
    @classmethod
    def _custom_unless_said(cls, tools: Any) -> Any:
        if not isinstance(tools, list):
            return tools
        return [{"type": "custom", **tool} if isinstance(tool, dict) else tool for tool in tools]

    @field_validator("stop_sequences")
    @classmethod
    def _visible(cls, sequences: list[str]) -> list[str]:
        if not all(sequence.strip() for sequence in sequences):
            raise ValueError("each stop sequence must contain non-whitespace")
        return sequences
