"""Claude's recorded answers, through `/v1/messages`: the same message as parsed from the recorded bytes."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import pytest_asyncio

from gateway.emulator import Emulator, EmulatorSettings
from tests.dialects.anthropic_reading import counted, events_of, folded
from tests.harness import Caller, shared, started
from tests.replay import reading as read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OURS = "amazon-bedrock-"


def _recordings(operation: str) -> list[Any]:
    try:
        folder = shared("recordings", "GATEWAY_RECORDINGS")
    except pytest.skip.Exception:
        return []
    found = [orjson.loads(path.read_bytes()) for path in sorted(folder.glob(f"{operation}_*anthropic*.json"))]
    return [pytest.param(one, id=one["id"]) for one in found if one["status"] == 200]


class Replayed:
    """An emulator with all recordings, and a gateway in front of it."""

    def __init__(self, emulator: Emulator, caller: Caller) -> None:
        self.emulator = emulator
        self.caller = caller

    async def ask(self, path: str, recording: dict[str, Any], body: dict[str, Any]) -> bytes:
        """Send a body for which the recorded answer is to be given; return the answer."""
        assert self.emulator.replay is not None
        self.emulator.replay.pin(recording["id"])
        value = {
            key: item for key, item in body.items() if key not in {"anthropic_version", "anthropic_beta"}
        }
        headers = {"anthropic-beta": ",".join(body.get("anthropic_beta", ()))}
        asked = {**value, "model": recording["model_id"]}
        async with self.caller.session.post(self.caller.url + path, json=asked, headers=headers) as response:
            data = await response.read()
            assert response.status == 200, data
            return data


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="replayed")
async def _replayed() -> AsyncIterator[Replayed]:
    folder = shared("recordings", "GATEWAY_RECORDINGS")
    async with Emulator(EmulatorSettings(recordings=folder)) as emulator, started(emulator) as caller:
        yield Replayed(emulator, caller)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("recording", _recordings("invoke"))
async def test_whole(recording: dict[str, Any], replayed: Replayed) -> None:
    """The whole message is the recorded one, and InvokeModel was asked what the recording asked."""
    answer = await replayed.ask("/v1/messages", recording, recording["request"])

    assert json.loads(answer) == {
        key: value for key, value in recording["response"].items() if not key.startswith(OURS)
    }
    sent = replayed.emulator.calls[-1]
    assert (sent.operation, sent.body) == ("invoke", recording["request"])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("recording", _recordings("invoke-with-response-stream"))
async def test_streamed(recording: dict[str, Any], replayed: Replayed) -> None:
    """The events are the recorded chunks, but for what Bedrock adds and lacks, and make the same message."""
    data = await replayed.ask("/v1/messages", recording, {**recording["request"], "stream": True})

    recorded = read.botocore_events(
        "InvokeModelWithResponseStream", base64.b64decode(recording["response_base64"])
    )
    chunks = [json.loads(event["chunk"]["bytes"]) for event in recorded]
    expected = [{key: value for key, value in chunk.items() if not key.startswith(OURS)} for chunk in chunks]
    assert events_of(data) == counted(expected)
    assert folded(events_of(data)) == folded(expected)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("recording", _recordings("count-tokens"))
async def test_counted(recording: dict[str, Any], replayed: Replayed) -> None:
    """The count is the recorded one; what was recorded by way of Converse is asked here in Claude's words."""
    counted = recording["request"]["input"]
    said = "Hello"
    body = {"messages": [{"role": "user", "content": said}]}
    if "invokeModel" in counted:
        body = json.loads(base64.b64decode(counted["invokeModel"]["body"]))
        body = {key: value for key, value in body.items() if key not in {"max_tokens", "metadata"}}

    answer = await replayed.ask("/v1/messages/count_tokens", recording, body)

    assert json.loads(answer) == {"input_tokens": recording["response"]["inputTokens"]}
