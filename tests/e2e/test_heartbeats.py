"""Heartbeats: a silent stream stays alive, loses nothing, and still tells how it ended."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.harness import CLAUDE, LLAMA, Caller, StartGateway, ask, lines, text_of

if TYPE_CHECKING:
    import io

    from gateway.emulator import Emulator

SSE = {"Accept": "text/event-stream"}
TRIES = 30
"""A machine that stands still lets many beats pass for one: then it is asked again."""


async def _raw(caller: Caller, text: str, **headers: str) -> tuple[int, bytes]:
    url = f"{caller.url}/chat/completions/stream"
    async with caller.session.post(url, json=ask(text), headers=headers) as response:
        return response.status, await response.read()


@pytest.mark.parametrize("model", [CLAUDE, LLAMA])
async def test_heartbeats_between_events_lose_nothing(
    emulator: Emulator, start: StartGateway, model: str
) -> None:
    """A heart that beats faster than events come changes no event (S37)."""
    most = 0
    async with start(emulator) as calm, start(emulator, heartbeat_interval_ms=10) as beating:
        _, expected, _ = await calm.stream(ask("[[emulator deltas=12]]", model=model))
        for _ in range(TRIES):
            _, records, _ = await beating.stream(ask("[[emulator deltas=12 pace_ms=40]]", model=model))
            assert text_of(records) == text_of(expected)
            assert [record["type"] for record in records if record["type"] in {"done", "error"}] == ["done"]
            assert records[-1]["type"] == "done"
            most = max(most, sum(record["type"] == "ping" for record in records))
            if most >= 6:
                break

    assert most >= 6


async def test_a_beat_before_the_first_event_sends_the_head(emulator: Emulator, start: StartGateway) -> None:
    """After the grace the head goes out with a heartbeat; the stream then begins as ever."""
    most = 0
    async with start(emulator, heartbeat_grace_ms=30, heartbeat_interval_ms=30) as caller:
        for _ in range(TRIES):
            status, records, headers = await caller.stream(ask("[[emulator deltas=2 first_byte_ms=300]]"))
            kinds = [record["type"] for record in records]
            assert (status, kinds[0], kinds[-1]) == (200, "ping", "done")
            assert "X-Upstream-Request-Id" not in headers
            most = max(most, kinds.index("start"))
            if most >= 3:
                break

    assert most >= 3


async def test_a_beat_while_queued(emulator: Emulator, start: StartGateway) -> None:
    """The heart beats in the queue, too, and a wait in vain ends in an error record: the status is gone."""
    limits = {"max_concurrency": 1, "queue_timeout_ms": 1500}
    async with start(emulator, heartbeat_grace_ms=30, heartbeat_interval_ms=30, **limits) as caller:
        holder = asyncio.create_task(caller.stream(ask("[[emulator first_byte_ms=60000]]")))
        await emulator.wait_active(1)
        status, records, _ = await caller.stream(ask("Hello"))
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)

    kinds = {record["type"] for record in records[:-1]}
    assert (status, kinds) == (200, {"ping"})
    assert (records[-1]["type"], records[-1]["error"]["code"]) == ("error", "overloaded")


async def test_sse_comments(emulator: Emulator, start: StartGateway) -> None:
    """In SSE a heartbeat is a comment, which clients ignore."""
    most = 0
    async with start(emulator, heartbeat_interval_ms=20) as caller:
        for _ in range(TRIES):
            _, data = await _raw(caller, "[[emulator deltas=3 pace_ms=80]]", **SSE)
            blocks = data.split(b"\n\n")[:-1]
            records = [json.loads(block.removeprefix(b"data: ")) for block in blocks if block != b":"]
            assert records[-1]["type"] == "done"
            most = max(most, blocks.count(b":"))
            if most >= 3:
                break

    assert most >= 3


async def test_bare_text_has_no_room_for_a_heartbeat(emulator: Emulator, start: StartGateway) -> None:
    """Bare text is the answer's text and nothing else."""
    settings = {"heartbeat_grace_ms": 10, "heartbeat_interval_ms": 10}
    async with start(emulator) as calm, start(emulator, **settings) as beating:
        said = "[[emulator deltas=3 pace_ms=40]]"
        assert await _raw(calm, said, Accept="text/plain") == await _raw(beating, said, Accept="text/plain")


async def test_no_heartbeats(emulator: Emulator, start: StartGateway) -> None:
    """They can be switched off, for clients that know the records of the answer only."""
    async with start(emulator, heartbeat_interval_ms=0, heartbeat_grace_ms=1) as caller:
        _, records, _ = await caller.stream(ask("[[emulator deltas=2 pace_ms=50]]"))

    assert "ping" not in {record["type"] for record in records}


async def test_a_beat_to_a_caller_who_left(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """Who leaves in a silence is noticed, and the heart stops."""
    async with start(emulator, heartbeat_grace_ms=20, heartbeat_interval_ms=20) as caller:
        task = asyncio.create_task(caller.stream(ask("[[emulator first_byte_ms=60000]]")))
        await emulator.wait_active(1)
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(60):
            await emulator.wait_active(0)
            while not lines(log):  # noqa: ASYNC110 - the line is written by another task
                await asyncio.sleep(0.005)

    assert [(line["outcome"], line["phase"]) for line in lines(log)] == [("disconnected", "head")]
