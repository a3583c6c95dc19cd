"""`POST /embeddings` over real sockets: order, batches, limits, forms, and the recorded vectors."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from gateway.emulator import Emulator, EmulatorSettings
from gateway.settings import BedrockSettings, ModelSettings, TimeoutSettings
from tests.harness import Caller, StartGateway, lines, shared, started

if TYPE_CHECKING:
    import io

TITAN, NOVA = "amazon.titan-embed-text-v2:0", "amazon.nova-2-multimodal-embeddings-v1:0"
COHERE = "cohere.embed-english-v3"
MODELS = (
    "amazon.titan-embed-text-v1",
    TITAN,
    "amazon.titan-embed-image-v1",
    NOVA,
    COHERE,
    "us.cohere.embed-v4:0",
)


async def _embed(caller: Caller, **body: Any) -> tuple[int, dict[str, Any]]:
    async with caller.session.post(f"{caller.url}/embeddings", json=body) as response:
        return response.status, await response.json()


def _vectors(answer: dict[str, Any]) -> list[list[float]]:
    assert [item["index"] for item in answer["data"]] == list(range(len(answer["data"])))
    return [item["embedding"] for item in answer["data"]]


@pytest.mark.parametrize("model", MODELS)
async def test_order_is_kept(model: str, caller: Caller) -> None:
    """Texts embedded together get the vectors, in order, that they get alone; tokens are added up."""
    texts = [f"text number {n}" for n in range(5)]
    alone = [await _embed(caller, model=model, input=text) for text in texts]

    status, answer = await _embed(caller, model=model, input=texts)

    assert status == 200
    assert _vectors(answer) == [_vectors(one)[0] for _, one in alone]
    assert answer["usage"]["input_tokens"] == sum(one["usage"]["input_tokens"] for _, one in alone)
    assert (answer["type"], answer["model"]) == ("embeddings", model)


async def test_batches(emulator: Emulator, caller: Caller) -> None:
    """200 texts for Cohere are three calls of at most 96, and one answer."""
    status, answer = await _embed(caller, model=COHERE, input=[f"text {n}" for n in range(200)])

    assert (status, len(answer["data"])) == (200, 200)
    assert sorted(len(call.body["texts"]) for call in emulator.calls) == [8, 96, 96]
    assert len(answer["upstream_request_ids"]) == 3


async def test_calls_take_slots(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """The calls of one request run side by side, each in a slot: never more upstream than the limit."""
    async with start(emulator, max_concurrency=3, max_queue=50) as caller:
        answers = await asyncio.gather(
            *(_embed(caller, model=TITAN, input=[f"{n} {i}" for i in range(6)]) for n in range(4))
        )

        assert [status for status, _ in answers] == [200] * 4
        assert emulator.peak_active <= 3
        assert repr(caller.gateway.limiter) == "<ConcurrencyLimiter 0 of 3 running, 0 of 50 waiting>"
    assert {(line["outcome"], line["model"], line["route"]) for line in lines(log)} == {
        ("ok", TITAN, "/embeddings")
    }


async def test_one_request_does_not_overload_itself(emulator: Emulator, start: StartGateway) -> None:
    """A request of many calls queues once: with one slot and no queue it is served, call by call."""
    async with start(emulator, max_concurrency=1, max_queue=0) as caller:
        status, answer = await _embed(caller, model=TITAN, input=[f"text {n}" for n in range(20)])

    assert (status, len(answer["data"])) == (200, 20)
    assert emulator.peak_active == 1


async def test_what_was_paid_for_is_logged(caller: Caller, log: io.StringIO) -> None:
    """Where one call fails the request ends in its error, and its line has the tokens of the others."""
    texts = [*(f"text {n}" for n in range(9)), "[[emulator error=ThrottlingException]]"]

    status, answer = await _embed(caller, model=TITAN, input=texts)

    [line] = lines(log)
    assert (status, answer["error"]["code"]) == (429, "upstream_throttled")
    assert line["input_tokens"] > 0
    assert line["cost_usd"] > 0


async def test_a_model_has_clocks_of_its_own(emulator: Emulator, start: StartGateway) -> None:
    """What the operator says of an embedding model's time holds, too."""
    models = {TITAN: ModelSettings(timeouts=TimeoutSettings(total_ms=100))}
    general = BedrockSettings(total_timeout_ms=10_000)
    async with start(emulator, models=models, bedrock=general) as caller:
        status, answer = await _embed(caller, model=TITAN, input="[[emulator stall=start]]")

    assert (status, answer["error"]["message"]) == (504, "The answer took longer than 0.1 s.")


async def test_base64(caller: Caller) -> None:
    """base64 is the same vector as little-endian 32-bit floats."""
    _, plain = await _embed(caller, model=TITAN, input="Hi", dimensions=256)
    _, packed = await _embed(caller, model=TITAN, input="Hi", dimensions=256, encoding_format="base64")

    unpacked = struct.unpack("<256f", base64.b64decode(packed["data"][0]["embedding"]))
    assert list(unpacked) == pytest.approx(_vectors(plain)[0])


async def test_image(caller: Caller) -> None:
    """A text and an image together make one vector where the model joins them."""
    item = [
        {"type": "text", "text": "a cat"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    status, answer = await _embed(caller, model="amazon.titan-embed-image-v1", input=[item])

    assert (status, len(answer["data"])) == (200, 1)
    assert answer["cost_usd"] is None  # a picture has a price of its own, which is not known


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": TITAN}, 400, "input"),
        ({"model": TITAN, "input": []}, 400, "input"),
        ({"model": TITAN, "input": [""]}, 400, "input[0]"),
        ({"model": TITAN, "input": ["x"] * 2049}, 400, "input"),
        ({"model": TITAN, "input": 5}, 400, "input"),
        ({"model": TITAN, "input": "x", "dimensions": 7}, 400, "dimensions"),
        ({"model": TITAN, "input": "x", "encoding_format": "hex"}, 400, "encoding_format"),
        ({"model": TITAN, "input": "x", "user": "me"}, 400, "user"),
        ({"model": COHERE, "input": "x", "normalize": True}, 400, "normalize"),
        ({"model": "anthropic.claude-3-haiku-20240307-v1:0", "input": "x"}, 400, "model"),
        ({"model": "no such model", "input": "x"}, 404, "model"),
        (
            {"model": "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc", "input": "x"},
            400,
            "model",
        ),
        (
            {"model": TITAN, "input": [[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]]},
            400,
            "input[0][1]",
        ),
    ],
)
async def test_refusals(body: dict[str, Any], status: int, param: str, caller: Caller) -> None:
    """What cannot be embedded is refused by name."""
    actual, answer = await _embed(caller, **body)

    assert (actual, answer["error"]["param"]) == (status, param)


def _recordings() -> list[Any]:
    try:
        folder = shared("recordings", "GATEWAY_RECORDINGS")
    except pytest.skip.Exception:
        return []
    found = [orjson.loads(path.read_bytes()) for path in sorted(folder.glob("invoke_*embed*.json"))]
    return [pytest.param(recording, id=recording["id"]) for recording in found]


def _asked(recording: dict[str, Any]) -> dict[str, Any]:
    """Put a recorded request as a caller of the gateway would."""
    request = recording["request"]
    if "singleEmbeddingParams" in request:
        item = request["singleEmbeddingParams"]
        asked = {
            "input": item["text"]["value"], "dimensions": item.get("embeddingDimension"),
            "input_type": item["embeddingPurpose"], "truncate": item["text"]["truncationMode"].lower(),
        }  # fmt: skip
    elif "texts" in request:
        asked = {
            "input": request["texts"], "dimensions": request.get("output_dimension"),
            "input_type": request["input_type"], "truncate": request["truncate"].lower(),
        }  # fmt: skip
    else:
        asked = {
            "input": request["inputText"], "dimensions": request.get("dimensions"),
            "normalize": request.get("normalize"),
        }  # fmt: skip
    return {
        "model": recording["model_id"],
        **{name: value for name, value in asked.items() if value is not None},
    }


@pytest.mark.parametrize("recording", _recordings())
async def test_recorded_vectors(recording: dict[str, Any]) -> None:
    """A recorded request, asked through the gateway, is the recorded body, and gives the recorded vectors."""
    folder = shared("recordings", "GATEWAY_RECORDINGS")
    async with Emulator(EmulatorSettings(recordings=folder)) as emulator, started(emulator) as caller:
        status, answer = await _embed(caller, **_asked(recording))

    recorded = recording["response"]
    expected = [recorded["embedding"]] if "embedding" in recorded else recorded["embeddings"]
    if isinstance(expected, dict):
        expected = expected["float"]
    if isinstance(expected[0], dict):
        expected = [item["embedding"] for item in expected]
    assert status == 200, answer
    assert _vectors(answer) == expected
    assert answer["usage"]["input_tokens"] == int(
        recording["response_headers"]["x-amzn-bedrock-input-token-count"]
    )
