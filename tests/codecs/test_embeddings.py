"""Embedding codecs: bodies, vectors, refusals, and the recorded answers."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from gateway.codecs.embeddings import EMBEDDERS, embedder_for
from gateway.domain import EmbeddingInput, EmbeddingRequest, ImagePart
from gateway.errors import InvalidRequest, UpstreamProtocolError
from tests.harness import shared

V1, V2, MULTI = "amazon.titan-embed-text-v1", "amazon.titan-embed-text-v2:0", "amazon.titan-embed-image-v1"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"
C3, C4 = "cohere.embed-english-v3", "cohere.embed-v4:0"
HI = EmbeddingInput(text="Hi")
PICTURE = EmbeddingInput(image=ImagePart("png", b"png"))
BOTH = EmbeddingInput("Hi", ImagePart("png", b"png"))


def _body(model: str, *inputs: EmbeddingInput, **fields: Any) -> dict[str, Any]:
    request = EmbeddingRequest(model=model, inputs=inputs, **fields)
    body: dict[str, Any] = json.loads(embedder_for(model).format(request, inputs, 0))
    return body


GENERIC = {"embeddingPurpose": "GENERIC_INDEX"}


@pytest.mark.parametrize(
    ("model", "inputs", "fields", "body"),
    [
        (V1, (HI,), {}, {"inputText": "Hi"}),
        (V2, (HI,), {}, {"inputText": "Hi"}),
        (
            V2,
            (HI,),
            {"dimensions": 256, "normalize": False},
            {"inputText": "Hi", "dimensions": 256, "normalize": False},
        ),
        (
            MULTI,
            (HI,),
            {"dimensions": 384},
            {"inputText": "Hi", "embeddingConfig": {"outputEmbeddingLength": 384}},
        ),
        (MULTI, (BOTH,), {}, {"inputText": "Hi", "inputImage": "cG5n"}),
        (
            NOVA,
            (HI,),
            {},
            {
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {**GENERIC, "text": {"truncationMode": "NONE", "value": "Hi"}},
            },
        ),
        (
            NOVA,
            (HI,),
            {"input_type": "search_query", "truncate": "end", "dimensions": 3072},
            {
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": "GENERIC_RETRIEVAL",
                    "text": {"truncationMode": "END", "value": "Hi"},
                    "embeddingDimension": 3072,
                },
            },
        ),
        (
            NOVA,
            (PICTURE,),
            {"input_type": "IMAGE_RETRIEVAL"},
            {
                "taskType": "SINGLE_EMBEDDING",
                "singleEmbeddingParams": {
                    "embeddingPurpose": "IMAGE_RETRIEVAL",
                    "image": {"format": "png", "source": {"bytes": "cG5n"}},
                },
            },
        ),
        (C3, (HI, HI), {}, {"texts": ["Hi", "Hi"], "input_type": "search_document"}),
        (
            C3,
            (HI,),
            {"input_type": "clustering", "truncate": "start"},
            {"texts": ["Hi"], "input_type": "clustering", "truncate": "START"},
        ),
        (
            C4,
            (HI,),
            {"dimensions": 512},
            {"texts": ["Hi"], "input_type": "search_document", "output_dimension": 512},
        ),
        (
            C4,
            (HI, BOTH),
            {},
            {
                "inputs": [
                    {"content": [{"type": "text", "text": "Hi"}]},
                    {
                        "content": [
                            {"type": "text", "text": "Hi"},
                            {"type": "image_url", "image_url": "data:image/png;base64,cG5n"},
                        ]
                    },
                ],
                "input_type": "search_document",
            },
        ),
    ],
)
def test_format(
    model: str, inputs: tuple[EmbeddingInput, ...], fields: dict[str, Any], body: dict[str, Any]
) -> None:
    """Each field reaches the place that the family has for it."""
    assert _body(model, *inputs, **fields) == body


@pytest.mark.parametrize(
    ("model", "given", "fields", "param"),
    [
        *((V1, HI, {field: value}, field) for field, value in (("dimensions", 256), ("normalize", True))),
        *((V1, HI, {field: value}, field) for field, value in (("input_type", "x"), ("truncate", "end"))),
        (V1, PICTURE, {}, "input[0]"),
        (V2, HI, {"dimensions": 300}, "dimensions"),
        (V2, HI, {"input_type": "search_query"}, "input_type"),
        (V2, BOTH, {}, "input[0]"),
        (MULTI, HI, {"normalize": True}, "normalize"),
        (MULTI, HI, {"dimensions": 512}, "dimensions"),
        (MULTI, EmbeddingInput(image=ImagePart("gif", b"x")), {}, "input[0]"),
        (NOVA, HI, {"normalize": True}, "normalize"),
        (NOVA, HI, {"input_type": "poetry"}, "input_type"),
        (NOVA, HI, {"dimensions": 512}, "dimensions"),
        (NOVA, BOTH, {}, "input[0]"),
        (NOVA, PICTURE, {"truncate": "end"}, "truncate"),
        (C3, HI, {"dimensions": 256}, "dimensions"),
        (C3, HI, {"normalize": True}, "normalize"),
        (C3, PICTURE, {}, "input[0]"),
        (C3, HI, {"input_type": "GENERIC_INDEX"}, "input_type"),
        (C4, HI, {"dimensions": 300}, "dimensions"),
    ],
)
def test_refusals(model: str, given: EmbeddingInput, fields: dict[str, Any], param: str) -> None:
    """What a family does not have is refused by name."""
    with pytest.raises(InvalidRequest) as refused:
        _body(model, given, **fields)

    assert refused.value.param == param


@pytest.mark.parametrize("base_id", [None, "anthropic.claude-3-haiku-20240307-v1:0", "cohere.embed"])
def test_no_embedding_model(base_id: str | None) -> None:
    """A model that embeds nothing is refused, and the known ones are named."""
    with pytest.raises(InvalidRequest, match=r"amazon\.titan-embed-text-v2") as refused:
        embedder_for(base_id)

    assert refused.value.param == "model"


@pytest.mark.parametrize("model", sorted(EMBEDDERS))
@pytest.mark.parametrize(
    "body",
    [
        b"no", b"[]", b"{}", b'{"embedding":5,"embeddings":5}', b'{"embedding":["x"],"embeddings":[["x"]]}',
        b'{"embedding":[],"embeddings":[]}', b'{"embeddings":{"float":null}}',
        b'{"embeddings":[{"embedding":[true]}]}',
        b'{"embeddings":[[1.0],[2.0]]}', b'{"embedding":[1.0],"inputTextTokenCount":-1}',
    ],
)  # fmt: skip
def test_malformed_answers(model: str, body: bytes) -> None:
    """An answer of another shape, or with another number of vectors, is a broken protocol."""
    with pytest.raises(UpstreamProtocolError):
        embedder_for(model).read(body, {}, 1)


@pytest.mark.parametrize(
    ("value", "tokens"), [("7", 7), ("", None), ("x", None), ("²", None), ("9" * 12, None)]
)
def test_token_header(value: str, tokens: int | None) -> None:
    """The header counts tokens where it is a number."""
    headers = {"x-amzn-bedrock-input-token-count": value}

    assert embedder_for(C3).read(b'{"embeddings":[[1.0]]}', headers, 1).input_tokens == tokens


def _recorded() -> list[Any]:
    try:
        folder = shared("recordings", "GATEWAY_RECORDINGS")
    except pytest.skip.Exception:
        return []
    found = [orjson.loads(path.read_bytes()) for path in sorted(folder.glob("invoke_*.json"))]
    return [
        pytest.param(recording, id=recording["id"])
        for recording in found
        if "embeddings" in (recording["response"] or ()) or "embedding" in (recording["response"] or ())
    ]


@pytest.mark.parametrize("recording", _recorded())
def test_recorded_answers(recording: dict[str, Any]) -> None:
    """Every recorded answer gives its vectors and its count of tokens."""
    answer, model = recording["response"], recording["model_id"]
    base_id = V2 if model.startswith("arn:") else model  # the profile's ARN is opaque; its answer is Titan's
    expected = [answer["embedding"]] if "embedding" in answer else answer["embeddings"]
    if isinstance(expected, dict):
        expected = expected["float"]
    if isinstance(expected[0], dict):
        expected = [item["embedding"] for item in expected]

    found = embedder_for(base_id).read(orjson.dumps(answer), recording["response_headers"], len(expected))

    assert found.vectors == expected
    assert found.input_tokens == int(recording["response_headers"]["x-amzn-bedrock-input-token-count"])
