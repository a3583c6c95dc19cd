"""Rerank of the agent runtime: what is read of its bodies, and what InvokeModel is asked and says."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from botocore.session import Session

from gateway.dialects import bedrock_errors, bedrock_rerank
from gateway.errors import InvalidRequest, UpstreamFailed, UpstreamProtocolError

AMAZON = "amazon.rerank-v1:0"
COHERE = "cohere.rerank-v3-5:0"
RERANKER = "rerankingConfiguration.bedrockRerankingConfiguration"
MODEL = f"{RERANKER}.modelConfiguration"
DOCUMENT = "sources[0].inlineDocumentSource"
REMOVED = object()


def inline(**document: Any) -> dict[str, Any]:
    """Return a source."""
    return {"type": "INLINE", "inlineDocumentSource": document}


def asked(model: str = AMAZON) -> dict[str, Any]:
    """Return a body."""
    return {
        "queries": [{"type": "TEXT", "textQuery": {"text": "a?"}}],
        "sources": [
            inline(type="TEXT", textDocument={"text": "a"}),
            inline(type="JSON", jsonDocument={"title": "b", "n": [1, None]}),
        ],
        "rerankingConfiguration": {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": model}},
        },
    }


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    """Return the body with another value at a path, or with none."""
    value = copy.deepcopy(asked())
    inner: Any = value
    for step in path[:-1]:
        inner = inner[step]
    if to is REMOVED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return value


CONFIGURATION = ("rerankingConfiguration", "bedrockRerankingConfiguration")
MODEL_PATH = (*CONFIGURATION, "modelConfiguration")
FIRST = ("sources", 0, "inlineDocumentSource")
SECOND = ("sources", 1, "inlineDocumentSource")
QUESTION = {"query": "a?", "documents": ["a", '{"title":"b","n":[1,null]}']}


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        (AMAZON, asked(), QUESTION),
        (COHERE, asked(), {**QUESTION, "api_version": 2}),
        ("cohere.rerank-v4:0", asked(), {**QUESTION, "api_version": 2}),
        (AMAZON, changed("nextToken", to=None), QUESTION),
        (AMAZON, changed(*CONFIGURATION, "numberOfResults", to=1), {**QUESTION, "top_n": 1}),
        (AMAZON, changed(*CONFIGURATION, "numberOfResults", to=1000), {**QUESTION, "top_n": 2}),
        (AMAZON, changed(*MODEL_PATH, "additionalModelRequestFields", to=None), QUESTION),
        (
            COHERE,
            changed(
                *MODEL_PATH, "additionalModelRequestFields", to={"max_tokens_per_doc": 9, "api_version": 3}
            ),
            {**QUESTION, "api_version": 3, "max_tokens_per_doc": 9},
        ),
        (
            AMAZON,
            changed(*SECOND, to={"type": "JSON", "jsonDocument": "b"}),
            {**QUESTION, "documents": ["a", '"b"']},
        ),
        (
            AMAZON,
            changed(*SECOND, to={"type": "TEXT", "textDocument": {"text": "é"}, "jsonDocument": None}),
            {**QUESTION, "documents": ["a", "é"]},
        ),
    ],
)
def test_what_invoke_model_is_asked(model: str, body: Any, expected: Any) -> None:
    """The same, in the words of the model."""
    assert json.loads(bedrock_rerank.body(bedrock_rerank.parse(body), model)) == expected


@pytest.mark.parametrize("model", [AMAZON, f"arn:aws:bedrock:us-east-1::foundation-model/{AMAZON}"])
def test_the_model_is_what_the_caller_writes(model: str) -> None:
    """An ARN or an id: the catalogue's to read."""
    assert bedrock_rerank.parse(asked(model)).model == model


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ([], "body"),
        ({}, "queries"),
        (changed("other", to=1), "other"),
        (changed("other field", to=1), "?"),
        (changed("nextToken", to="a"), "nextToken"),
        (changed("queries", to=asked()["queries"] * 2), "queries"),
        (changed("queries", to={}), "queries"),
        (changed("queries", 0, to="a?"), "queries[0]"),
        (changed("queries", 0, "type", to="IMAGE"), "queries[0].type"),
        (changed("queries", 0, "textQuery", to=REMOVED), "queries[0].textQuery"),
        (changed("queries", 0, "textQuery", "text", to=REMOVED), "queries[0].textQuery.text"),
        (changed("queries", 0, "textQuery", "text", to=""), "queries[0].textQuery.text"),
        (changed("queries", 0, "textQuery", "text", to=1), "queries[0].textQuery.text"),
        (changed("queries", 0, "textQuery", "text", to="a" * 32_001), "queries[0].textQuery.text"),
        (changed("queries", 0, "textQuery", "lang", to="en"), "queries[0].textQuery.lang"),
        (changed("sources", to=REMOVED), "sources"),
        (changed("sources", to=[]), "sources"),
        (changed("sources", to=asked()["sources"] * 501), "sources"),
        (changed("sources", 0, to=None), "sources[0]"),
        (changed("sources", 0, "type", to="S3"), "sources[0].type"),
        (changed("sources", 0, "s3", to={}), "sources[0].s3"),
        (changed(*FIRST, to=REMOVED), DOCUMENT),
        (changed(*FIRST, "type", to=["TEXT"]), f"{DOCUMENT}.type"),
        (changed(*FIRST, "type", to=REMOVED), f"{DOCUMENT}.type"),
        (changed(*FIRST, "bytes", to=""), f"{DOCUMENT}.bytes"),
        (changed(*FIRST, "jsonDocument", to={}), f"{DOCUMENT}.jsonDocument"),
        (changed(*FIRST, "textDocument", to=REMOVED), f"{DOCUMENT}.textDocument"),
        (
            changed(*SECOND, "textDocument", to={"text": "a"}),
            "sources[1].inlineDocumentSource.textDocument",
        ),
        (changed(*SECOND, "jsonDocument", to=None), "sources[1].inlineDocumentSource.jsonDocument"),
        (changed("rerankingConfiguration", to=REMOVED), "rerankingConfiguration"),
        (changed("rerankingConfiguration", "type", to="OTHER"), "rerankingConfiguration.type"),
        (changed(*CONFIGURATION, to=REMOVED), RERANKER),
        (changed(*CONFIGURATION, "other", to=1), f"{RERANKER}.other"),
        *(
            (changed(*CONFIGURATION, "numberOfResults", to=number), f"{RERANKER}.numberOfResults")
            for number in (0, 1001, True, 1.0, "1")
        ),
        (changed(*MODEL_PATH, to=REMOVED), MODEL),
        (changed(*MODEL_PATH, "modelArn", to=REMOVED), f"{MODEL}.modelArn"),
        (changed(*MODEL_PATH, "modelArn", to=""), f"{MODEL}.modelArn"),
        (
            changed(*MODEL_PATH, "additionalModelRequestFields", to=[]),
            f"{MODEL}.additionalModelRequestFields",
        ),
        *(
            (
                changed(*MODEL_PATH, "additionalModelRequestFields", to={name: None}),
                f"{MODEL}.additionalModelRequestFields.{name}",
            )
            for name in ("query", "documents", "top_n", "return_documents")
        ),
    ],
)
def test_bodies_that_are_none(body: Any, place: str) -> None:
    """They are refused by the field."""
    with pytest.raises(InvalidRequest) as caught:
        bedrock_rerank.parse(body)

    assert caught.value.param == place
    assert caught.value.message.startswith(f"{place}: ")


@pytest.mark.parametrize("model", [None, "amazon.nova-lite-v1:0", "other.rerank-v1:0"])
def test_models_that_do_not_rerank(model: str | None) -> None:
    """An ARN that does not tell its model is none either."""
    with pytest.raises(InvalidRequest, match="does not rerank") as caught:
        bedrock_rerank.body(bedrock_rerank.parse(asked()), model)

    assert caught.value.param == f"{MODEL}.modelArn"


def test_headers() -> None:
    """What a caller accepts is about Rerank's answer, which has no room for a trace."""
    given = {"Accept": "*/*", "X-Amzn-Bedrock-Accept": "a/b", "X-Amzn-Bedrock-Request-Metadata": "{}"}
    assert bedrock_rerank.headers(given) == {"X-Amzn-Bedrock-Request-Metadata": "{}"}

    with pytest.raises(InvalidRequest) as caught:
        bedrock_rerank.headers({"X-Amzn-Bedrock-Trace": "ENABLED"})
    assert caught.value.param == "X-Amzn-Bedrock-Trace"


def test_the_answer() -> None:
    """Order and scores are the model's, to the last digit."""
    invoked = (
        b'{"results":[{"index":1,"relevance_score":0.8417862},{"index":0,"relevance_score":0}],"id":"x"}'
    )

    assert bedrock_rerank.answer(bedrock_rerank.parse(asked()), invoked) == (
        b'{"results":[{"index":1,"relevanceScore":0.8417862},{"index":0,"relevanceScore":0}]}'
    )


@pytest.mark.parametrize(
    "invoked",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"results":{}}',
        b'{"results":[1]}',
        b'{"results":[{"index":2,"relevance_score":1}]}',
        b'{"results":[{"index":-1,"relevance_score":1}]}',
        b'{"results":[{"index":true,"relevance_score":1}]}',
        b'{"results":[{"relevance_score":1}]}',
        b'{"results":[{"index":1,"relevance_score":"1"}]}',
        b'{"results":[{"index":1}]}',
    ],
)
def test_answers_that_are_none(invoked: bytes) -> None:
    """A document that nobody asked about, or no score at all."""
    with pytest.raises(UpstreamProtocolError):
        bedrock_rerank.answer(bedrock_rerank.parse(asked()), invoked)


def test_errors_are_those_of_rerank() -> None:
    """By the service's own model: code and status; a dead Bedrock is told as everywhere at AWS."""
    operation = Session().get_service_model("bedrock-agent-runtime").operation_model("Rerank")
    known = {shape.name: shape.metadata["error"]["httpStatusCode"] for shape in operation.error_shapes}

    for code in {*bedrock_errors.STATUSES} - {"ModelStreamErrorException", "ServiceUnavailableException"}:
        answer = bedrock_rerank.refusal(UpstreamFailed("x", upstream_code=code), "req_1")
        told = answer.headers["x-amzn-ErrorType"]
        assert told in ({code} if code in known else known)
        assert answer.status == known[told]
        assert answer.value == {"message": "x"}
