"""The body of Cohere Command R (bedrock-wire.md §4.7)."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from gateway.emulator.shapes import NonEmpty, Shape

_MAX_TOKENS: Final = 4000

Share = Annotated[float, Field(ge=0, le=1)]


class ToolCallMade(Shape):
    """A call that the model made before."""

    name: NonEmpty
    parameters: dict[str, Any]


class HistoryTurn(Shape):
    """A turn before the message."""

    role: Literal["USER", "CHATBOT"]
    message: str


class Parameter(Shape):
    """A parameter of a tool; its type is written as Python's."""

    type: NonEmpty
    description: str | None = None
    required: bool | None = None


class ToolDefinition(Shape):
    """A tool."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
    description: str
    parameter_definitions: dict[str, Parameter] = Field(default_factory=dict)


class ToolOutcome(Shape):
    """What a call returned."""

    call: ToolCallMade
    outputs: Annotated[list[dict[str, Any]], Field(min_length=1)]


class CommandRBody(Shape):
    """The body of Command R. Without a message it must have what tools returned."""

    message: str
    chat_history: list[HistoryTurn] | None = None
    preamble: str | None = None
    documents: list[dict[str, str]] | None = None
    tools: list[ToolDefinition] = Field(default_factory=list)
    tool_results: list[ToolOutcome] = Field(default_factory=list)
    max_tokens: Annotated[int, Field(ge=1, le=_MAX_TOKENS)] = _MAX_TOKENS
    temperature: Share | None = None
    p: Annotated[float, Field(ge=0.01, le=0.99)] | None = None
    k: Annotated[int, Field(ge=0, le=500)] | None = None
    frequency_penalty: Share | None = None
    presence_penalty: Share | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    stop_sequences: Annotated[list[NonEmpty], Field(max_length=5)] = Field(default_factory=list)
    prompt_truncation: Literal["OFF", "AUTO_PRESERVE_ORDER"] | None = None
    search_queries_only: Literal[False] | None = None
    return_prompt: Literal[False] | None = None
    raw_prompting: Literal[False] | None = None
