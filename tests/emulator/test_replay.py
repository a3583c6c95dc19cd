"""Recorded traffic, given back: what boto3 reads of a replay is what it reads of the recorded bytes."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from botocore import xform_name
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError
from yarl import URL

from gateway.emulator import Emulator, EmulatorSettings, Replay
from gateway.emulator.errors import BedrockError
from gateway.emulator.replay import OPERATIONS, split_frames
from tests.emulator.asking import recorded, recordings_folder, sdk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

METHODS = {
    "converse": "Converse",
    "converse-stream": "ConverseStream",
    "count-tokens": "CountTokens",
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
}
STREAM = "application/vnd.amazon.eventstream"


@pytest.fixture(name="replaying")
async def _replaying() -> AsyncIterator[Emulator]:
    async with Emulator(EmulatorSettings(recordings=recordings_folder())) as running:
        yield running


# ── all of them, by boto3 ─────────────────────────────────────────────────────────────────────────────


def parameters(client: Any, record: dict[str, Any]) -> dict[str, Any]:
    """Return what to call the client with so that it sends the recorded body."""
    if record["operation"].startswith("invoke"):
        body = b"" if record["request"] is None else json.dumps(record["request"]).encode()
        return {"modelId": record["model_id"], "body": body}
    shape = client.meta.service_model.operation_model(METHODS[record["operation"]]).input_shape
    return {"modelId": record["model_id"], **for_python(record["request"], shape)}


def for_python(value: Any, shape: Any) -> Any:
    """Return a JSON value with its blobs as bytes, which is how boto3 wants them."""
    match shape.type_name:
        case "blob":
            return base64.b64decode(value)
        case "list":
            return [for_python(part, shape.member) for part in value]
        case "structure" if not getattr(shape, "is_document_type", False):
            return {name: for_python(part, shape.members[name]) for name, part in value.items()}
    return value


def call(client: Any, record: dict[str, Any]) -> tuple[int, Any]:
    """Return status and content as boto3 gives them, events as a list, an error as its code and message."""
    try:
        response = getattr(client, xform_name(METHODS[record["operation"]]))(**parameters(client, record))
    except ClientError as exc:
        error = exc.response["Error"]
        return exc.response["ResponseMetadata"]["HTTPStatusCode"], (error["Code"], error["Message"])
    status = response.pop("ResponseMetadata")["HTTPStatusCode"]
    for key in {"body", "stream"} & set(response):
        with closing(response[key]) as content:
            response = list(content) if "stream" in record["operation"] else json.loads(content.read())
    return status, response


def expected(client: Any, record: dict[str, Any]) -> tuple[int, Any]:
    """Return the same, read from the recorded bytes by botocore without any HTTP."""
    model = client.meta.service_model.operation_model(METHODS[record["operation"]])
    parser = client._endpoint._response_parser_factory.create_parser("rest-json")
    headers = {key: value for key, value in record["response_headers"].items() if value != "**REDACTED**"}
    if "response" not in record:
        return record["status"], list(parsed_events(parser, model, record))
    body = json.dumps(record["response"]).encode()
    if record["operation"] == "invoke" and record["status"] == 200:
        return 200, record["response"]
    parsed = parser.parse(
        {"status_code": record["status"], "headers": headers, "body": body}, model.output_shape
    )
    parsed.pop("ResponseMetadata")
    if "Error" in parsed:
        return record["status"], (parsed["Error"]["Code"], parsed["Error"]["Message"])
    return record["status"], parsed


def parsed_events(parser: Any, model: Any, record: dict[str, Any]) -> Iterator[Any]:
    """Yield the events in the recorded bytes."""
    buffer = EventStreamBuffer()
    buffer.add_data(base64.b64decode(record["response_base64"]))
    shape = model.get_event_stream_output()
    for message in buffer:
        yield parser._event_stream_parser.parse(message.to_response_dict(), shape)


async def test_every_recording_is_given_back(replaying: Emulator) -> None:
    """Asked with the recorded bodies, boto3 reads of each replay what botocore reads of the recording."""
    records = recorded(OPERATIONS)
    assert replaying.replay is not None

    with sdk(replaying) as client:
        differing = []
        for record in records:
            replaying.replay.pin(record["id"])  # some bodies were recorded twice
            got = await asyncio.to_thread(call, client, record)
            if got != expected(client, record):
                differing.append(record["id"])

    assert differing == []
    assert len(records) > 200
    assert repr(replaying.replay) == f"<Replay of {len(records)} recordings, 0 pinned>"


async def test_the_bytes_are_the_recorded_ones() -> None:
    """Streams and their real headers come back byte for byte; only what was redacted is made up."""
    folder = recordings_folder()
    streams = [record for record in recorded(OPERATIONS) if "response_base64" in record]
    settings = EmulatorSettings(recordings=folder, verify_signatures=False)
    differing = []

    async with Emulator(settings) as emulator, aiohttp.ClientSession() as session:
        assert emulator.replay is not None
        for record in streams:
            emulator.replay.pin(record["id"])
            url = URL(f"{emulator.url}{record['path']}", encoded=True)
            async with session.post(url, json=record["request"]) as response:
                got = await response.read(), response.headers["Content-Type"]
            real_id = record["response_headers"].get("x-amzn-requestid", "**REDACTED**")
            kept_id = real_id in {"**REDACTED**", response.headers["x-amzn-RequestId"]}
            if got != (base64.b64decode(record["response_base64"]), STREAM) or not kept_id:
                differing.append(record["id"])

    assert differing == []


# ── a folder of our own ───────────────────────────────────────────────────────────────────────────────

MODEL = "amazon.titan-text-lite-v1"


def record_of(number: int, request: Any = None, **fields: Any) -> dict[str, Any]:
    """Return a recording in the format of the recordings' README."""
    return {
        "id": f"id-{number}",
        "operation": "invoke",
        "model_id": MODEL,
        "request": request,
        "status": 200,
        "response_headers": {"X-Amzn-RequestId": f"request-{number}", "Connection": "keep-alive"},
        "response": {"number": number},
        **fields,
    }


@pytest.fixture(name="replay_of")
def _replay_of(tmp_path: Path) -> Callable[..., Replay]:
    """Make a replay of some recordings."""

    def make(*records: dict[str, Any]) -> Replay:
        for record in records:
            (tmp_path / f"{record['id']}.json").write_text(json.dumps(record))
        return Replay(tmp_path)

    return make


def test_an_equal_body_comes_first(replay_of: Callable[..., Replay]) -> None:
    """Bodies are compared as JSON: neither order nor the spelling of a number matters."""
    replay = replay_of(record_of(1, {"a": 1, "b": [2.5]}), record_of(2, {"a": 2}))
    replay.pin("id-2")

    assert replay.match("invoke", MODEL, {"b": [2.5], "a": 1.0}).id == "id-1"
    assert replay.match("invoke", MODEL, {"a": 3}).id == "id-2"


def test_a_pin_is_used_once(replay_of: Callable[..., Replay]) -> None:
    """Without its equal, a request gets the pinned recording of its operation and model, one request only."""
    replay = replay_of(record_of(1, {"a": 1}), record_of(2, {"a": 2}, operation="converse"))
    pinned = replay.pin("id-1")
    replay.pin("id-2")

    assert replay.match("invoke", MODEL, None) == pinned
    for operation, model in (("invoke", MODEL), ("converse", "another")):
        with pytest.raises(BedrockError, match="No recording matches this"):
            replay.match(operation, model, None)


def test_of_equal_bodies_the_pinned_one_comes_first(replay_of: Callable[..., Replay]) -> None:
    """Where a body was recorded twice, a pin chooses; after that the first is given again."""
    replay = replay_of(record_of(1, {"a": 1}), record_of(2, {"a": 1}))
    replay.pin("id-2")

    assert [replay.match("invoke", MODEL, {"a": 1}).id for _ in range(3)] == ["id-2", "id-1", "id-1"]


def test_what_belongs_to_the_connection_is_left_out(replay_of: Callable[..., Replay]) -> None:
    """Real headers stay, redacted ones and those of the transfer go, the type is made up if need be."""
    headers = {
        "connection": "keep-alive",
        "content-type": "**REDACTED**",
        "x-amzn-requestid": "**REDACTED**",
        "X-Amzn-Bedrock-Input-Token-Count": "5",
        "transfer-encoding": "chunked",
    }
    streamed = record_of(2, response_headers=headers, response_base64="AAAA")
    replay = replay_of(record_of(1, response_headers=headers), streamed)

    assert [(one.headers, one.request_id) for one in replay.recordings] == [
        ({"content-type": "application/json", "x-amzn-bedrock-input-token-count": "5"}, None),
        ({"content-type": STREAM, "x-amzn-bedrock-input-token-count": "5"}, None),
    ]


def test_other_apis_are_left_out(replay_of: Callable[..., Replay]) -> None:
    """What is none of the five operations is not replayed."""
    replay = replay_of(record_of(1), record_of(2, operation="/openai/v1/responses"))

    assert [recording.id for recording in replay.recordings] == ["id-1"]


def test_a_folder_without_recordings_is_an_error(tmp_path: Path) -> None:
    """A misspelt folder shows at once, and not as a failure of every request."""
    with pytest.raises(ValueError, match="no recordings in"):
        Replay(tmp_path)


def test_an_unknown_recording_cannot_be_pinned(replay_of: Callable[..., Replay]) -> None:
    """A misspelt id shows at once, too."""
    replay = replay_of(record_of(1))

    with pytest.raises(KeyError):
        replay.pin("id-2")


def test_a_stream_is_split_at_its_frames() -> None:
    """Each frame begins with its length; bytes that are no frames stay together."""
    first, second = b"\0\0\0\x08abcd", b"\0\0\0\x05x"

    assert split_frames(first + second) == [first, second]
    assert split_frames(b"\0\0\0\0rest") == [b"\0\0\0\0rest"]
    assert split_frames(b"") == []


def test_an_error_is_known_by_its_status(replay_of: Callable[..., Replay]) -> None:
    """A recording that is no answer is one of an error."""
    replay = replay_of(record_of(1), record_of(2, status=400))

    assert [recording.ok for recording in replay.recordings] == [True, False]


async def test_no_recording_is_a_validation_exception(
    replay_of: Callable[..., Replay], tmp_path: Path
) -> None:
    """A client sees an unmatched request as Bedrock's own refusal, recorded ids as the answer's."""
    replay_of(record_of(1, {"a": 1}), record_of(2, None, operation="converse", status=400))
    settings = EmulatorSettings(recordings=tmp_path, verify_signatures=False)
    seen = SimpleNamespace(statuses=[], ids=[])

    async with Emulator(settings) as emulator, aiohttp.ClientSession() as session:
        for operation, body in (("invoke", b'{"a":1}'), ("invoke", b'{"a":2}'), ("converse", b"")):
            async with session.post(f"{emulator.url}/model/{MODEL}/{operation}", data=body) as response:
                seen.statuses.append(response.status)
                seen.ids.append(response.headers["x-amzn-RequestId"].startswith("request-"))
        await emulator.wait_active(0)

    assert seen.statuses == [200, 400, 400]
    assert seen.ids == [True, False, True]
    assert [one.outcome for one in emulator.calls] == ["complete", "error", "error"]
