"""OpenAI's Responses over sockets, with the emulator behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import FAMILIES, LLAMA, Caller, lines

if TYPE_CHECKING:
    import io

    from gateway.emulator import Emulator

HELLO = [{"role": "user", "content": "Hello"}]
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
IMAGE = {"type": "input_image", "image_url": "data:image/jpg;base64,AAAA"}


async def post(caller: Caller, body: dict[str, Any]) -> tuple[int, str, Any]:
    """Return status, content type, and the events of a stream or the one object."""
    async with caller.session.post(f"{caller.url}/v1/responses", json=body) as response:
        text = await response.text()
        kind = response.headers["Content-Type"]
        if kind.startswith("text/event-stream"):
            datas = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
            return response.status, kind, [json.loads(data) for data in datas]
        return response.status, kind, json.loads(text)


@pytest.mark.parametrize("model", FAMILIES)
async def test_a_stream_is_the_answer(model: str, caller: Caller, log: io.StringIO) -> None:
    """The last event has the whole response, which is what the caller who does not stream gets."""
    body = {"model": model, "input": "Hello", "max_output_tokens": 100}

    status, _, events = await post(caller, {**body, "stream": True})
    whole_status, _, whole = await post(caller, body)

    assert (status, whole_status, events[-1]["type"]) == (200, 200, "response.completed")
    last = events[-1]["response"]
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == whole["output"][0]["content"][0]["text"] != ""
    assert (last["usage"], last["status"]) == (whole["usage"], whole["status"])
    assert {line["route"] for line in lines(log)} == {"/v1/responses"}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"input": [{"role": "user", "content": [IMAGE]}]}, "input[0].content[0]"),
    ],
)
async def test_what_a_model_cannot_do_is_named_as_it_was_written(
    fields: dict[str, Any], place: str, caller: Caller
) -> None:
    """In `param` and in the message."""
    status, _, answer = await post(caller, {"model": LLAMA, "input": "Hello", **fields})

    assert (status, answer["error"]["param"]) == (400, place)
    assert answer["error"]["message"].startswith(place)


@pytest.mark.parametrize(
    "path", ["/v1/responses", "/v1/chat/completions", "/v1/messages", "/chat/completions"]
)
async def test_aws_headers_come_once(path: str, caller: Caller) -> None:
    """In every dialect: of two guardrails one would be dropped."""
    name = "X-Amzn-Bedrock-GuardrailIdentifier"
    headers = [(name, "one1"), ("X-Amzn-Bedrock-GuardrailVersion", "1"), (name, "two2")]
    body: dict[str, Any] = {
        "model": LLAMA,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 5,
    }
    if path == "/v1/responses":
        body = {"model": LLAMA, "input": "Hello"}

    async with caller.session.post(f"{caller.url}{path}", json=body, headers=headers) as response:
        answer = await response.json()

    assert (response.status, answer["error"]["message"]) == (400, f"Send {name} once.")


TRANSLATED = {
    "/v1/responses": {"model": LLAMA, "input": "Hello"},
    "/v1/messages/count_tokens": {"model": CLAUDE, "messages": HELLO},
} | {
    path: {"model": model, "messages": HELLO, "max_tokens": 5}
    for path, model in [
        ("/v1/chat/completions", LLAMA),
        ("/v1/messages", CLAUDE),
        ("/chat/completions", LLAMA),
        ("/chat/completions/stream", LLAMA),
    ]
}
EMBEDDED = {path: {"model": TITAN, "input": ["Hello"]} for path in ("/v1/embeddings", "/embeddings")}
MISSPELT = "X-Amzn-Bedrock-Guardrail-Identifier"


@pytest.mark.parametrize(
    ("path", "body", "header", "words"),
    [
        *((path, body, MISSPELT, "-GuardrailIdentifier, ") for path, body in TRANSLATED.items()),
        *((path, body, "X-Amzn-Bedrock-Trace", "takes no") for path, body in EMBEDDED.items()),
    ],
)
async def test_aws_headers_that_are_not_taken(
    path: str, body: dict[str, Any], header: str, words: str, emulator: Emulator, caller: Caller
) -> None:
    """A misspelt guardrail would guard nothing, and embeddings take none."""
    calls = len(emulator.calls)
    async with caller.session.post(
        f"{caller.url}{path}", json=body, headers={header.lower(): "abc"}
    ) as response:
        message = (await response.json())["error"]["message"]

    assert (response.status, message.partition(":")[0]) == (400, header.lower())
    assert words in message
    assert len(emulator.calls) == calls


async def test_a_failure_in_the_stream(caller: Caller) -> None:
    """It ends in `error`, and not as if it were whole."""
    body = {
        "model": FAMILIES[0],
        "input": "[[emulator deltas=4 exception=throttlingException after=4]] Hi",
        "stream": True,
    }

    status, _, events = await post(caller, body)

    assert status == 200
    assert events[-1]["type"] == "error"
    assert [event["type"] for event in events].count("error") == 1
    assert not any(event["type"] == "response.completed" for event in events)


async def test_bad_input(caller: Caller) -> None:
    """It is a 400 that names the field."""
    status, _, answer = await post(
        caller, {"model": FAMILIES[0], "input": "hi", "previous_response_id": "resp_1"}
    )

    assert (status, answer["error"]["param"]) == (400, "previous_response_id")
