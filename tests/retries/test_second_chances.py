"""Second chances over real sockets: what came of each fault, and how many calls Bedrock had of it (S4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.settings import BedrockSettings, BreakerSettings, RetrySettings
from tests.harness import CLAUDE, LLAMA, StartGateway, ask, lines, text_of

if TYPE_CHECKING:
    import io

    from gateway.emulator import Emulator

QUICK = RetrySettings(backoff_ms=1, max_backoff_ms=2)
IMPATIENT = BedrockSettings(first_byte_timeout_ms=1_000)

# what the first call meets, how many calls there are, and how the caller's answer ends
FAULTS = [
    ("error=ThrottlingException", 2, "done"),
    ("error=ModelNotReadyException", 2, "done"),
    ("error=ServiceUnavailableException", 2, "done"),
    ("error=InternalServerException", 2, "done"),
    ("close=start", 2, "done"),
    ("reset=start", 2, "done"),
    ("exception=throttlingException", 2, "done"),
    ("exception=serviceUnavailableException", 2, "done"),
    ("exception=internalServerException", 2, "done"),
    ("stall=start", 1, "upstream_timeout"),
    ("stall=0", 1, "upstream_timeout"),
    ("reset=0", 1, "upstream_protocol"),
    ("close=0+5", 1, "upstream_protocol"),
    ("cut=0", 1, "upstream_protocol"),
    ("exception=modelStreamErrorException", 1, "upstream_failed"),
    ("exception=validationException", 1, "invalid_request"),
    ("error=ModelTimeoutException", 1, "upstream_timeout"),
    ("error=ModelErrorException", 1, "upstream_failed"),
    ("error=ValidationException", 1, "invalid_request"),
    ("error=AccessDeniedException", 1, "upstream_denied"),
    ("error=ResourceNotFoundException", 1, "unknown_model"),
    ("error=ServiceQuotaExceededException", 1, "upstream_throttled"),
    ("exception=throttlingException after=3 frames_per_write=1 pace_ms=5", 1, "upstream_throttled"),
    ("reset=4 frames_per_write=1 pace_ms=5", 1, "upstream_protocol"),
]


def _end(records: list[dict[str, Any]]) -> str:
    last = records[-1]
    return "done" if last.get("type") == "done" else str(last["error"]["code"])


@pytest.mark.parametrize(("fault", "calls", "end"), FAULTS)
async def test_each_fault(
    start: StartGateway, emulator: Emulator, log: io.StringIO, fault: str, calls: int, end: str
) -> None:
    """The second call would do: whether it is made depends on what the first may have cost or shown."""
    clocks = IMPATIENT if "stall" in fault else BedrockSettings()
    async with start(emulator, retries=QUICK, bedrock=clocks) as caller:
        emulator.script(fault, "")
        _, records, headers = await caller.stream(ask("Hello"))

    assert (len(emulator.calls), _end(records)) == (calls, end)
    (line,) = lines(log)
    assert (line["attempts"], line["target"]) == (calls, "default")
    if end == "done":
        assert line["targets"] == [f"default/{CLAUDE}"] * 2
        assert headers["X-Upstream-Request-Id"] == emulator.calls[-1].request_id
        assert text_of(records)


async def test_attempts_are_counted(start: StartGateway, emulator: Emulator) -> None:
    """Three calls at most; 1 in the settings is off. The message is the fault's own."""
    async with start(emulator, retries=QUICK) as caller:
        status, answer = await caller.complete(ask("[[emulator error=ThrottlingException]]"))
        assert (status, len(emulator.calls)) == (429, 3)
        assert answer["error"]["message"] == "Bedrock throttled the request."
    emulator.calls.clear()
    async with start(emulator, retries=RetrySettings(max_attempts=1)) as caller:
        status, _ = await caller.complete(ask("[[emulator error=ThrottlingException]]"))
        assert (status, len(emulator.calls)) == (429, 1)


async def test_the_pause_that_bedrock_asks_for(start: StartGateway, emulator: Emulator) -> None:
    """It is kept where the caller's time allows, and else the caller is told to wait."""
    async with start(emulator, retries=QUICK) as caller:
        emulator.script("error=ThrottlingException retry_after_ms=60000")
        status, records, headers = await caller.stream(ask("Hello"))
        assert (status, _end(records), headers["Retry-After"]) == (429, "upstream_throttled", "60")
        emulator.script("error=ThrottlingException retry_after_ms=5000")
        status, _, headers = await caller.stream(ask("Hello"), **{"X-Request-Timeout-Ms": "4000"})
        assert (status, headers["Retry-After"]) == (429, "5")
        emulator.script("error=ThrottlingException retry_after_ms=1")
        status, records, _ = await caller.stream(ask("Hello"))
        assert (status, _end(records)) == (200, "done")
    assert len(emulator.calls) == 4


async def test_the_budget(start: StartGateway, emulator: Emulator) -> None:
    """However many fail, retries stay a share of the requests."""
    async with start(emulator, retries=QUICK, breaker=BreakerSettings(enabled=False)) as caller:
        for _ in range(40):
            await caller.complete(ask("[[emulator error=InternalServerException]]"))

    assert 40 < len(emulator.calls) <= 48


async def test_the_breaker(start: StartGateway, emulator: Emulator, log: io.StringIO) -> None:
    """Half of the calls fail: none is made, and the caller is told for how long. Other models are served."""
    breaker = BreakerSettings(min_calls=4, open_ms=60_000)
    async with start(emulator, retries=RetrySettings(max_attempts=1), breaker=breaker) as caller:
        await caller.complete(ask("[[emulator error=ThrottlingException]]"))
        for _ in range(4):
            status, _ = await caller.complete(ask("[[emulator error=InternalServerException]]"))
            assert status == 502
        status, records, headers = await caller.stream(ask("Hello"))
        assert (status, records[0]["error"]["code"]) == (503, "upstream_unavailable")
        assert CLAUDE in records[0]["error"]["message"]
        assert "circuit breaker" in records[0]["error"]["message"]
        assert 40 <= int(headers["Retry-After"]) <= 60
        assert len(emulator.calls) == 5
        assert caller.gateway.limiter.running == 0
        status, _, _ = await caller.stream(ask("Hello", model=LLAMA))
        assert status == 200
    assert "attempts" not in lines(log)[5]
    [opened] = lines(log, "breaker")
    assert (opened["lane"], opened["state"], opened["level"]) == (f"default/{CLAUDE}", "open", "warning")


async def test_embeddings(start: StartGateway, emulator: Emulator, log: io.StringIO) -> None:
    """Each of a request's calls has its own second chances, and the log line tells of all of them."""
    body = {"model": "amazon.titan-embed-text-v2:0", "input": ["one", "two", "three"]}
    async with start(emulator, retries=QUICK) as caller:
        emulator.script("error=ThrottlingException", "error=ServiceUnavailableException")
        async with caller.session.post(f"{caller.url}/embeddings", json=body) as response:
            answer = await response.json()
            assert (response.status, len(answer["data"])) == (200, 3)
    (line,) = lines(log)
    assert (line["attempts"], len(emulator.calls)) == (5, 5)
    assert sorted(line["failed_with"]) == ["ServiceUnavailableException", "ThrottlingException"]


@pytest.mark.parametrize(("value", "status"), [("true", 200), ("False", 200), ("perhaps", 400)])
async def test_the_header(start: StartGateway, emulator: Emulator, value: str, status: int) -> None:
    """`X-No-Fallback` is a yes or a no; the same call is still tried again."""
    async with start(emulator, retries=QUICK) as caller:
        emulator.script("error=ThrottlingException", "")
        actual, records, _ = await caller.stream(ask("Hello"), **{"X-No-Fallback": value})

    assert actual == status
    assert status == 200 or records[0]["error"]["param"] == "X-No-Fallback"
