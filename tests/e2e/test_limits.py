"""Slots, the queue, and callers who leave: real sockets, and an emulator that counts what reaches it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.settings import AdaptiveSettings, ModelSettings, TimeoutSettings
from tests.harness import CLAUDE, FAMILIES, LLAMA, Caller, StartGateway, ask, lines

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator, Callable

    from gateway.emulator import Emulator

RELEASE_TURNS = 500
"""The promise: a caller's leaving frees its upstream connection within a second (reliability.md R1), which is
so many pauses of `_until`. A machine that stands still meanwhile makes the second longer, not the work."""
PAUSE_S = 0.002


async def _until(condition: Callable[[], bool], turns: int = RELEASE_TURNS) -> None:
    """Let the loop turn until the condition holds; fail after so many turns."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(PAUSE_S)
    raise AssertionError(f"not within {turns} turns")


async def test_200_streams_through_50_slots(emulator: Emulator, start: StartGateway) -> None:
    """All end properly, never more than 50 run upstream, and queue and slots are back to 0."""
    settings = {"max_concurrency": 50, "max_queue": 200, "queue_timeout_ms": 60_000}
    async with start(emulator, **settings) as caller:
        bodies = [ask("[[emulator deltas=16 pace_ms=5]]", model=FAMILIES[i % 4]) for i in range(200)]
        answers = await asyncio.gather(*(caller.stream(body) for body in bodies))

        endings = [(status, records[-1]["type"]) for status, records, _ in answers]
        assert endings == [(200, "done")] * 200
        assert emulator.peak_active <= 50
        assert repr(caller.gateway.limiter) == "<ConcurrencyLimiter 0 of 50 running, 0 of 200 waiting>"


async def test_every_slot_is_used(emulator: Emulator, start: StartGateway) -> None:
    """Of 60 requests 50 reach Bedrock at once; when those leave, the waiting 10 follow."""
    async with start(emulator, max_concurrency=50, max_queue=60, queue_timeout_ms=60_000) as caller:
        slow = ask("[[emulator first_byte_ms=60000]]")
        first = [asyncio.ensure_future(caller.stream(slow)) for _ in range(50)]
        async with asyncio.timeout(60):
            await emulator.wait_active(50)
        waiting = [asyncio.ensure_future(caller.stream(ask())) for _ in range(10)]
        await _until(lambda: caller.gateway.limiter.waiting == 10, turns=15_000)

        assert (emulator.active, emulator.peak_active) == (50, 50)
        assert repr(caller.gateway.limiter) == "<ConcurrencyLimiter 50 of 50 running, 10 of 60 waiting>"
        for task in first:
            await _leave(task)
        answers = await asyncio.gather(*waiting)

    assert [(status, records[-1]["type"]) for status, records, _ in answers] == [(200, "done")] * 10


@pytest.mark.parametrize(
    ("adaptive", "limit"),
    [(AdaptiveSettings(decrease=0.5), 1.0), (AdaptiveSettings(enabled=False), None)],
    ids=["adaptive", "fixed"],
)
async def test_admission_is_set_up_as_configured(
    emulator: Emulator, start: StartGateway, adaptive: AdaptiveSettings, limit: float | None
) -> None:
    """The order of the queue and the adaptive limit are the operator's choice."""
    async with start(emulator, queue_order="newest_first", adaptive=adaptive) as caller:
        limiter = caller.gateway.limiter
        assert limiter.order == "newest_first"
        with await limiter.acquire(("t/m",)), await limiter.acquire(("t/m",)) as slot:
            slot.throttled()
            assert limiter.lanes[0].limit == limit


async def test_full_queue_is_refused_at_once(emulator: Emulator, start: StartGateway) -> None:
    """With every slot taken and the queue full, the next request gets 503 with Retry-After."""
    async with start(emulator, max_concurrency=1, max_queue=1) as caller:
        slow = ask("[[emulator deltas=2 first_byte_ms=60000]]")
        running = asyncio.ensure_future(caller.stream(slow))
        await _until(lambda: caller.gateway.limiter.running == 1)
        waiting = asyncio.ensure_future(caller.stream(slow))
        await _until(lambda: caller.gateway.limiter.waiting == 1)

        status, [answer], headers = await caller.stream(ask())

        assert (status, answer["error"]["code"]) == (503, "overloaded")
        assert answer["error"]["retryable"] is True
        assert int(headers["Retry-After"]) >= 1
        await _leave(running)
        await _leave(waiting)


async def test_wait_is_bounded(emulator: Emulator, start: StartGateway) -> None:
    """A request that waits longer than the queue allows gets 503, and leaves the queue."""
    async with start(emulator, max_concurrency=1, max_queue=5, queue_timeout_ms=50) as caller:
        running = asyncio.ensure_future(caller.stream(ask("[[emulator first_byte_ms=60000]]")))
        await _until(lambda: caller.gateway.limiter.running == 1)

        status, [answer], _ = await caller.stream(ask())

        assert (status, answer["error"]["code"]) == (503, "overloaded")
        assert caller.gateway.limiter.waiting == 0
        await _leave(running)


async def _leave(task: asyncio.Future[Any]) -> None:
    """Be a caller who closes the connection without waiting for the answer."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_leaving_the_queue(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """A caller who leaves while waiting frees the place in the queue and never reaches Bedrock."""
    async with start(emulator, max_concurrency=1, max_queue=5) as caller:
        running = asyncio.ensure_future(caller.stream(ask("[[emulator first_byte_ms=60000]]")))
        await emulator.wait_active(1)
        waiting = asyncio.ensure_future(caller.stream(ask()))
        await _until(lambda: caller.gateway.limiter.waiting == 1)

        await _leave(waiting)

        await _until(lambda: caller.gateway.limiter.waiting == 0)
        await _until(lambda: [line["outcome"] for line in lines(log)] == ["disconnected"])
        assert emulator.active == 1
        await _leave(running)


async def test_refusal_says_for_what(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """The line of a refused request has the model and the wait; upload time is not queue time."""
    async with start(emulator, max_concurrency=1, max_queue=1, queue_timeout_ms=50) as caller:
        running = asyncio.ensure_future(caller.stream(ask("[[emulator first_byte_ms=60000]]")))
        await _until(lambda: caller.gateway.limiter.running == 1)

        async def slow_upload() -> AsyncIterator[bytes]:
            yield b'{"model": "amazon.titan-text-express-v1",'
            await _until(lambda: len(caller.gateway.serving.dispatcher.exchanges) == 2)
            await asyncio.sleep(0.2)
            yield b'"prompt": "Hi"}'

        url, headers = f"{caller.url}/chat/completions", {"Content-Type": "application/json"}
        async with caller.session.post(url, data=slow_upload(), headers=headers) as response:
            await response.read()
        [line] = lines(log)
        await _leave(running)

    assert (line["code"], line["model"]) == ("overloaded", "amazon.titan-text-express-v1")
    assert line["queue_ms"] <= line["total_ms"] - 200


async def test_leaving_before_the_first_byte(emulator: Emulator, start: StartGateway) -> None:
    """A caller who leaves while the model thinks frees slot and upstream connection."""
    async with start(emulator, max_concurrency=1) as caller:
        asking = asyncio.ensure_future(caller.stream(ask("[[emulator first_byte_ms=60000]]")))
        await emulator.wait_active(1)

        await _leave(asking)

        await _until(lambda: emulator.active == 0)
        await _until(lambda: caller.gateway.limiter.running == 0)


@pytest.mark.parametrize("model", FAMILIES)
async def test_leaving_in_the_middle(
    model: str, emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """A caller who leaves mid-stream frees slot and upstream connection; the log says disconnected."""
    async with start(emulator, max_concurrency=1) as caller:
        body = ask("[[emulator deltas=4900 pace_ms=20]]", model=model)
        url = f"{caller.url}/chat/completions/stream"
        async with caller.session.post(url, json=body) as response:
            await response.content.readline()
            assert emulator.active == 1
            response.close()

        await _until(lambda: emulator.active == 0)
        await _until(lambda: caller.gateway.limiter.running == 0)
        await _until(lambda: bool(lines(log)))
        assert [line["outcome"] for line in lines(log)] == ["disconnected"]
        assert emulator.calls[-1].outcome == "client_gone"


async def test_many_who_leave_at_random_points(emulator: Emulator, start: StartGateway) -> None:
    """After 200 callers that left after 0–19 records, nothing is held and the gateway still answers."""
    async with start(emulator, max_concurrency=20, max_queue=200, queue_timeout_ms=60_000) as caller:
        await asyncio.gather(*(_read_some(caller, number % 20) for number in range(200)))

        await _until(lambda: emulator.active == 0)
        await _until(lambda: (caller.gateway.limiter.running, caller.gateway.limiter.waiting) == (0, 0))
        status, records, _ = await caller.stream(ask())
        assert (status, records[-1]["type"]) == (200, "done")


async def _read_some(caller: Caller, records: int) -> None:
    body = ask("[[emulator deltas=40 pace_ms=2]]")
    async with caller.session.post(f"{caller.url}/chat/completions/stream", json=body) as response:
        for _ in range(records):
            await response.content.readline()
        response.close()


@pytest.mark.parametrize(
    ("settings", "directive", "words"),
    [
        ({"first_byte_timeout_ms": 80}, "first_byte_ms=60000", "No first byte of the answer within 0.08 s."),
        ({"total_timeout_ms": 80}, "first_byte_ms=60000", "The answer took longer than 0.08 s."),
    ],
)
async def test_clock_before_the_first_byte(
    settings: dict[str, int], directive: str, words: str, emulator: Emulator, start: StartGateway
) -> None:
    """A clock that strikes before the first byte is a true 504 that names the clock."""
    async with start(emulator, bedrock=settings) as caller:
        status, [answer], _ = await caller.stream(ask(f"[[emulator {directive}]]"))

        assert (status, answer["error"]["code"], answer["error"]["message"]) == (
            504,
            "upstream_timeout",
            words,
        )
        await _until(lambda: emulator.active == 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gap_timeout_ms": 80}, "The answer fell silent for more than 0.08 s."),
        ({"total_timeout_ms": 200}, "The answer took longer than 0.2 s."),
    ],
)
async def test_clock_in_the_middle(
    settings: dict[str, int], words: str, emulator: Emulator, start: StartGateway
) -> None:
    """A clock that strikes mid-stream ends the stream in an error record that names the clock."""
    async with start(emulator, bedrock=settings) as caller:
        status, records, _ = await caller.stream(ask("[[emulator deltas=3 pace_ms=30000]]"))

        assert status in {200, 504}
        error = records[-1]["error"]
        assert (error["code"], error["message"]) == ("upstream_timeout", words)
        await _until(lambda: emulator.active == 0)


async def test_a_gap_begins_anew_with_each_delta(emulator: Emulator, start: StartGateway) -> None:
    """A stream may be longer than the silence that would end it."""
    async with start(emulator, bedrock={"gap_timeout_ms": 2000}) as caller:
        _, records, _ = await caller.stream(ask("[[emulator deltas=8 pace_ms=400]]"))

    assert records[-1]["type"] == "done"


@pytest.mark.parametrize(
    ("clock", "directive", "words"),
    [
        ("first_byte_ms", "first_byte_ms=60000", "No first byte of the answer within 0.09 s."),
        ("gap_ms", "deltas=3 pace_ms=60000", "The answer fell silent for more than 0.09 s."),
        ("total_ms", "deltas=2000 pace_ms=20", "The answer took longer than 0.09 s."),
    ],
)
async def test_clocks_of_one_model(
    emulator: Emulator, start: StartGateway, clock: str, directive: str, words: str
) -> None:
    """A model may have clocks of its own; no other model has them (R19)."""
    own = ModelSettings(timeouts=TimeoutSettings(**{clock: 90}))
    async with start(emulator, models={LLAMA: own}) as caller:
        _, records, _ = await caller.stream(ask(f"[[emulator {directive}]]", model=LLAMA))
        other = asyncio.create_task(caller.stream(ask(f"[[emulator {directive}]]", model=CLAUDE)))
        await asyncio.sleep(0.3)
        assert not other.done()
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)

    problem = records[-1]["error"]
    assert (problem["code"], problem["message"]) == ("upstream_timeout", words)
