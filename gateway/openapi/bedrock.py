"""Bedrock's own operations."""

from __future__ import annotations

from typing import Final

from gateway.openapi.native import BASE_MODEL, MODEL, NATIVE
from gateway.openapi.operation import (
    ANYTHING,
    AWS_HEADERS,
    NUMBER,
    TEXT,
    WHOLE,
    Dialect,
    Operation,
    listing,
    only,
    record,
)

BEDROCK: Final = Dialect(
    name="Bedrock",
    prefix="Bedrock",
    about=(
        "What AWS's SDKs speak: set `endpoint_url` to this gateway. Bodies and answers pass as they are, "
        "checked; AWS's documentation describes them."
    ),
    error=record({"message": TEXT}),
    statuses=(400, 401, 403, 404, 408, 413, 415, 417, 424, 429, 500, 503),
    headers=NATIVE.headers,
)

_MODEL_ID = {"modelId": "A model id, an inference profile or an ARN, encoded or not."}
_TURN = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
_CLAUDE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
_INVOKE_BODY = {**ANYTHING, "description": "The body of InvokeModel in the words of the model's family."}
_CONVERSE_BODY = {
    **record({"messages": listing(ANYTHING)}),
    "description": "The body of Converse.",
}
_INVOKE_HEADERS = {
    **AWS_HEADERS,
    "X-Amzn-Bedrock-Trace": (
        "`ENABLED`, `ENABLED_FULL` or `DISABLED`: the guardrail's trace; unmasked text is taken out of it."
    ),
    "X-Amzn-Bedrock-Accept": "The media type of the answer.",
}
_GUARDRAIL = {
    "guardrailIdentifier": "A guardrail's id or ARN.",
    "guardrailVersion": "`DRAFT`, or a number.",
}
_QUERY = record({"type": only("TEXT"), "textQuery": record({"text": TEXT})})
_DOCUMENT = record(
    {"type": only("TEXT", "JSON")}, {"textDocument": record({"text": TEXT}), "jsonDocument": {}}
)
_RERANKER = record(
    {"modelConfiguration": record({"modelArn": TEXT}, {"additionalModelRequestFields": ANYTHING})},
    {"numberOfResults": {**WHOLE, "minimum": 1, "maximum": 1000}},
)
_RERANK_BODY = {
    **record(
        {
            "queries": {**listing(_QUERY), "minItems": 1, "maxItems": 1},
            "sources": {
                **listing(record({"type": only("INLINE"), "inlineDocumentSource": _DOCUMENT})),
                "minItems": 1,
                "maxItems": 1000,
            },
            "rerankingConfiguration": record(
                {"type": only("BEDROCK_RERANKING_MODEL"), "bedrockRerankingConfiguration": _RERANKER}
            ),
        }
    ),
    "description": "The body of Rerank.",
}
_RERANK = {
    "queries": [{"type": "TEXT", "textQuery": {"text": "What is the capital of Germany?"}}],
    "sources": [
        {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}}
        for text in ("The sun is hot.", "Berlin is the capital of Germany.")
    ],
    "rerankingConfiguration": {
        "type": "BEDROCK_RERANKING_MODEL",
        "bedrockRerankingConfiguration": {
            "modelConfiguration": {
                "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.rerank-v1:0"
            }
        },
    },
}
_EVENTS = "application/vnd.amazon.eventstream"

OPERATIONS: Final = (
    Operation(
        dialect=BEDROCK,
        method="post",
        path="/model/{modelId}/invoke",
        name="invokeModel",
        summary="InvokeModel",
        body=_INVOKE_BODY,
        example=_CLAUDE,
        answers={"application/json": ANYTHING},
        parameters=_MODEL_ID,
        path_example={"modelId": MODEL},
        headers=_INVOKE_HEADERS,
    ),
    Operation(
        dialect=BEDROCK,
        method="post",
        path="/model/{modelId}/invoke-with-response-stream",
        name="invokeModelWithResponseStream",
        summary="InvokeModelWithResponseStream",
        about="A stream that fails ends in an exception frame.",
        body=_INVOKE_BODY,
        example=_CLAUDE,
        answers={_EVENTS: TEXT},
        parameters=_MODEL_ID,
        path_example={"modelId": MODEL},
        headers=_INVOKE_HEADERS,
    ),
    Operation(
        dialect=BEDROCK,
        method="post",
        path="/model/{modelId}/converse",
        name="converse",
        summary="Converse",
        body=_CONVERSE_BODY,
        example=_TURN,
        answers={"application/json": ANYTHING},
        parameters=_MODEL_ID,
        path_example={"modelId": MODEL},
    ),
    Operation(
        dialect=BEDROCK,
        method="post",
        path="/model/{modelId}/converse-stream",
        name="converseStream",
        summary="ConverseStream",
        about="A stream that fails ends in an exception frame.",
        body=_CONVERSE_BODY,
        example=_TURN,
        answers={_EVENTS: TEXT},
        parameters=_MODEL_ID,
        path_example={"modelId": MODEL},
    ),
    Operation(
        dialect=BEDROCK,
        method="post",
        path="/model/{modelId}/count-tokens",
        name="countTokens",
        summary="CountTokens",
        body=record({"input": ANYTHING}),
        example={"input": {"converse": _TURN}},
        answers={"application/json": record({"inputTokens": WHOLE})},
        parameters=_MODEL_ID,
        path_example={"modelId": BASE_MODEL},
    ),
    Operation(
        dialect=BEDROCK,
        method="post",
        path="/guardrail/{guardrailIdentifier}/version/{guardrailVersion}/apply",
        name="applyGuardrail",
        summary="ApplyGuardrail",
        body=record({"source": TEXT, "content": listing(ANYTHING)}),
        example={"source": "INPUT", "content": [{"text": {"text": "Hello"}}]},
        answers={"application/json": ANYTHING},
        parameters={
            "guardrailIdentifier": "A guardrail's id or ARN.",
            "guardrailVersion": "`DRAFT`, or a number.",
        },
        path_example={"guardrailIdentifier": "emulated", "guardrailVersion": "DRAFT"},
    ),
    Operation(
        dialect=BEDROCK,
        method="post",
        path="/rerank",
        name="rerank",
        summary="Rerank",
        about=(
            "Of the agent runtime, asked of the same model by InvokeModel. All results come in one answer; a "
            "JSON document is ranked as its text."
        ),
        body=_RERANK_BODY,
        example=_RERANK,
        answers={
            "application/json": record(
                {"results": listing(record({"index": WHOLE, "relevanceScore": NUMBER}))}
            )
        },
        statuses=tuple(sorted({*BEDROCK.statuses, 409})),
    ),
)
