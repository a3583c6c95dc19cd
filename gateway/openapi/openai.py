"""OpenAI's operations."""

from __future__ import annotations

from typing import Final

from gateway.dialects.openai_embeddings import EmbeddingBody
from gateway.dialects.openai_schema import ChatBody
from gateway.dialects.responses_schema import ResponseBody
from gateway.openapi.anthropic import ANTHROPIC, ANTHROPIC_MODEL, ANTHROPIC_PAGE
from gateway.openapi.native import MODEL, NATIVE
from gateway.openapi.operation import (
    ANYTHING,
    AWS_HEADERS,
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
        {
            "error": record(
                {"message": TEXT, "type": TEXT, "param": nullable(TEXT), "code": nullable(TEXT)},
                {"request_id": TEXT},
            )
        }
    ),
    statuses=tuple(status for status in NATIVE.statuses if status != 406),  # noqa: PLR2004 - Accept is not asked
    headers=NATIVE.headers,
)

_ANTHROPIC_VERSION = {"anthropic-version": ANTHROPIC.headers["anthropic-version"]}
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
_COUNT = nullable(WHOLE)
_CHAT = record(
    {
        "id": TEXT,
        "object": only("chat.completion"),
        "created": WHOLE,
        "model": TEXT,
        "choices": listing(
            record(
                {
                    "index": WHOLE,
                    "message": record({"role": only("assistant"), "content": nullable(TEXT)}),
                    "finish_reason": only("stop", "length", "tool_calls", "content_filter"),
                },
                {"native_finish_reason": TEXT},
            )
        ),
        "usage": record({"prompt_tokens": _COUNT, "completion_tokens": _COUNT, "total_tokens": _COUNT}),
    },
    {"service_tier": TEXT},
)
_EMBEDDINGS = record(
    {
        "object": only("list"),
        "model": TEXT,
        "data": listing(
            record(
                {
                    "object": only("embedding"),
                    "index": WHOLE,
                    "embedding": {"anyOf": [listing(NUMBER), TEXT]},
                }
            )
        ),
        "usage": record({"prompt_tokens": _COUNT, "total_tokens": _COUNT}),
    }
)
_LISTED = record(
    {"id": TEXT, "object": only("model"), "created": WHOLE, "owned_by": TEXT}, {"shutdown_date": TEXT}
)

OPERATIONS: Final = (
    Operation(
        dialect=OPENAI,
        method="post",
        path="/v1/chat/completions",
        name="createOpenaiChatCompletion",
        summary="Create a chat completion",
        about="`thinking_blocks` of an answer go back as they came, so that reasoning goes on behind tools.",
        body=ChatBody,
        example={"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]},
        answers={"application/json": _CHAT, "text/event-stream": TEXT},
        headers=AWS_HEADERS,
    ),
    Operation(
        dialect=OPENAI,
        method="post",
        path="/v1/responses",
        name="createResponse",
        summary="Create a response",
        about="Stateless: nothing is stored, and the whole conversation comes in `input`.",
        body=ResponseBody,
        example={"model": MODEL, "input": "Hello", "max_output_tokens": 100},
        answers={"application/json": _RESPONSE, "text/event-stream": TEXT},
        headers=AWS_HEADERS,
    ),
    Operation(
        dialect=OPENAI,
        method="post",
        path="/v1/embeddings",
        name="createOpenaiEmbeddings",
        summary="Embed texts",
        body=EmbeddingBody,
        example={"model": "amazon.titan-embed-text-v2:0", "input": ["Hello"]},
        answers={"application/json": _EMBEDDINGS},
    ),
    Operation(
        dialect=OPENAI,
        method="get",
        path="/v1/models",
        name="listModels",
        summary="List the models",
        about="Aliases, chat models and embedding models that are served here; with `anthropic-version` in "
        "Anthropic's shape, by pages.",
        answers={
            "application/json": {
                "anyOf": [record({"object": only("list"), "data": listing(_LISTED)}), ANTHROPIC_PAGE]
            }
        },
        statuses=(400, 401, 403),
        also=ANTHROPIC,
        headers=_ANTHROPIC_VERSION,
        query={
            "limit": "With `anthropic-version`: models of one page, from 1 to 1000; 20 where it is not said.",
            "after_id": "With `anthropic-version`: the page behind this model.",
            "before_id": "With `anthropic-version`: the page before this model.",
        },
    ),
    Operation(
        dialect=OPENAI,
        method="get",
        path="/v1/models/{model}",
        name="retrieveModel",
        summary="Look a model up",
        about="Any id or ARN that a request could name, in the list or not; with `anthropic-version` in "
        "Anthropic's shape.",
        answers={"application/json": {"anyOf": [_LISTED, ANTHROPIC_MODEL]}},
        also=ANTHROPIC,
        headers=_ANTHROPIC_VERSION,
        parameters={"model": "An alias, an id or an ARN; raw or encoded."},
        path_example={"model": "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"},
        statuses=(400, 401, 403, 404),
    ),
)
