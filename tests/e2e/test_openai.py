"""OpenAI's API over real sockets, as its clients use it: with no SDK here, byte for byte."""

from __future__ import annotations

import base64
import json
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import yarl

from tests.harness import CLAUDE, LLAMA, NOVA, Caller, StartGateway, ask, lines

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping

    from gateway.emulator import Emulator

EMBEDDER = "amazon.titan-embed-text-v2:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123xyz"
TOOLS = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}},
    }
]
COUNTERS = ("prompt_tokens", "completion_tokens", "total_tokens")


async def post(caller: Caller, path: str, body: Any, **headers: str) -> tuple[int, Any, Mapping[str, str]]:
    """POST and return status, parsed body and headers."""
    async with caller.session.post(f"{caller.url}/v1/{path}", json=body, headers=headers) as response:
        return response.status, await response.json(), response.headers


async def chat(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """Return the choice and the usage of a good answer."""
    status, answer, _ = await post(caller, "chat/completions", body)
    assert status == 200, answer
    assert isinstance(answer, dict)
    return answer


async def stream(caller: Caller, body: dict[str, Any]) -> list[Any]:
    """Return the events of a stream: parsed chunks, and the text of what is not JSON."""
    asked = {**body, "stream": True}
    async with caller.session.post(f"{caller.url}/v1/chat/completions", json=asked) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        events = (await response.text()).split("\n\n")
    assert events.pop() == ""
    data = [event.removeprefix("data: ") for event in events]
    return [json.loads(one) if one.startswith("{") else one for one in data]


async def get(caller: Caller, path: str) -> tuple[int, Any]:
    """GET a path as it is written, and return status and parsed body."""
    url = yarl.URL(f"{caller.url}/v1/{path}", encoded=True)
    async with caller.session.get(url) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA])
async def test_whole_and_streamed_are_the_same(model: str, caller: Caller) -> None:
    """The chunks add up to the unary answer, text and usage, for each way through a codec."""
    whole = await chat(caller, ask("Hello", model))
    *chunks, usage, end = await stream(
        caller, {**ask("Hello", model), "stream_options": {"include_usage": True}}
    )
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    [choice] = whole["choices"]

    assert end == "[DONE]"
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == choice["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == choice["finish_reason"] == "stop"
    assert {name: usage["usage"][name] for name in COUNTERS} == {
        name: whole["usage"][name] for name in COUNTERS
    }
    assert {chunk["model"] for chunk in (*chunks, usage)} == {whole["model"]} == {model}
    assert {chunk["id"] for chunk in (*chunks, usage)} == {chunks[0]["id"]}
    assert chunks[0]["id"].startswith("chatcmpl-")
    assert isinstance(whole["created"], int)


async def test_a_tool_round_trip_with_reasoning(emulator: Emulator, caller: Caller) -> None:
    """The answer's message goes back as it is, and Claude gets its reasoning with the signature."""
    question = ask("Rome? [[emulator deltas=2 tool=2 reasoning=2]]", tools=TOOLS)
    message = (await chat(caller, question))["choices"][0]["message"]
    calls = message["tool_calls"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "sunny"} for call in calls]

    answer = await chat(
        caller, {**question, "messages": [*question["messages"], message, *results], "tool_choice": "auto"}
    )

    sent = emulator.calls[-1].body
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert len(calls) == 2
    assert message["reasoning_content"]
    assert [block["type"] for block in sent["messages"][1]["content"]] == [
        *("thinking", "text", "tool_use", "tool_use")
    ]
    assert sent["messages"][1]["content"][0]["signature"] == message["thinking_blocks"][0]["signature"]
    assert [block["tool_use_id"] for block in sent["messages"][2]["content"]] == [
        call["id"] for call in calls
    ]


async def test_streamed_tool_calls(caller: Caller) -> None:
    """A call begins with its id and name; pieces of its arguments, by its index, make a JSON text."""
    events = await stream(caller, ask("Rome? [[emulator deltas=0 tool=1]]", tools=TOOLS))
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]

    assert calls[0]["function"] == {"name": "weather", "arguments": ""}
    assert calls[0]["id"]
    assert json.loads("".join(call["function"]["arguments"] for call in calls))
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("path", ["chat/completions", "embeddings"])
async def test_errors_have_openais_shape(path: str, caller: Caller) -> None:
    """A bad body is a 400 that names the field and says that sending it again is of no use."""
    status, answer, headers = await post(caller, path, {"model": 5, "messages": [], "input": "x"})

    assert (status, answer["error"]["type"], answer["error"]["param"]) == (
        400,
        "invalid_request_error",
        "model",
    )
    assert headers["x-should-retry"] == "false"
    assert headers["X-Request-Id"] == answer["error"]["request_id"]


@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA])
async def test_not_to_reason_is_what_such_models_do(model: str, emulator: Emulator, caller: Caller) -> None:
    """A model that never reasons takes an effort of `none`, and is told nothing of it."""
    await chat(caller, ask("x", model, reasoning_effort="none"))

    sent = str(emulator.calls[-1].body)
    assert ("disabled" in sent) is (model == CLAUDE)


async def test_what_a_model_cannot_do_is_named_as_it_was_written(caller: Caller) -> None:
    """The place of a cache point is that in the caller's messages."""
    body = ask("x", LLAMA)
    mark = {"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}
    body["messages"].insert(0, {"role": "system", "content": [mark]})

    status, answer, _ = await post(caller, "chat/completions", body)

    place = "messages[0].content[0].cache_control"
    assert (status, answer["error"]["param"]) == (400, place)
    assert answer["error"]["message"].startswith(place)


@pytest.mark.parametrize(
    ("directive", "status", "code", "retry"),
    [
        ("error=ThrottlingException retry_after_ms=2000", 429, "rate_limit_exceeded", "true"),
        ("error=AccessDeniedException", 502, "upstream_denied", "false"),
        ("error=ServiceUnavailableException", 503, "upstream_unavailable", "true"),
    ],
)
async def test_what_bedrock_refuses(
    directive: str, status: int, code: str, retry: str, emulator: Emulator, start: StartGateway
) -> None:
    """The same, streamed or not, before the first byte; `Retry-After` is what Bedrock said."""
    async with start(emulator, retries={"max_attempts": 1}) as caller:
        for streamed in (True, False):
            body = ask(f"x [[emulator {directive}]]", stream=streamed)
            found, answer, headers = await post(caller, "chat/completions", body)

            assert (found, answer["error"]["code"], headers["x-should-retry"]) == (status, code, retry)
            assert ("Retry-After" in headers) is (status == 429)


async def test_a_stream_that_fails_never_ends_well(caller: Caller, log: io.StringIO) -> None:
    """What came before is delivered; then an error that SDKs raise, and no `[DONE]`."""
    *chunks, last = await stream(caller, ask("x [[emulator deltas=5 cut=4]]"))

    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert {chunk["choices"][0]["finish_reason"] for chunk in chunks} == {None}
    assert (last["error"]["code"], last["error"]["type"]) == ("upstream_protocol", "server_error")
    [line] = lines(log)
    assert (line["route"], line["outcome"], line["format"]) == ("/v1/chat/completions", "error", "sse")


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_embeddings(form: str, caller: Caller, log: io.StringIO) -> None:
    """Both forms say the same vectors as the native API's."""
    body = {"model": EMBEDDER, "input": ["a", "b"]}
    async with caller.session.post(f"{caller.url}/embeddings", json=body) as response:
        native = await response.json()

    status, answer, _ = await post(caller, "embeddings", {**body, "encoding_format": form})

    vectors = [item["embedding"] for item in answer["data"]]
    if form == "base64":
        packed = [base64.b64decode(vector) for vector in vectors]
        vectors = [list(struct.unpack(f"<{len(one) // 4}f", one)) for one in packed]
    assert (status, answer["object"], answer["model"]) == (200, "list", EMBEDDER)
    assert [item["index"] for item in answer["data"]] == [0, 1]
    for vector, item in zip(vectors, native["data"], strict=True):
        assert vector == pytest.approx(item["embedding"], rel=1e-6)
    tokens = native["usage"]["input_tokens"]
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert [line["input_tokens"] for line in lines(log)] == [tokens, tokens]


async def test_models(emulator: Emulator, start: StartGateway) -> None:
    """Aliases, the catalogue's chat models by the profiles of the region, and embedding models."""
    async with start(emulator, aliases={"fast": NOVA, "vectors": EMBEDDER}) as caller:
        status, answer = await get(caller, "models")
        owners = {model["id"]: model["owned_by"] for model in answer["data"]}

        assert (status, answer["object"]) == (200, "list")
        assert len(owners) == len(answer["data"])
        assert {owners[name] for name in ("fast", "amazon.nova-micro-v1:0", "vectors", EMBEDDER)} == {
            "amazon"
        }
        assert owners[CLAUDE] == "anthropic"
        assert "anthropic.claude-sonnet-4-5-20250929-v1:0" not in owners  # only profiles serve it
        assert "stability.stable-image-core-v1:1" not in owners
        for name in ("fast", "vectors", CLAUDE):
            [listed] = [model for model in answer["data"] if model["id"] == name]
            assert await get(caller, f"models/{name}") == (200, listed)


async def test_only_allowed_models_are_listed(emulator: Emulator, start: StartGateway) -> None:
    """What a request would be refused for is not in the list, and not found by name."""
    async with start(emulator, allowed_models=(CLAUDE, EMBEDDER)) as caller:
        _, answer = await get(caller, "models")

        assert {model["id"] for model in answer["data"]} == {CLAUDE, EMBEDDER}
        assert (await get(caller, f"models/{LLAMA}"))[0] == 404


@pytest.mark.parametrize("name", [CLAUDE, EMBEDDER, PROFILE])
async def test_a_model_by_its_name(name: str, caller: Caller) -> None:
    """Colons and slashes come raw or encoded, as clients have it; what is not in the list is found too."""
    for written in (name, quote(name, safe="/"), quote(name, safe="")):
        status, model = await get(caller, f"models/{written}")

        assert (status, model["id"], model["object"]) == (200, name, "model")


@pytest.mark.parametrize("name", ["no/such/model", "%20", "stability.stable-image-core-v1:1"])
async def test_no_such_model(name: str, caller: Caller) -> None:
    """What could not be asked is not found either."""
    status, answer = await get(caller, f"models/{name}")

    assert (status, answer["error"]["param"]) in {(404, "model"), (400, "model")}


async def test_no_such_path(caller: Caller) -> None:
    """Under /v1 errors are OpenAI's."""
    status, answer = await get(caller, "nothing")

    assert (status, answer["error"]["type"]) == (404, "invalid_request_error")
