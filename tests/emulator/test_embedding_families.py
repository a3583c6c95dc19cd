"""The families that embed: the recorded shapes, vectors that make sense, limits, and no stream."""

from __future__ import annotations

import asyncio
import json
from math import isclose, sqrt
from typing import TYPE_CHECKING, Any

import pytest

from gateway.emulator.errors import BedrockError
from tests.emulator.asking import invoke, recorded
from tests.emulator.test_families import shape_of
from tests.emulator.test_prompt_families import STREAM, refusal, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.emulator.delivery import Reply

    Ask = Callable[[str, str, Any], Reply]

TITAN_1 = "amazon.titan-embed-text-v1"
TITAN_G1 = "amazon.titan-embed-g1-text-02"
TITAN_2 = "amazon.titan-embed-text-v2:0"
TITAN_IMAGE = "amazon.titan-embed-image-v1"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"
ENGLISH = "cohere.embed-english-v3"
MULTILINGUAL = "cohere.embed-multilingual-v3"
COHERE_4 = "us.cohere.embed-v4:0"
PNG = "iVBORw0KGgo="
DATA = f"data:image/png;base64,{PNG}"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
RECORDED_PREFIXES = ("amazon.titan-embed", "amazon.nova-2-multi", "cohere.embed", "arn:aws:bedrock")


def nova(text: str = "Hello", mode: dict[str, str] | None = None, **params: Any) -> dict[str, Any]:
    """Return a body of Nova's."""
    said = {"value": text, **({"truncationMode": "NONE"} if mode is None else mode)}
    usual = {"embeddingPurpose": "GENERIC_INDEX", "text": said}
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {**usual, **params}}


def cohere(*texts: str, **fields: Any) -> dict[str, Any]:
    """Return a body of Cohere's."""
    return {"texts": list(texts or ("Hello",)), "input_type": "search_document", **fields}


BODIES: dict[str, dict[str, Any]] = {
    TITAN_1: {"inputText": "Hello"},
    TITAN_G1: {"inputText": "Hello"},
    TITAN_2: {"inputText": "Hello"},
    TITAN_IMAGE: {"inputText": "Hello"},
    NOVA: nova(),
    ENGLISH: cohere(),
    MULTILINGUAL: cohere(),
    COHERE_4: cohere(),
}
DIMENSIONS = {TITAN_1: 1536, TITAN_G1: 1536, TITAN_2: 1024, TITAN_IMAGE: 1024, NOVA: 3072}
DIMENSIONS |= {ENGLISH: 1024, MULTILINGUAL: 1024, COHERE_4: 1536}


def vectors_of(answer: dict[str, Any]) -> list[list[float]]:
    """Return the vectors of any family's answer."""
    if "embedding" in answer:
        return [answer["embedding"]]
    embeddings = answer["embeddings"]
    if isinstance(embeddings, dict):
        floats: list[list[float]] = embeddings["float"]
        return floats
    return [one["embedding"] if isinstance(one, dict) else one for one in embeddings]


def length(vector: Sequence[float]) -> float:
    """Return the length of a vector."""
    return sqrt(sum(value * value for value in vector))


# ── boto3 ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", BODIES)
async def test_an_embedding_has_unit_length(client: Any, model: str) -> None:
    """One vector for one text, of the model's dimensions."""
    [vector] = vectors_of(await asyncio.to_thread(invoke, client, model, BODIES[model]))

    assert len(vector) == DIMENSIONS[model]
    assert isclose(length(vector), 1)


async def test_no_embedding_streams(client: Any) -> None:
    """The operation is refused, as for every model that has nothing to stream."""
    with pytest.raises(client.exceptions.ValidationException, match="unsupported for streaming"):
        await asyncio.to_thread(
            client.invoke_model_with_response_stream, modelId=TITAN_2, body=json.dumps(BODIES[TITAN_2])
        )


@pytest.mark.parametrize("model", BODIES)
def test_no_family_of_embeddings_streams(reply: Ask, model: str) -> None:
    """Before the body is looked at."""
    assert refusal(reply, model, {}, STREAM) == "The model is unsupported for streaming."


@pytest.mark.parametrize("model", BODIES)
def test_the_headers_count_the_input_alone(reply: Ask, model: str) -> None:
    """There are no output tokens (recorded)."""
    headers = reply("invoke", model, BODIES[model]).headers

    assert {name: headers[name] for name in headers if name.startswith("X-Amzn-Bedrock-")} == {
        "X-Amzn-Bedrock-Input-Token-Count": "2",
        "X-Amzn-Bedrock-Invocation-Latency": "1",
    }


@pytest.mark.parametrize("model", BODIES)
def test_directives_steer_embeddings_too(reply: Ask, model: str) -> None:
    """In the text, the last one where there are several."""
    said = "Hello [[emulator error=ThrottlingException]]"
    body = json.loads(json.dumps(BODIES[model]).replace("Hello", said))

    with pytest.raises(BedrockError, match="ThrottlingException"):
        reply("invoke", model, body)


# ── vectors ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_text_has_the_same_vector(reply: Ask) -> None:
    """And another one has another, in the order of the texts."""
    answer = whole(reply, COHERE_4, cohere("a", "b", "a"))

    first, second, third = vectors_of(answer)
    assert first == third
    assert abs(sum(x * y for x, y in zip(first, second, strict=True))) < 0.2
    assert answer["texts"] == ["a", "b", "a"]


def test_small_letters_come_back_from_english(reply: Ask) -> None:
    """As recorded for the third version."""
    assert whole(reply, ENGLISH, cohere("Hello World"))["texts"] == ["hello world"]
    assert whole(reply, MULTILINGUAL, cohere("Hello World"))["texts"] == ["Hello World"]


def test_normalising_can_be_turned_off(reply: Ask) -> None:
    """Then the vector has some other length."""
    [vector] = vectors_of(whole(reply, TITAN_2, {"inputText": "Hello", "normalize": False}))

    assert length(vector) > 2


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        (TITAN_2, {"inputText": "Hello", "dimensions": 256}, 256),
        (TITAN_IMAGE, {"inputImage": PNG, "embeddingConfig": {"outputEmbeddingLength": 384}}, 384),
        (TITAN_IMAGE, {"inputImage": PNG, "inputText": "Hello"}, 1024),
        (NOVA, nova(embeddingDimension=384), 384),
        (NOVA, nova("x" * 40_000, {"truncationMode": "END"}), 3072),
        (COHERE_4, cohere(output_dimension=512), 512),
        (COHERE_4, {"images": [DATA], "input_type": "image"}, 1536),
        (ENGLISH, {"images": [DATA], "input_type": "image"}, 1024),
        (
            COHERE_4,
            {
                "inputs": [
                    {
                        "content": [
                            {"type": "text", "text": "a"},
                            {"type": "image_url", "image_url": DATA},
                        ]
                    }
                ],
                "input_type": "search_document",
                "max_tokens": 128_000,
            },
            1536,
        ),
    ],
)
def test_the_caller_chooses(reply: Ask, model: str, body: dict[str, Any], expected: int) -> None:
    """Dimensions, and pictures for texts."""
    [vector] = vectors_of(whole(reply, model, body))

    assert len(vector) == expected


def test_nova_says_what_it_embedded(reply: Ask) -> None:
    """A text or a picture."""
    image = {"format": "png", "source": {"bytes": PNG}}
    body = nova()
    body["singleEmbeddingParams"].pop("text")
    body["singleEmbeddingParams"]["image"] = image

    assert [one["embeddingType"] for one in whole(reply, NOVA, body)["embeddings"]] == ["IMAGE"]


def test_titan_has_two_types(reply: Ask) -> None:
    """Binary is one number a dimension; without float, the plain vector is not there."""
    both = whole(reply, TITAN_2, {"inputText": "Hello", "embeddingTypes": ["float", "binary"]})
    binary = whole(reply, TITAN_2, {"inputText": "Hello", "embeddingTypes": ["binary"]})

    assert list(both) == ["embedding", "embeddingsByType", "inputTextTokenCount"]
    assert both["embeddingsByType"]["binary"] == [int(value > 0) for value in both["embedding"]]
    assert binary["embeddingsByType"] == {"binary": both["embeddingsByType"]["binary"]}
    assert "embedding" not in binary


@pytest.mark.parametrize("model", [ENGLISH, COHERE_4])
def test_cohere_has_five_types(reply: Ask, model: str) -> None:
    """The binary ones have eight signs in a number, without its sign or with it."""
    kinds = ["float", "int8", "uint8", "binary", "ubinary"]

    answer = whole(reply, model, cohere(embedding_types=kinds))

    assert answer["response_type"] == "embeddings_by_type"
    assert list(answer["embeddings"]) == kinds
    values = {kind: answer["embeddings"][kind][0] for kind in kinds}
    size = DIMENSIONS[model]
    assert [len(values[kind]) for kind in kinds] == [size, size, size, size // 8, size // 8]
    assert [value + 128 for value in values["int8"]] == values["uint8"]
    assert [value + 128 for value in values["binary"]] == values["ubinary"]
    signs = "".join(f"{value:08b}" for value in values["ubinary"])
    assert signs == "".join(str(int(value > 0)) for value in values["float"])


# ── saying no ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "body", "detail"),
    [
        (TITAN_1, {"inputText": "a", "dimensions": 256}, "#: extraneous key [dimensions] is not permitted"),
        (TITAN_1, {"inputText": ""}, "#/inputText: expected minLength: 1, actual: 0"),
        (TITAN_1, {"inputText": ["a"]}, "#/inputText: expected type: String, found: JSONArray"),
        (TITAN_2, {"inputText": "a", "dimensions": 300}, "#/dimensions: 300 is not a valid enum value"),
        (TITAN_2, {"inputText": "a" * 50_001}, "#/inputText: expected maxLength: 50000, actual: 50001"),
        (
            TITAN_2,
            {"inputText": "a" * 40_000},
            "400 Bad Request: Too many input tokens. Max input tokens: 8192, request",
        ),
        (TITAN_2, {"inputText": "a", "embeddingTypes": ["int8"]}, "#/embeddingTypes/0: int8 is not a valid"),
        (TITAN_IMAGE, {}, "#: at least one of the keys [inputText, inputImage] is required"),
        (TITAN_IMAGE, {"inputText": "a", "dimensions": 256}, "#: extraneous key [dimensions] is not"),
        (TITAN_IMAGE, {"inputText": "a" * 1025}, "400 Bad Request: Too many input tokens."),
        (NOVA, nova(embeddingDimension=512), "#/singleEmbeddingParams/embeddingDimension: 512 is not"),
        (NOVA, nova(embeddingPurpose="OTHER"), "#/singleEmbeddingParams/embeddingPurpose: OTHER is not"),
        (NOVA, nova("a", {}), "#/singleEmbeddingParams/text: required key [truncationMode] not"),
        (NOVA, nova("a" * 40_000), "Input text exceeds the maximum of 8172 tokens: 10000."),
        (
            NOVA,
            nova(image={"format": "png", "source": {"bytes": PNG}}),
            "#/singleEmbeddingParams: exactly one of [text, image] is required",
        ),
        (ENGLISH, cohere(*["a"] * 97), "#/texts: expected maximum item count: 96, found: 97"),
        (COHERE_4, cohere(*["a"] * 97), "#/texts: expected maximum item count: 96, found: 97"),
        (ENGLISH, cohere("a" * 2049), "#/texts/0: expected maxLength: 2048, actual: 2049"),
        (ENGLISH, {"texts": ["a"]}, "#: required key [input_type] not found"),
        (COHERE_4, {"texts": ["a"]}, "#: required key [input_type] not found"),
        (ENGLISH, {"input_type": "search_query"}, "#: exactly one of the keys [texts, images] is required"),
        (COHERE_4, cohere(images=[DATA]), "#: exactly one of the keys [texts, images, inputs] is required"),
        (ENGLISH, cohere(input_type="image"), "#/input_type: [image] is the type of images"),
        (ENGLISH, cohere(output_dimension=256), "#: extraneous key [output_dimension] is not permitted"),
        (ENGLISH, cohere(truncate="LEFT"), "#/truncate: LEFT is not a valid enum value"),
        (COHERE_4, cohere(embedding_types=["base64"]), "#/embedding_types/0: base64 is not a valid enum"),
        (COHERE_4, cohere(output_dimension=2), "#/output_dimension: 2 is not a valid enum value"),
    ],
)
def test_limits_are_kept(reply: Ask, model: str, body: dict[str, Any], detail: str) -> None:
    """By a pointer to the field."""
    assert refusal(reply, model, body).startswith(detail)


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ({"inputText": "Hello"}, ["embedding", "embeddingsByType", "inputTextTokenCount"]),
        ({"inputImage": PNG}, ["embedding", "inputTextTokenCount", "message"]),
        ({"inputText": "a", "embeddingConfig": {}}, ["embedding", "inputTextTokenCount", "message"]),
        (nova(), ["embeddings"]),
        (cohere(), ["embeddings", "id", "response_type", "texts"]),
    ],
)
def test_the_body_tells_the_family_of_an_opaque_id(reply: Ask, body: dict[str, Any], keys: list[str]) -> None:
    """One recording is of such an id."""
    assert list(whole(reply, PROFILE, body)) == keys


# ── recordings ────────────────────────────────────────────────────────────────────────────────────────


def test_recorded_calls_are_answered_alike(reply: Ask) -> None:
    """The body passes; keys, their order, types, counters and the vectors' sizes are the recorded ones."""
    records = [r for r in recorded(["invoke"]) if r["model_id"].startswith(RECORDED_PREFIXES)]
    assert len(records) == 17

    for record in records:
        answer = reply("invoke", record["model_id"], record["request"])
        given = json.loads(answer.writes[0].data)
        assert shape_of(given) == shape_of(record["response"])
        assert list(map(len, vectors_of(given))) == list(map(len, vectors_of(record["response"])))
        assert {name.lower() for name in answer.headers if name.startswith("X-Amzn-Bedrock-")} == {
            name for name in record["response_headers"] if name.startswith("x-amzn-bedrock-")
        }
