"""Reranking, by InvokeModel and by the agent runtime."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from gateway.emulator.errors import BedrockError
from tests.emulator.asking import CLAUDE, invoke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.emulator import Emulator
    from gateway.emulator.delivery import Reply

    Ask = Callable[[str, str, Any], Reply]

COHERE = "cohere.rerank-v3-5:0"
AMAZON = "amazon.rerank-v1:0"
DOCUMENTS = ["The sun is hot", "Berlin is the capital of Germany", "A capital letter", "Rain"]
QUERY = "What is the capital of Germany?"
BEST = [1, 0, 2, 3]


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        (COHERE, {"query": QUERY, "documents": DOCUMENTS, "api_version": 2}, BEST),
        (COHERE, {"query": QUERY, "documents": DOCUMENTS, "api_version": 2, "top_n": 2}, BEST[:2]),
        (AMAZON, {"query": QUERY, "documents": [*DOCUMENTS[:3], {"text": "Rain"}]}, BEST),
    ],
)
async def test_documents_are_ranked(client: Any, model: str, body: Any, expected: list[int]) -> None:
    """Best first, with a score between nothing and one."""
    results = (await asyncio.to_thread(invoke, client, model, body))["results"]

    assert [result["index"] for result in results] == expected
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        (COHERE, {"query": QUERY, "documents": DOCUMENTS}, r"#: required key \[api_version\] not found"),
        (COHERE, {"query": QUERY, "documents": [], "api_version": 2}, "expected minimum item count: 1"),
        (AMAZON, {"documents": DOCUMENTS}, r"#: required key \[query\] not found"),
    ],
)
def test_bodies_that_are_none_are_refused(reply: Ask, model: str, body: Any, message: str) -> None:
    """In the words of the schema check."""
    with pytest.raises(BedrockError, match=message):
        reply("invoke", model, body)


def test_ranking_does_not_stream(reply: Ask) -> None:
    """As embeddings do not."""
    with pytest.raises(BedrockError, match="unsupported for streaming"):
        reply("invoke-with-response-stream", COHERE, {})


@contextmanager
def agent(emulator: Emulator) -> Iterator[Any]:
    """Give boto3's client of the agent runtime."""
    settings = emulator.settings
    client = boto3.session.Session().client(
        "bedrock-agent-runtime",
        endpoint_url=emulator.url,
        region_name=settings.region,
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=settings.secret_access_key,
        config=Config(retries={"total_max_attempts": 1}),
    )
    try:
        yield client
    finally:
        client.close()


def rerank(client: Any, model: str, query: str) -> Any:
    """Return what Rerank answers."""
    texts = [{"type": "TEXT", "textDocument": {"text": text}} for text in DOCUMENTS[:3]]
    documents = [*texts, {"type": "JSON", "jsonDocument": {"title": "Rain"}}]
    configuration = {
        "modelConfiguration": {"modelArn": f"arn:aws:bedrock:us-east-1::foundation-model/{model}"},
        "numberOfResults": 2,
    }
    return client.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": query}}],
        sources=[{"type": "INLINE", "inlineDocumentSource": document} for document in documents],
        rerankingConfiguration={
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": configuration,
        },
    )


async def test_the_agent_runtime_ranks(emulator: Emulator) -> None:
    """Its own operation, by the same models, and fails when it is to; others do not rank."""
    with agent(emulator) as client:
        ranked = await asyncio.to_thread(rerank, client, AMAZON, QUERY)
        with pytest.raises(client.exceptions.ThrottlingException):
            await asyncio.to_thread(rerank, client, AMAZON, "[[emulator error=ThrottlingException]]")
        with pytest.raises(client.exceptions.ValidationException, match="doesn't support reranking"):
            await asyncio.to_thread(rerank, client, CLAUDE.removeprefix("us."), QUERY)

    assert [result["index"] for result in ranked["results"]] == BEST[:2]
    assert [(call.operation, call.model_id, call.status) for call in emulator.calls] == [
        ("rerank", "", status) for status in (200, 429, 400)
    ]


def test_a_reply_of_the_agent_runtime_can_break(reply: Ask) -> None:
    """The connection breaks off where a directive says so."""
    body = {
        "queries": [{"type": "TEXT", "textQuery": {"text": "x [[emulator reset=0+3]]"}}],
        "sources": [
            {
                "type": "INLINE",
                "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "x"}},
            }
        ],
        "rerankingConfiguration": {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": AMAZON}},
        },
    }

    assert json.dumps(reply("rerank", "", body).ending) == '"reset"'
