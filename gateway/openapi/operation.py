"""What the description says of one operation, and of one dialect's answers to what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.dialects import bedrock_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A family of operations: the prefix of its schemas' names, and what its errors look like.

    `statuses` are those of a completion that fails; `headers` may be sent with every request.
    """

    name: str
    prefix: str
    about: str
    error: Schema
    statuses: tuple[int, ...]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `answers` are the bodies of a good answer by media type.

    `body` is the model that parses the request, or a schema where no model does, or None where nothing is
    sent. `example` is a body that works. `statuses`: where it fails otherwise than its dialect's completions.
    """

    dialect: Dialect
    method: str
    path: str
    name: str
    summary: str
    about: str = ""
    body: type[BaseModel] | Schema | None = None
    example: Any = None
    answers: Mapping[str, Schema] = field(default_factory=dict)
    statuses: tuple[int, ...] | None = None
    also: Dialect | None = None
    """Another dialect that is spoken at this path, whose errors it may have."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that only this operation takes."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """The parts of the path that vary, and what they are."""
    query: Mapping[str, str] = field(default_factory=dict)
    """What may stand behind the question mark."""
    path_example: Mapping[str, str] = field(default_factory=dict)
    """Values for those, encoded for a path."""


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of an object."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


def nullable(schema: Schema) -> Schema:
    """Return the schema of something that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


AWS_HEADERS: Mapping[str, str] = {
    bedrock_headers.GUARDRAIL: "The guardrail to apply, by its id or ARN; its version comes with it.",
    bedrock_headers.VERSION: "`DRAFT`, or a number.",
    bedrock_headers.TRACE: "`DISABLED`: only Bedrock's own operations have a place for a guardrail's trace.",
    bedrock_headers.LATENCY: "`standard` or `optimized`.",
    bedrock_headers.TIER: "`priority`, `default`, `flex` or `reserved`.",
    bedrock_headers.METADATA: "A JSON object of texts, for AWS's invocation logs.",
}
"""What every completion takes of AWS's; each other name that begins so is refused."""

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
ANYTHING: Schema = {"type": "object"}


def only(*words: str) -> Schema:
    """Return the schema of one of these words."""
    return {"type": "string", "enum": list(words)} if len(words) > 1 else {"const": words[0]}


def listing(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}
