"""`X-Request-Timeout-Ms`: the caller's own deadline bounds everything that is done for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.harness import Caller, StartGateway, ask, lines, text_of

if TYPE_CHECKING:
    import io

    from gateway.emulator import Emulator

HEADER = "X-Request-Timeout-Ms"


async def _unary(caller: Caller, text: str, patience: str) -> tuple[int, dict[str, str]]:
    url = f"{caller.url}/chat/completions"
    async with caller.session.post(url, json=ask(text), headers={HEADER: patience}) as response:
        answer = await response.json()
        problem: dict[str, str] = answer.get("error", {})
        return response.status, problem


async def test_before_the_first_event(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """Before the first event the end of the caller's patience is a 504, and Bedrock's answer is left."""
    async with start(emulator) as caller:
        status, [answer], _ = await caller.stream(ask("[[emulator first_byte_ms=60000]]"), **{HEADER: "1500"})
        async with asyncio.timeout(60):
            await emulator.wait_active(0)

    assert (status, answer["error"]["code"]) == (504, "deadline_exceeded")
    assert "1500 ms" in answer["error"]["message"]
    [line] = lines(log)
    assert (line["outcome"], line["phase"], line["level"]) == ("error", "head", "info")


async def test_in_the_middle(emulator: Emulator, start: StartGateway) -> None:
    """Mid-stream it is an error record behind what came."""
    async with start(emulator) as caller:
        said = ask("[[emulator deltas=2000 pace_ms=20]]")
        status, records, _ = await caller.stream(said, **{HEADER: "1500"})
        async with asyncio.timeout(60):
            await emulator.wait_active(0)
        assert caller.gateway.limiter.running == 0

    kinds = [record["type"] for record in records]
    assert (status, kinds[0], kinds[-1]) == (200, "start", "error")
    assert kinds.count("error") == 1
    assert records[-1]["error"]["code"] == "deadline_exceeded"
    assert text_of(records)


async def test_bare_text_breaks(emulator: Emulator, start: StartGateway) -> None:
    """Bare text cannot say so: the transfer breaks."""
    async with start(emulator) as caller:
        said = ask("[[emulator deltas=2000 pace_ms=20]]")
        with pytest.raises(aiohttp.ClientPayloadError):
            await caller.stream(said, **{HEADER: "1500", "Accept": "text/plain"})


async def test_in_the_queue(emulator: Emulator, start: StartGateway) -> None:
    """The wait for a slot counts."""
    async with start(emulator, max_concurrency=1, queue_timeout_ms=60_000) as caller:
        holder = asyncio.create_task(caller.stream(ask("[[emulator first_byte_ms=60000]]")))
        await emulator.wait_active(1)
        status, [answer], _ = await caller.stream(ask(), **{HEADER: "150"})
        assert caller.gateway.limiter.waiting == 0
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)

    assert status in {503, 504}  # shed at once where the wait is known to be too long
    assert answer["error"]["code"] in {"deadline_exceeded", "overloaded"}


async def test_unary(emulator: Emulator, start: StartGateway) -> None:
    """The unary answer is bounded in the same way."""
    async with start(emulator) as caller:
        status, problem = await _unary(caller, "[[emulator first_byte_ms=60000]]", "100")

    assert (status, problem["code"]) == (504, "deadline_exceeded")


async def test_enough_time(emulator: Emulator, start: StartGateway) -> None:
    """A deadline that is kept changes nothing."""
    async with start(emulator) as caller:
        _, records, _ = await caller.stream(ask(), **{HEADER: "60000"})
        status, _ = await _unary(caller, "Hello", "60000")

    assert (records[-1]["type"], status) == ("done", 200)


async def test_the_id_of_what_was_asked(emulator: Emulator, start: StartGateway) -> None:
    """The error record names the request at AWS that the caller did not wait for."""
    async with start(emulator) as caller:
        said = ask("[[emulator deltas=2000 pace_ms=20]]")
        _, records, _ = await caller.stream(said, **{HEADER: "1500"})

    asked = records[0]["upstream_request_id"]
    assert asked
    assert records[-1]["error"]["upstream_request_id"] == asked


@pytest.mark.parametrize("name", [HEADER, "X-No-Fallback"])
async def test_twice(emulator: Emulator, start: StartGateway, name: str) -> None:
    """A header that comes twice is refused: nobody knows which was meant."""
    async with start(emulator) as caller:
        url = f"{caller.url}/chat/completions"
        headers = [(name, "5000"), (name, "1")]
        async with caller.session.post(url, json=ask("Hello"), headers=headers) as response:
            problem = (await response.json())["error"]

    assert (response.status, problem["code"], problem["param"]) == (400, "invalid_request", name)


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "1e3", "86400001", "123456789", "soon", "١"])
async def test_bad_header(emulator: Emulator, start: StartGateway, value: str) -> None:
    """What is not a number of milliseconds is refused, not ignored."""
    async with start(emulator) as caller:
        status, problem = await _unary(caller, "Hello", value)

    assert (status, problem["code"], problem["param"]) == (400, "invalid_request", HEADER)
