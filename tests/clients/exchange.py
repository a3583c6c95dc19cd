"""What a client is asked to do and what it made of the answer, in words that belong to no client."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from tests.harness import CLAUDE

UNKNOWN: Final = "anthropic.claude-of-another-day-v1:0"
"""A model that the emulator does not have."""

ALIAS: Final = "claude-haiku-4-5"
"""A name of the gateway's own, as Anthropic's API has it, for `HAIKU`."""

HAIKU: Final = "us.anthropic.claude-haiku-4-5-20251001-v1:0"

EMBEDDING_MODEL: Final = "amazon.titan-embed-text-v2:0"

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""One pixel."""

TOOL: Final = MappingProxyType(
    {
        "name": "get_weather",
        "description": "Get the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The name of the city"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
)
TOOL_RESULT: Final = "22 degrees and sunny"
SCHEMA: Final = MappingProxyType(
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One thing to be done with a client.

    `image` sends `PNG` with the text, `tool` offers `TOOL` and answers its call with `TOOL_RESULT`, `schema`
    wants an object of `SCHEMA` back, `reasoning` turns thinking on. `retries` is how often the client may try
    again.
    """

    text: str
    model: str = CLAUDE
    stream: bool = False
    image: bool = False
    tool: bool = False
    schema: bool = False
    reasoning: bool = False
    retries: int = 0


@dataclass(slots=True, kw_only=True)
class Failure:
    """An error as the client raised it: the name of its class, and what it says of the HTTP answer."""

    kind: str
    status: int | None = None
    message: str = ""


@dataclass(slots=True, kw_only=True)
class Answer:
    """What a client made of an answer; with an error, what it had given before.

    `pieces` is how many pieces the text came in. `calls` are the tool calls that it answered, `text` is what
    came after them. `value` is the object of `SCHEMA` as the client parsed it. `signed`: the reasoning has a
    signature.
    """

    text: str = ""
    pieces: int = 0
    finish: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning: str = ""
    signed: bool = False
    calls: list[dict[str, Any]] = field(default_factory=list)
    value: Any = None
    error: Failure | None = None

    def add(self, text: str) -> None:
        """Take one more piece of the text; an empty one is none."""
        if text:
            self.text += text
            self.pieces += 1
