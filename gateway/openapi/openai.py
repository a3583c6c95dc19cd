"""OpenAI's operations."""

from __future__ import annotations

from typing import Final

from gateway.dialects.responses_schema import ResponseBody
from gateway.openapi.native import NATIVE
from gateway.openapi.operation import (
    ANYTHING,
    NUMBER,
    TEXT,
    WHOLE,
    Dialect,
    Operation,
    listing,
    nullable,
    only,
    record,
)

OPENAI: Final = Dialect(
    name="OpenAI",
    prefix="OpenAI",
    about="What OpenAI's SDKs speak: set their base URL to this gateway's `/v1`.",
    error=record(
        {"error": record({"message": TEXT, "type": TEXT, "param": nullable(TEXT), "code": nullable(TEXT)})}
    ),
    statuses=tuple(status for status in NATIVE.statuses if status != 406),  # noqa: PLR2004 - Accept is not asked
    headers=NATIVE.headers,
)

_MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
_RESPONSE = record(
    {
        "id": TEXT,
        "object": only("response"),
        "created_at": WHOLE,
        "status": only("completed", "incomplete"),
        "model": TEXT,
        "output": listing(ANYTHING),
        "usage": nullable(record({"input_tokens": WHOLE, "output_tokens": WHOLE, "total_tokens": WHOLE})),
    },
    {"temperature": nullable(NUMBER)},
)

OPERATIONS: Final = (
    Operation(
        dialect=OPENAI,
        method="post",
        path="/v1/responses",
        name="createResponse",
        summary="Create a response",
        about="Stateless: nothing is stored, and the whole conversation comes in `input`.",
        body=ResponseBody,
        example={"model": _MODEL, "input": "Hello", "max_output_tokens": 100},
        answers={"application/json": _RESPONSE, "text/event-stream": TEXT},
    ),
)
