"""Every recorded exchange through the gateway's Bedrock routes, asked by boto3 and answered as recorded.

boto3 → gateway → emulator that gives the recorded bytes, if the recorded request has arrived as it was. What
boto3 makes of the answer is what botocore's parser makes of the recorded bytes.
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import AsyncExitStack, closing
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from gateway.emulator import Emulator, EmulatorSettings
from tests.e2e.sdk import boto3_client
from tests.harness import Caller, shared, started
from tests.replay import reading as read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

METHODS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "invoke": ("invoke_model", "InvokeModel", {"body": b"{}"}),
    "invoke-with-response-stream": (
        "invoke_model_with_response_stream",
        "InvokeModelWithResponseStream",
        {"body": b"{}"},
    ),
    "converse": ("converse", "Converse", {}),
    "converse-stream": ("converse_stream", "ConverseStream", {}),
    "count-tokens": ("count_tokens", "CountTokens", {"input": {"converse": {}}}),
}
"""boto3's method, the operation, and what it must be given; its body is then replaced by the recorded one."""


def _recordings() -> list[Any]:
    try:
        folder = shared("recordings", "GATEWAY_RECORDINGS")
    except pytest.skip.Exception:
        return []
    recordings = [orjson.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    return [
        pytest.param(recording, id=f"{recording['operation']}-{recording['id']}")
        for recording in recordings
        if recording["operation"] in METHODS  # the others are of OpenAI's endpoints
    ]


class Replayed:
    """An emulator with all recordings, and a gateway in front of it."""

    def __init__(self, emulator: Emulator, caller: Caller) -> None:
        self.emulator = emulator
        self.caller = caller

    async def ask(self, recording: dict[str, Any]) -> Any:
        """Return what boto3 makes of the answer to the recorded request."""
        assert self.emulator.replay is not None
        self.emulator.replay.pin(recording["id"])
        return await asyncio.to_thread(_ask, self.caller.url, recording)


def _ask(url: str, recording: dict[str, Any]) -> Any:
    method, operation, given = METHODS[recording["operation"]]
    request = recording["request"]

    def as_recorded(params: dict[str, Any], **_: Any) -> None:
        params["body"] = b"{}" if request is None else orjson.dumps(request)

    with boto3_client(url) as client:
        client.meta.events.register(f"before-call.bedrock-runtime.{operation}", as_recorded)
        answer = getattr(client, method)(modelId=recording["model_id"], **given)
        for member in ("stream", "body"):
            if member in answer:
                with closing(answer[member]) as body:
                    answer[member] = list(body) if "stream" in recording["operation"] else body.read()
    return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="replayed")
async def _replayed() -> AsyncIterator[Replayed]:
    folder = shared("recordings", "GATEWAY_RECORDINGS")
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(EmulatorSettings(recordings=folder)))
        caller = await stack.enter_async_context(
            started(emulator, max_body_bytes=64 * 1024 * 1024, bedrock={"s3_locations": True})
        )
        yield Replayed(emulator, caller)


def _masked(value: Any, *, output: bool = False) -> Any:
    """Return an answer without the text from before masking and its pieces, which must not arrive."""
    if isinstance(value, dict):
        return {
            name: _masked(inner, output=output or name in {"outputAssessments", "outputs"})
            for name, inner in value.items()
            if name != "modelOutput" and not (output and name == "match")
        }
    return [_masked(item, output=output) for item in value] if isinstance(value, list) else value


def _expected(recording: dict[str, Any]) -> tuple[str, Any]:
    """Return what of an answer is compared, and what it must be."""
    _, operation, _ = METHODS[recording["operation"]]
    match recording["operation"]:
        case "converse-stream":
            return "stream", read.botocore_events(operation, base64.b64decode(recording["response_base64"]))
        case "invoke-with-response-stream":
            return "body", read.botocore_events(operation, base64.b64decode(recording["response_base64"]))
        case "invoke":
            return "body", orjson.dumps(recording["response"])
        case _:
            answer = read.botocore_answer(operation, orjson.dumps(recording["response"]))
            answer.pop("ResponseMetadata")
            return "", answer


def _plain(value: Any) -> Any:
    """Return JSON out of the bytes of chunks and bodies, so that masking can be told."""
    if isinstance(value, bytes):
        try:
            return json.loads(value)
        except ValueError:
            return value
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("recording", _recordings())
@pytest.mark.asyncio(loop_scope="module")
async def test_replayed(recording: dict[str, Any], replayed: Replayed) -> None:
    """The parsed answer is that of the recorded bytes; an error is raised as the same class."""
    if recording["status"] != 200:
        with pytest.raises(ClientError) as caught:
            await replayed.ask(recording)
        answer = caught.value.response
        assert answer["Error"]["Code"] == "ValidationException"
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == recording["status"]
        return

    answer = await replayed.ask(recording)

    metadata = answer.pop("ResponseMetadata")
    member, expected = _expected(recording)
    if member:
        answer = answer[member]
    unmasked = b"modelOutput" in orjson.dumps(_plain(expected), default=repr)
    if unmasked:
        answer, expected = _plain(answer), _masked(_plain(expected))
    assert answer == expected
    recorded_id = recording["response_headers"].get("x-amzn-requestid")
    assert recorded_id in {None, "**REDACTED**", metadata["RequestId"]}
    for name, value in recording["response_headers"].items():
        if name.startswith("x-amzn-bedrock-") and value != "**REDACTED**":
            assert metadata["HTTPHeaders"][name] == value
