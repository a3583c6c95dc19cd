"""Every recorded exchange, through the whole gateway over real sockets, against botocore's own reading.

client → gateway → aiobotocore's pool → emulator that gives back the recorded bytes, with the operation that
the recording used. A table of what was replayed and what was not, with the reason, is printed at the end.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import pytest_asyncio

from gateway.domain import Usage
from gateway.emulator import Emulator, EmulatorSettings
from tests.harness import Caller, shared, started
from tests.replay import reading as read
from tests.replay.translation import native_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.replay.reading import Reading

STREAMS = ("converse-stream", "invoke-with-response-stream")
UNARY = ("converse", "invoke")
FINISH = {
    "end_turn": "stop", "stop_sequence": "stop", "FINISH": "stop", "stop": "stop", "COMPLETE": "stop",
    "endoftext": "stop",
    "max_tokens": "length", "LENGTH": "length", "length": "length", "MAX_TOKENS": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter", "INTERVENED": "content_filter",
}  # fmt: skip
FAMILIES = (
    ("anthropic.", "claude"), ("amazon.nova-", "nova"), ("amazon.titan-text", "titan"),
    ("meta.llama", "llama"), ("mistral.mistral-7b", "mistral"), ("cohere.command-r", "cohere_command_r"),
    ("cohere.command", "cohere_command"), ("ai21.j2", "jurassic"),
)  # fmt: skip
"""Part of a model id to the family by whose body InvokeModel was recorded."""
LEFT_OUT = {
    "count-tokens": "no route for it in the native API (issue E); boto3 replays it in tests/emulator",
    "embeddings": "not a completion: tests/e2e/test_embeddings.py asks for each through POST /embeddings",
    "other": "a SageMaker endpoint's own body, which nobody but its owner knows; boto3 replays it",
}
"""Operation or family to the reason why its recordings are not replayed here."""


def _recordings() -> list[dict[str, Any]]:
    try:
        folder = shared("recordings", "GATEWAY_RECORDINGS")
    except pytest.skip.Exception:
        return []
    return [orjson.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))]


RECORDINGS = _recordings()


def _family(recording: dict[str, Any]) -> str:
    model = recording["model_id"]
    if recording["operation"].startswith("converse"):
        return "converse"
    if "embed" in model or "application-inference-profile" in model:
        return "embeddings"
    return next((family for sign, family in FAMILIES if sign in model), "other")


def _selected(operations: tuple[str, ...], *, good: bool) -> list[Any]:
    return [
        pytest.param(recording, id=f"{recording['operation']}-{recording['id']}")
        for recording in RECORDINGS
        if recording["operation"] in operations
        and (recording["status"] == 200) is good
        and (_family(recording) not in LEFT_OUT or not good)
    ]


class Replayed:
    """An emulator with all recordings, and one gateway for each operation in front of it."""

    def __init__(self, emulator: Emulator, callers: dict[str, Caller]) -> None:
        self.emulator = emulator
        self.callers = callers


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="replayed")
async def _replayed() -> AsyncIterator[Replayed]:
    folder = shared("recordings", "GATEWAY_RECORDINGS")
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(EmulatorSettings(recordings=folder)))
        callers = {}
        for operation in (*STREAMS, *UNARY):
            bedrock = {"operation": operation.split("-")[0], "streaming": operation in STREAMS}
            callers[operation] = await stack.enter_async_context(started(emulator, bedrock=bedrock))
        yield Replayed(emulator, callers)


async def _ask(
    recording: dict[str, Any], replayed: Replayed, *, unary: bool
) -> tuple[int, list[dict[str, Any]]]:
    """Send the recorded request to the gateway that must use the recorded operation."""
    assert replayed.emulator.replay is not None
    replayed.emulator.replay.pin(recording["id"])
    return await _send(replayed.callers[recording["operation"]], native_body(recording), unary=unary)


async def _send(caller: Caller, body: dict[str, Any], *, unary: bool) -> tuple[int, list[dict[str, Any]]]:
    if unary:
        status, answer = await caller.complete(body)
        return status, [answer]
    status, records, _ = await caller.stream(body)
    return status, records


def _of_records(records: list[dict[str, Any]]) -> Reading:
    """Read the gateway's records as any caller would."""
    result = read.Reading()
    calls: list[dict[str, Any]] = []
    for record in records:
        match record["type"]:
            case "text_delta":
                result.text += record["text"]
            case "reasoning_delta":
                result.reasoning += record.get("text", "")
                result.signatures += [record["signature"]] if "signature" in record else []
                result.redacted += [record["redacted"]] if "redacted" in record else []
            case "tool_call":
                assert record["index"] == len(calls)
                calls.append({**record, "arguments": ""})
            case "tool_call_delta":
                calls[record["index"]]["arguments"] += record["arguments"]
            case _:
                pass
    result.tool_calls = [(call["id"], call["name"], json.loads(call["arguments"] or "{}")) for call in calls]
    return _ending(result, records[-1])


def _of_completion(answer: dict[str, Any]) -> Reading:
    message = answer["message"]
    blocks = message.get("reasoning", [])
    result = read.Reading(
        text=message["content"],
        reasoning="".join(block.get("text", "") for block in blocks),
        signatures=[block["signature"] for block in blocks if "signature" in block],
        redacted=[block["redacted"] for block in blocks if "redacted" in block],
        tool_calls=[
            (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"] or "{}"))
            for call in message.get("tool_calls", [])
        ],
    )
    return _ending(result, answer)


def _ending(result: Reading, last: dict[str, Any]) -> Reading:
    assert last["finish_reason"] in {FINISH[last["stop_reason"]], "content_filter"}
    result.stop, result.usage = last["stop_reason"], last["usage"]
    return result


def _expected_stream(recording: dict[str, Any]) -> Reading:
    data = base64.b64decode(recording["response_base64"])
    if recording["operation"] == "converse-stream":
        return read.read_blocks_stream(read.botocore_events("ConverseStream", data), read.CONVERSE_USAGE)
    events = read.botocore_events("InvokeModelWithResponseStream", data)
    chunks = [json.loads(event["chunk"]["bytes"]) for event in events]
    match _family(recording):
        case "claude":
            return read.read_claude_stream(chunks)
        case "nova":
            return read.read_blocks_stream(chunks, read.NOVA_USAGE)
        case _:
            return read.read_titan_stream(chunks)


def _expected_unary(recording: dict[str, Any]) -> Reading:
    answer = recording["response"]
    if recording["operation"] == "converse":
        parsed = read.botocore_answer("Converse", orjson.dumps(answer))
        return read.read_blocks_answer(parsed, read.CONVERSE_USAGE)
    match _family(recording):
        case "claude":
            return read.read_claude_answer(answer)
        case "nova":
            return read.read_blocks_answer(answer, read.NOVA_USAGE)
        case "titan":
            return read.read_titan_answer(answer)
        case family:
            return read.read_text_answer(family, answer, recording["response_headers"])


def _check_usage(actual: dict[str, Any], recorded: dict[str, int | None]) -> None:
    """Every counter that was recorded must come out; one that was not may come from Bedrock's metrics."""
    assert {name: actual[name] for name, value in recorded.items() if value is not None} == {
        name: value for name, value in recorded.items() if value is not None
    }
    assert set(actual) == {*Usage._fields}


@pytest.mark.parametrize("recording", _selected(STREAMS, good=True))
@pytest.mark.asyncio(loop_scope="module")
async def test_stream(recording: dict[str, Any], replayed: Replayed) -> None:
    """A recorded stream says exactly what botocore reads in the same bytes, and ends in one done."""
    status, records = await _ask(recording, replayed, unary=False)

    expected, actual = _expected_stream(recording), _of_records(records)
    _check_usage(actual.usage, expected.usage)
    actual.usage = expected.usage
    assert (status, actual) == (200, expected)
    assert [record["type"] for record in records].count("done") == 1
    assert records[0]["type"] == "start"
    recorded_id = recording["response_headers"].get("x-amzn-requestid")
    assert recorded_id in {None, "**REDACTED**", records[0]["upstream_request_id"]}


@pytest.mark.parametrize("recording", _selected(UNARY, good=True))
@pytest.mark.asyncio(loop_scope="module")
async def test_unary(recording: dict[str, Any], replayed: Replayed) -> None:
    """The unary route gives what a recorded unary answer says."""
    status, [answer] = await _ask(recording, replayed, unary=True)

    expected, actual = _expected_unary(recording), _of_completion(answer)
    _check_usage(actual.usage, expected.usage)
    actual.usage = expected.usage
    assert (status, actual) == (200, expected)


def _expected_error(recording: dict[str, Any]) -> tuple[int, str]:
    unknown = "model identifier is invalid" in recording["response"]["message"]
    return (404, "unknown_model") if unknown else (400, "invalid_request")


@pytest.mark.parametrize("recording", _selected((*STREAMS, *UNARY), good=False))
@pytest.mark.asyncio(loop_scope="module")
async def test_error(recording: dict[str, Any], replayed: Replayed) -> None:
    """A recorded error becomes the mapped status and code, with the AWS request id where it was recorded."""
    calls = len(replayed.emulator.calls)

    status, [answer] = await _ask(recording, replayed, unary=recording["operation"] in UNARY)

    assert (status, answer["error"]["code"]) == _expected_error(recording)
    if len(replayed.emulator.calls) > calls:  # else it was refused at the door
        recorded_id = recording["response_headers"].get("x-amzn-requestid")
        assert recorded_id in {None, "**REDACTED**", answer["error"]["upstream_request_id"]}


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Every recording is either replayed above or left out for a written reason; the counts are printed."""
    if not RECORDINGS:
        pytest.skip("no recordings: neither GATEWAY_RECORDINGS nor ../shared/recordings is a folder")
    counts = Counter(
        (recording["operation"], _family(recording), "same as botocore" if good else "error mapped")
        for operations, good in ((STREAMS, True), (UNARY, True), ((*STREAMS, *UNARY), False))
        for parameters in _selected(operations, good=good)
        for recording in parameters.values
    )
    left_out: Counter[tuple[str, str]] = Counter()
    for recording in RECORDINGS:
        operation = recording["operation"]
        if operation not in (*STREAMS, *UNARY):
            reason = LEFT_OUT.get(operation, "another API (OpenAI-shaped endpoint)")
            left_out[operation, reason] += 1
        elif _family(recording) in LEFT_OUT and recording["status"] == 200:
            left_out[operation, LEFT_OUT[_family(recording)]] += 1
    with capsys.disabled():
        print("\n\nreplayed through the gateway")  # noqa: T201 - the table is asked for
        for (operation, family, result), count in sorted(counts.items()):
            print(f"  {operation:<28} {family:<9} {result:<20} {count:>4}")  # noqa: T201 - same
        print("left out")  # noqa: T201 - same
        for (operation, reason), count in sorted(left_out.items()):
            print(f"  {operation:<28} {count:>4}  {reason}")  # noqa: T201 - same
    assert counts.total() + left_out.total() == len(RECORDINGS)
