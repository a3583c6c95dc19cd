"""The body of Converse and ConverseStream, after AWS's own service model (botocore, bedrock-runtime)."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from gateway.emulator.families.converse_media import Audio, Citations, Document, Image, Video
from gateway.emulator.schemas import AnySchema
from gateway.emulator.shapes import Base64, CamelShape, NonEmpty, UnionShape

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.:-]{1,64}$")]
ToolName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
MetadataText = Annotated[str, StringConstraints(max_length=256, pattern=r"^[a-zA-Z0-9\s:_@$#=/+,.-]*$")]
MetadataKey = Annotated[MetadataText, StringConstraints(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Empty = Annotated[dict[str, Any], Field(max_length=0)]


class CachePoint(CamelShape):
    """Where the provider may cut for its cache."""

    type: Literal["default"]
    ttl: Literal["5m", "1h"] | None = None


class GuardText(CamelShape):
    """Text for a guardrail to look at."""

    text: str
    qualifiers: list[Literal["grounding_source", "query", "guard_content"]] = Field(default_factory=list)


class GuardContent(UnionShape):
    """What a guardrail is to look at."""

    text: GuardText | None = None
    image: Image | None = None


class SearchResultContent(CamelShape):
    """A piece of a search result."""

    text: str


class SearchResult(CamelShape):
    """A search result to cite from."""

    source: str
    title: str
    content: list[SearchResultContent]
    citations: Citations | None = None


class ToolUse(CamelShape):
    """A call that the model made. `tool_use` is the type that answers carry today (recorded)."""

    tool_use_id: Identifier
    name: ToolName
    input: Any
    type: Literal["tool_use", "server_tool_use"] | None = None


class ToolResultContent(UnionShape):
    """A piece of what a tool returned."""

    json_: Any = Field(None, alias="json")
    text: str | None = None
    image: Image | None = None
    document: Document | None = None
    video: Video | None = None
    search_result: SearchResult | None = None


class ToolResult(CamelShape):
    """What a tool returned."""

    tool_use_id: Identifier
    content: list[ToolResultContent]
    status: Literal["success", "error"] | None = None
    type: str | None = None


class ReasoningText(CamelShape):
    """Reasoning that the model gave, with its signature."""

    text: str
    signature: str | None = None


class Reasoning(UnionShape):
    """Reasoning that the model gave, in the open or not."""

    reasoning_text: ReasoningText | None = None
    redacted_content: Base64 | None = None


class CitationsContent(CamelShape):
    """Text with citations that the model gave."""

    content: list[dict[str, Any]] = Field(default_factory=list)
    citations: list[dict[str, Any]] = Field(default_factory=list)


class Block(UnionShape):
    """A content block."""

    text: str | None = None
    image: Image | None = None
    document: Document | None = None
    video: Video | None = None
    audio: Audio | None = None
    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None
    guard_content: GuardContent | None = None
    cache_point: CachePoint | None = None
    reasoning_content: Reasoning | None = None
    citations_content: CitationsContent | None = None
    search_result: SearchResult | None = None


class Turn(CamelShape):
    """A message."""

    role: Literal["user", "assistant"]
    content: list[Block]


class SystemBlock(UnionShape):
    """A block of the system prompt."""

    text: NonEmpty | None = None
    guard_content: GuardContent | None = None
    cache_point: CachePoint | None = None


class InferenceConfig(CamelShape):
    """How to generate."""

    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    stop_sequences: Annotated[list[NonEmpty], Field(max_length=2500)] = Field(default_factory=list)


class InputSchema(UnionShape):
    """The schema of a tool's arguments."""

    json_: AnySchema | None = Field(None, alias="json")


class ToolSpec(CamelShape):
    """A tool of the caller."""

    name: ToolName
    input_schema: InputSchema
    description: NonEmpty | None = None
    strict: bool | None = None


class SystemTool(CamelShape):
    """A tool of the provider."""

    name: ToolName


class ToolEntry(UnionShape):
    """One of the tools."""

    tool_spec: ToolSpec | None = None
    system_tool: SystemTool | None = None
    cache_point: CachePoint | None = None


class NamedTool(CamelShape):
    """The tool to call."""

    name: ToolName


class ToolChoice(UnionShape):
    """Whether to call a tool."""

    auto: Empty | None = None
    any: Empty | None = None
    tool: NamedTool | None = None


class ToolConfig(CamelShape):
    """The tools."""

    tools: Annotated[list[ToolEntry], Field(min_length=1)]
    tool_choice: ToolChoice | None = None


class GuardrailConfig(CamelShape):
    """A guardrail; only a stream may say how it is to work."""

    guardrail_identifier: str | None = None
    guardrail_version: str | None = None
    trace: Literal["enabled", "disabled", "enabled_full"] | None = None
    stream_processing_mode: Literal["sync", "async"] | None = None


class PromptVariable(UnionShape):
    """A value for a prompt resource."""

    text: str | None = None


class PerformanceConfig(CamelShape):
    """How fast."""

    latency: Literal["standard", "optimized"]


class ServiceTier(CamelShape):
    """How urgent."""

    type: Literal["priority", "default", "flex", "reserved"]


class JsonSchema(CamelShape):
    """The schema of the answer; itself JSON in a string."""

    schema_: str = Field(alias="schema")
    name: str | None = None
    description: str | None = None


class Structure(UnionShape):
    """The structure of the answer."""

    json_schema: JsonSchema | None = None


class TextFormat(CamelShape):
    """The format of the answer."""

    type: Literal["json_schema"]
    structure: Structure


class OutputConfig(CamelShape):
    """The form of the answer."""

    text_format: TextFormat | None = None
    effort: Annotated[str, StringConstraints(max_length=16)] | None = None


class CountedConverse(CamelShape):
    """What CountTokens takes of a Converse body."""

    messages: list[Turn] = Field(default_factory=list)
    system: list[SystemBlock] = Field(default_factory=list)
    tool_config: ToolConfig | None = None
    additional_model_request_fields: dict[str, Any] = Field(default_factory=dict)


class ConverseBody(CountedConverse):
    """The body of both Converse operations."""

    inference_config: InferenceConfig = InferenceConfig()
    guardrail_config: GuardrailConfig | None = None
    prompt_variables: dict[str, PromptVariable] = Field(default_factory=dict)
    additional_model_response_field_paths: Annotated[list[NonEmpty], Field(max_length=10)] = Field(
        default_factory=list
    )
    request_metadata: (
        Annotated[dict[MetadataKey, MetadataText], Field(min_length=1, max_length=16)] | None
    ) = None
    performance_config: PerformanceConfig | None = None
    service_tier: ServiceTier | None = None
    output_config: OutputConfig | None = None
