"""What a caller sees: client → gateway → aiobotocore's pool → emulator, over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest
from multidict import CIMultiDict

from gateway.emulator import Emulator, EmulatorSettings
from tests.harness import CLAUDE, FAMILIES, LLAMA, NOVA, TITAN, Caller, StartGateway, ask, lines, text_of

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator

SAYS = "This answer comes from the embedded Bedrock emulator, not from a model."


@pytest.fixture(name="wordy")
async def _wordy() -> AsyncIterator[Emulator]:
    """An emulator that writes every frame by itself."""
    async with Emulator(EmulatorSettings(frames_per_write=1)) as running:
        yield running


@pytest.mark.parametrize("model", FAMILIES)
async def test_ndjson(model: str, caller: Caller) -> None:
    """A stream is one start, deltas, and exactly one done with reason, usage and timing."""
    status, records, headers = await caller.stream(ask(model=model))

    kinds = [record["type"] for record in records]
    assert status == 200
    assert headers["Content-Type"] == "application/x-ndjson"
    assert (headers["X-Accel-Buffering"], headers["Cache-Control"]) == ("no", "no-cache, no-transform")
    assert "Content-Encoding" not in headers
    assert (kinds[0], kinds[-1]) == ("start", "done")
    assert set(kinds[1:-1]) == {"text_delta"}
    assert text_of(records).startswith(SAYS)
    start, done = records[0], records[-1]
    assert start["model"] == model
    assert start["upstream_request_id"] == headers["X-Upstream-Request-Id"]
    assert done["finish_reason"] == "stop"
    assert done["usage"]["input_tokens"] > 0
    assert done["usage"]["output_tokens"] > 0
    assert set(done["timing"]) == {"queue_ms", "first_byte_ms", "total_ms"}


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("streaming", [True, False])
async def test_unary_is_the_fold_of_the_stream(
    model: str, emulator: Emulator, start: StartGateway, *, streaming: bool
) -> None:
    """The unary answer says what the stream says, whichever operation serves it."""
    async with start(emulator, bedrock={"streaming": streaming}) as caller:
        _, records, _ = await caller.stream(ask(model=model))
        status, answer = await caller.complete(ask(model=model))

    done = records[-1]
    assert status == 200
    assert answer["type"] == "completion"
    assert answer["message"] == {"role": "assistant", "content": text_of(records)}
    assert (answer["finish_reason"], answer["usage"]) == (done["finish_reason"], done["usage"])


@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA])
async def test_tool_call(model: str, caller: Caller) -> None:
    """A tool call streams as its name, then the pieces of its arguments, and the turn ends in tool_calls."""
    weather = {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    body = ask("[[emulator tool=1]] weather?", model=model, tools=[{"type": "function", "function": weather}])

    _, records, _ = await caller.stream(body)

    calls = [record for record in records if record["type"] == "tool_call"]
    arguments = "".join(r["arguments"] for r in records if r["type"] == "tool_call_delta" and r["index"] == 0)
    assert [(call["index"], call["name"]) for call in calls] == [(0, "get_weather")]
    assert set(json.loads(arguments)) == {"city"}
    assert records[-1]["finish_reason"] == "tool_calls"


async def test_sse_carries_the_same_records(caller: Caller) -> None:
    """`Accept: text/event-stream` gives the same records, one a `data:` line."""
    _, expected, _ = await caller.stream(ask())
    url = f"{caller.url}/chat/completions/stream"
    async with caller.session.post(url, json=ask(), headers={"Accept": "text/event-stream"}) as response:
        blocks = (await response.text()).split("\n\n")

    records = [json.loads(block.removeprefix("data: ")) for block in blocks if block]
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert [r["type"] for r in records] == [r["type"] for r in expected]
    assert text_of(records) == text_of(expected)


async def test_bare_text_is_the_text_only(caller: Caller) -> None:
    """`Accept: text/plain` gives the answer's text and a clean end."""
    _, expected, _ = await caller.stream(ask())
    url = f"{caller.url}/chat/completions/stream"
    async with caller.session.post(url, json=ask(), headers={"Accept": "text/plain"}) as response:
        text = await response.text()

    assert text == text_of(expected)


async def test_bare_text_has_no_room_for_tools(caller: Caller) -> None:
    """Tools with bare text are refused: a tool call would vanish in silence."""
    tool = {"type": "function", "function": {"name": "f"}}
    status, [answer], _ = await caller.stream(ask(tools=[tool]), Accept="text/plain")

    assert (status, answer["error"]["param"]) == (400, "tools")


async def test_two_accept_lines_are_one_list(caller: Caller) -> None:
    """A header that comes twice is a list (RFC 9110 §5.3)."""
    url = f"{caller.url}/chat/completions/stream"
    headers = CIMultiDict([("Accept", "application/json"), ("Accept", "text/event-stream")])
    async with caller.session.post(url, json=ask(), headers=headers) as response:
        await response.read()

    assert (response.status, response.content_type) == (200, "text/event-stream")


async def test_bare_text_breaks_the_transfer_on_a_fault(caller: Caller) -> None:
    """Bare text cannot say that it failed, so the transfer has no proper end."""
    body = ask("[[emulator cut=6 frames_per_write=1]]")
    url = f"{caller.url}/chat/completions/stream"
    with pytest.raises(aiohttp.ClientPayloadError):
        async with caller.session.post(url, json=body, headers={"Accept": "text/plain"}) as response:
            await response.read()


@pytest.mark.parametrize(("fault", "whole"), [("", True), ("cut=6", False)])
async def test_bare_text_in_http_1_0_is_reset_on_a_fault(fault: str, caller: Caller, *, whole: bool) -> None:
    """Without chunks the end of a good text is a close, so the end of a broken one is a reset (S17)."""
    body = json.dumps(ask(f"[[emulator {fault} frames_per_write=1 pace_ms=1]]")).encode()
    head = f"POST /chat/completions/stream HTTP/1.0\r\nContent-Length: {len(body)}\r\nAccept: text/plain\r\n"
    reader, writer = await asyncio.open_connection(*caller.url.removeprefix("http://").split(":"))
    writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
    heard, reset = b"", False
    try:
        while data := await reader.read(4096):
            heard += data
    except ConnectionResetError:
        reset = True
    finally:
        writer.close()

    assert b"\r\n\r\nThis answer" in heard
    assert reset is not whole


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("fault", ["cut=3", "exception=throttlingException after=3"])
async def test_fault_in_the_middle(model: str, fault: str, wordy: Emulator, start: StartGateway) -> None:
    """A stream that breaks after some events ends in exactly one error record, with the usage so far."""
    async with start(wordy) as caller:
        status, records, _ = await caller.stream(ask(f"[[emulator {fault} deltas=9]]", model=model))

    kinds = [record["type"] for record in records]
    error = records[-1]["error"]
    expected = "upstream_protocol" if fault.startswith("cut") else "upstream_throttled"
    assert (status, kinds[0], kinds[-1], kinds.count("error")) == (200, "start", "error", 1)
    assert "done" not in kinds
    assert error["code"] == expected
    assert error["upstream_request_id"] == records[0]["upstream_request_id"]
    assert set(records[-1]["usage"]) == {
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
    }


async def test_an_end_that_is_not_told(wordy: Emulator, start: StartGateway) -> None:
    """Behind the model's last event the end of the transfer has a second, not the gap's clock.

    That one would make an error of a whole answer.
    """
    body = ask("[[emulator deltas=4 pace_ms=5 stall=9]]", model=CLAUDE)
    async with start(wordy, bedrock={"gap_timeout_ms": 10_000}) as caller:
        _, records, _ = await caller.stream(body)

    assert [record["type"] for record in records] == ["start", *["text_delta"] * 4, "done"]


async def test_good_events_before_a_fault_in_the_same_read_are_delivered(caller: Caller) -> None:
    """When one network read brings five frames and an exception frame, the events of the five come first."""
    body = ask("[[emulator exception=throttlingException after=5 frames_per_write=0 deltas=9]]", model=NOVA)

    _, records, _ = await caller.stream(body)

    assert [record["type"] for record in records] == ["start", "text_delta", "text_delta", "error"]


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("ThrottlingException", 429, "upstream_throttled"),
        ("ServiceQuotaExceededException", 429, "upstream_throttled"),
        ("ModelNotReadyException", 429, "upstream_throttled"),
        ("ValidationException", 400, "invalid_request"),
        ("AccessDeniedException", 502, "upstream_denied"),
        ("ResourceNotFoundException", 404, "unknown_model"),
        ("ModelTimeoutException", 504, "upstream_timeout"),
        ("ServiceUnavailableException", 503, "upstream_unavailable"),
        ("InternalServerException", 502, "upstream_failed"),
        ("ModelErrorException", 502, "upstream_failed"),
    ],
)
@pytest.mark.parametrize("model", [CLAUDE, TITAN, LLAMA])
async def test_error_before_the_first_byte_is_a_true_status(
    code: str, status: int, expected: str, model: str, caller: Caller, log: io.StringIO
) -> None:
    """What Bedrock refuses before it streams is an HTTP status of ours, with the AWS request id."""
    actual, [answer], headers = await caller.stream(ask(f"[[emulator error={code}]]", model=model))

    assert (actual, answer["error"]["code"]) == (status, expected)
    assert answer["error"]["upstream_request_id"] == headers["X-Upstream-Request-Id"]
    assert ("Retry-After" in headers) == (status == 429)
    [line] = lines(log)
    assert (line["outcome"], line["code"], line["status"]) == ("error", expected, status)
    assert (line["model"], bool(line["family"]), bool(line["operation"])) == (model, True, True)
    assert line["upstream_request_id"] == headers["X-Upstream-Request-Id"]


async def test_first_frame_is_an_exception(caller: Caller) -> None:
    """An exception frame before any event is still a true status: nothing had been sent."""
    body = ask("[[emulator exception=modelTimeoutException after=0]]")

    status, [answer], _ = await caller.stream(body)

    assert (status, answer["error"]["code"]) == (504, "upstream_timeout")


async def test_request_id(caller: Caller) -> None:
    """A well-formed X-Request-Id is kept, another one is replaced; both are in the answer."""
    _, _, kept = await caller.stream(ask(), **{"X-Request-Id": "abc-123"})
    _, _, made = await caller.stream(ask(), **{"X-Request-Id": "no good!"})

    assert kept["X-Request-Id"] == "abc-123"
    assert made["X-Request-Id"].startswith("req_")


async def test_one_line_per_request(caller: Caller, log: io.StringIO) -> None:
    """The canonical line has ids, model, family, tokens, times, finish and outcome, and no prompt."""
    _, records, headers = await caller.stream(ask("CANARY in the prompt"))

    [line] = lines(log)
    done = records[-1]
    assert line["request_id"] == headers["X-Request-Id"]
    assert line["upstream_request_id"] == records[0]["upstream_request_id"]
    assert line["completion_id"] == records[0]["id"]
    assert (line["model"], line["provider"], line["family"], line["operation"]) == (
        CLAUDE,
        "anthropic",
        "claude",
        "invoke",
    )
    assert (line["input_tokens"], line["output_tokens"]) == (
        done["usage"]["input_tokens"],
        done["usage"]["output_tokens"],
    )
    assert (line["finish_reason"], line["outcome"], line["status"]) == ("stop", "ok", 200)
    assert {"queue_ms", "first_byte_ms", "total_ms"} <= set(line)
    assert "CANARY" not in log.getvalue()


async def test_connection_is_reused(emulator: Emulator, start: StartGateway) -> None:
    """After whole answers the upstream connection goes back to the pool: 20 requests need one connection."""
    async with start(emulator) as caller:
        for model in FAMILIES * 5:
            await caller.stream(ask(model=model))

        assert (len(emulator.calls), emulator.connections) == (20, 1)
