"""Rerank with boto3's client of the agent runtime in front and the emulator's InvokeModel behind."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from gateway.emulator import Emulator
from gateway.settings import CallerSettings, RetrySettings, TargetSettings
from tests.e2e.sdk import boto3_client
from tests.emulator.asking import CLAUDE, invoke
from tests.harness import lines

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from tests.harness import Caller, StartGateway

COHERE = "cohere.rerank-v3-5:0"
AMAZON = "amazon.rerank-v1:0"
ARN = "arn:aws:bedrock:us-east-1::foundation-model/"
QUERY = "What is the capital of Germany?"
TEXTS = ["The sun is hot", "Berlin is the capital of Germany", "A capital letter"]
JSON = {"title": "Rain", "of": "Germany"}
OWN = {AMAZON: {}, COHERE: {"api_version": 2}}


def asked(model: str, query: str = QUERY, **configuration: Any) -> dict[str, Any]:
    """Return the arguments of Rerank."""
    documents = [{"type": "TEXT", "textDocument": {"text": text}} for text in TEXTS]
    documents += [{"type": "JSON", "jsonDocument": JSON}]
    return {
        "queries": [{"type": "TEXT", "textQuery": {"text": query}}],
        "sources": [{"type": "INLINE", "inlineDocumentSource": document} for document in documents],
        "rerankingConfiguration": {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": model}, **configuration},
        },
    }


def plainly(model: str) -> Callable[[Any], Any]:
    """Return the plain call."""
    return lambda client: client.rerank(**asked(model))


async def rerank(url: str, call: Callable[[Any], Any], attempts: int = 1) -> Any:
    """Return what a call of boto3's gives, in a thread."""

    def run() -> Any:
        with boto3_client(url, attempts=attempts, service="bedrock-agent-runtime") as client:
            return call(client)

    return await asyncio.to_thread(run)


async def invoked(emulator: Emulator, model: str, **fields: Any) -> Any:
    """Return the results that InvokeModel of the emulator itself gives for the same."""
    key = emulator.settings.access_key_id, emulator.settings.secret_access_key
    documents = [*TEXTS, json.dumps(JSON, separators=(",", ":"))]
    body = {"query": QUERY, "documents": documents, **OWN[model], **fields}

    def run() -> Any:
        with boto3_client(emulator.url, key=key) as client:
            return invoke(client, model, body)["results"]

    return await asyncio.to_thread(run)


@pytest.mark.parametrize("model", [AMAZON, COHERE])
async def test_the_results_are_invoke_models(
    model: str, emulator: Emulator, caller: Caller, log: io.StringIO
) -> None:
    """Order and scores are; the ARN and the id are the same model; the log line is a model's."""
    answers = [await rerank(caller.url, plainly(name)) for name in (ARN + model, model)]
    calls = list(emulator.calls)
    direct = await invoked(emulator, model)

    for answer in answers:
        assert [(one["index"], one["relevanceScore"]) for one in answer["results"]] == [
            (one["index"], one["relevance_score"]) for one in direct
        ]
        assert "nextToken" not in answer
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert answer["ResponseMetadata"]["RequestId"] == headers["x-upstream-request-id"]
    assert len(direct) == len(TEXTS) + 1
    assert direct[0]["index"] == 1
    assert [(call.operation, call.model_id) for call in calls] == [
        ("invoke", ARN + model),
        ("invoke", model),
    ]
    for line in lines(log):
        assert (line["route"], line["outcome"], line["status"]) == ("/rerank", "ok", 200)
        assert (line["model"].removeprefix(ARN), line["provider"]) == (model, model.partition(".")[0])


async def test_the_best_of_them(emulator: Emulator, caller: Caller) -> None:
    """As many as are asked for, by boto3's paginator too: there is one page."""

    def call(client: Any) -> Any:
        pages = client.get_paginator("rerank").paginate(**asked(COHERE, numberOfResults=2))
        return [page["results"] for page in pages]

    [results] = await rerank(caller.url, call)
    direct = await invoked(emulator, COHERE, top_n=2)
    assert [one["index"] for one in results] == [one["index"] for one in direct]
    assert len(results) == 2


async def test_fields_of_the_models_own(emulator: Emulator, caller: Caller) -> None:
    """They go into its body, and are its to refuse."""
    fields = {"max_tokens_per_doc": 0}
    arguments = asked(COHERE)
    model = arguments["rerankingConfiguration"]["bedrockRerankingConfiguration"]["modelConfiguration"]
    model["additionalModelRequestFields"] = fields
    with pytest.raises(ClientError, match="max_tokens_per_doc") as caught:
        await rerank(caller.url, lambda client: client.rerank(**arguments))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert len(emulator.calls) == 1


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (CLAUDE, "modelConfiguration.modelArn: this model does not rerank"),
        ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl", "base_model"),
        ("arn:aws:bedrock:us-east-1::guardrail/a", "not a Bedrock model id"),
    ],
)
async def test_models_that_do_not_rerank(model: str, words: str, emulator: Emulator, caller: Caller) -> None:
    """It is a mistake of the caller's, and nobody is asked."""

    def call(client: Any) -> None:
        with pytest.raises(client.exceptions.ValidationException) as caught:
            client.rerank(**asked(model))
        assert words in caught.value.response["Error"]["Message"]

    await rerank(caller.url, call)
    assert len(emulator.calls) == 0


@pytest.mark.parametrize(
    ("code", "raised", "status"),
    [
        ("ThrottlingException", "ThrottlingException", 429),
        ("ModelNotReadyException", "ThrottlingException", 429),
        ("ModelErrorException", "DependencyFailedException", 424),
        ("AccessDeniedException", "AccessDeniedException", 403),
        ("InternalServerException", "InternalServerException", 500),
    ],
)
async def test_errors_by_their_class(
    code: str, raised: str, status: int, emulator: Emulator, start: StartGateway
) -> None:
    """An error of InvokeModel's is what Rerank has for it to a caller's `except`."""

    def call(client: Any) -> None:
        with pytest.raises(getattr(client.exceptions, raised)) as caught:
            client.rerank(**asked(ARN + AMAZON, f"[[emulator error={code}]]"))
        answer = caught.value.response
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
        assert answer["ResponseMetadata"]["RequestId"]

    async with start(emulator, retries=RetrySettings(max_attempts=1)) as caller:
        await rerank(caller.url, call)


async def test_what_fails_is_sent_to_the_next_target(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """With the same body, as other requests are."""
    region = emulator.settings.region
    async with Emulator() as dead:
        urls = {"first": dead.url, "second": emulator.url}
    targets = {name: TargetSettings(region=region, endpoint_url=url) for name, url in urls.items()}
    async with start(emulator, targets=targets) as caller:
        answer = await rerank(caller.url, plainly(ARN + COHERE))
    assert answer["results"][0]["index"] == 1
    [line] = lines(log)
    assert (line["outcome"], line["attempts"], line["target"]) == ("ok", 2, "second")


async def test_a_signature_names_its_caller(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """By the same key that the SDK signs its other requests to Bedrock with; others are refused."""
    for key, known in (("AKIAOFACALLER", True), ("AKIAOFANOTHER", False)):
        async with start(emulator, callers={"team-a": CallerSettings(access_key_ids=(key,))}) as caller:
            if known:
                await rerank(caller.url, plainly(AMAZON))
                continue
            with pytest.raises(ClientError, match="UnrecognizedClientException"):
                await rerank(caller.url, plainly(AMAZON))
    assert [line.get("caller") for line in lines(log)] == ["team-a", None]
