"""The native API's operations, and those of the process."""

from __future__ import annotations

from typing import Final

from gateway.dialects.embeddings import EmbeddingBody
from gateway.dialects.native_schema import CompletionBody
from gateway.openapi.operation import (
    ANYTHING,
    AWS_HEADERS,
    FLAG,
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

NATIVE: Final = Dialect(
    name="Native",
    prefix="Native",
    about="Streams of NDJSON records that end in exactly one of `done` and `error`.",
    error=record(
        {
            "error": record(
                {
                    "code": TEXT,
                    "message": TEXT,
                    "retryable": FLAG,
                    "request_id": TEXT,
                    "upstream_request_id": nullable(TEXT),
                },
                {"param": TEXT},
            )
        }
    ),
    statuses=(400, 401, 403, 404, 406, 408, 413, 415, 417, 429, 500, 502, 503, 504),
    headers={
        "X-Request-Id": "A name for the request, in the log and on the answer; made if it is absent.",
        "X-Request-Timeout-Ms": "How long the caller will wait; the answer ends in an error after that.",
        "X-No-Fallback": "`true`: only the first target and the model that was asked for may answer.",
    },
)
PROCESS: Final = Dialect(
    name="Process", prefix="Process", about="Probes and versions.", error=NATIVE.error, statuses=()
)

MODEL: Final = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
BASE_MODEL: Final = "anthropic.claude-sonnet-4-5-20250929-v1:0"
"""Tokens are counted by models, not by inference profiles."""
_EXAMPLE = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
_USAGE = record(
    {
        name: nullable(WHOLE)
        for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    }
)
_CALL = record({"id": TEXT, "type": only("function"), "function": record({"name": TEXT, "arguments": TEXT})})
_COMPLETION = record(
    {
        "type": only("completion"),
        "id": TEXT,
        "model": TEXT,
        "provider": TEXT,
        "upstream_request_id": nullable(TEXT),
        "finish_reason": only("stop", "length", "tool_calls", "content_filter", "refusal"),
        "stop_reason": TEXT,
        "usage": _USAGE,
        "cost_usd": nullable(NUMBER),
        "timing": ANYTHING,
        "message": record(
            {"role": only("assistant"), "content": TEXT},
            {"reasoning": listing(ANYTHING), "tool_calls": listing(_CALL), "citations": listing(ANYTHING)},
        ),
    }
)

OPERATIONS: Final = (
    Operation(
        dialect=NATIVE,
        method="post",
        path="/chat/completions/stream",
        name="streamCompletion",
        summary="Stream an answer",
        about="A record a line: `start`, deltas, then `done` or `error`. A stream without either was cut.",
        body=CompletionBody,
        example=_EXAMPLE,
        answers={"application/x-ndjson": TEXT, "text/event-stream": TEXT, "text/plain": TEXT},
        headers=AWS_HEADERS,
    ),
    Operation(
        dialect=NATIVE,
        method="post",
        path="/chat/completions",
        name="createCompletion",
        summary="Get a whole answer",
        body=CompletionBody,
        example=_EXAMPLE,
        answers={"application/json": _COMPLETION},
        headers=AWS_HEADERS,
    ),
    Operation(
        dialect=NATIVE,
        method="post",
        path="/embeddings",
        name="createEmbeddings",
        summary="Turn texts and images into vectors",
        body=EmbeddingBody,
        example={"model": "amazon.titan-embed-text-v2:0", "input": ["Hello"]},
        answers={
            "application/json": record(
                {
                    "type": only("embeddings"),
                    "model": TEXT,
                    "data": {"type": "array"},
                    "usage": record({"input_tokens": nullable(WHOLE)}),
                }
            )
        },
    ),
    Operation(
        dialect=NATIVE,
        method="get",
        path="/models/config",
        name="modelsConfig",
        summary="List providers, models and default parameters",
        answers={"application/json": ANYTHING},
        statuses=(401, 403),
    ),
    Operation(
        dialect=PROCESS,
        method="get",
        path="/livez",
        name="live",
        summary="Whether the process turns",
        answers={"application/json": record({"status": only("live")})},
    ),
    Operation(
        dialect=PROCESS,
        method="get",
        path="/readyz",
        name="ready",
        summary="Whether the process wants requests",
        answers={"application/json": record({"status": only("ready"), "problems": listing(TEXT)})},
        statuses=(503,),
    ),
    Operation(
        dialect=PROCESS,
        method="get",
        path="/version",
        name="version",
        summary="What serves",
        answers={"application/json": record({"name": TEXT, "version": TEXT, "config_generation": WHOLE})},
    ),
)
