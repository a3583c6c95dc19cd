"""Anthropic's operations."""

from __future__ import annotations

from typing import Final

from gateway.dialects.anthropic_schema import CountBody, MessagesBody
from gateway.openapi.native import MODEL, NATIVE
from gateway.openapi.operation import (
    ANYTHING,
    AWS_HEADERS,
    FLAG,
    TEXT,
    WHOLE,
    Dialect,
    Operation,
    listing,
    nullable,
    only,
    record,
)

ANTHROPIC: Final = Dialect(
    name="Anthropic",
    prefix="Anthropic",
    about="What Anthropic's SDKs speak: set their base URL to this gateway. Claude speaks for itself.",
    error=record(
        {
            "type": only("error"),
            "error": record({"type": TEXT, "message": TEXT}),
            "request_id": nullable(TEXT),
        }
    ),
    statuses=(400, 401, 403, 404, 408, 413, 415, 417, 429, 500, 502, 504, 529),
    headers={
        **NATIVE.headers,
        "anthropic-version": "`2023-06-01` or `2026-10-21`, or absent.",
        "anthropic-beta": "Flags of what a model has in trial, of those that Bedrock is known to take.",
    },
)

ANTHROPIC_MODEL: Final = record({"type": only("model"), "id": TEXT, "display_name": TEXT, "created_at": TEXT})
ANTHROPIC_PAGE: Final = record(
    {
        "data": listing(ANTHROPIC_MODEL),
        "has_more": FLAG,
        "first_id": nullable(TEXT),
        "last_id": nullable(TEXT),
    }
)
"""What is served where OpenAI's clients ask, too."""
_EXAMPLE = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}

OPERATIONS: Final = (
    Operation(
        dialect=ANTHROPIC,
        method="post",
        path="/v1/messages",
        name="createMessage",
        summary="Create a message",
        about="With `stream` it comes as events and ends in `message_stop`; one that fails ends in `error`.",
        body=MessagesBody,
        example=_EXAMPLE,
        answers={
            "application/json": record(
                {
                    "id": TEXT,
                    "type": only("message"),
                    "role": only("assistant"),
                    "model": TEXT,
                    "content": listing(ANYTHING),
                    "stop_reason": TEXT,
                    "usage": ANYTHING,
                }
            ),
            "text/event-stream": TEXT,
        },
        headers=AWS_HEADERS,
    ),
    Operation(
        dialect=ANTHROPIC,
        method="post",
        path="/v1/messages/count_tokens",
        name="countMessageTokens",
        summary="Count the tokens of a message",
        body=CountBody,
        example={"model": MODEL, "messages": _EXAMPLE["messages"]},
        answers={"application/json": record({"input_tokens": WHOLE})},
        headers=AWS_HEADERS,
    ),
)
