"""Callers who leave: what is freed, and what is accounted for, under both policies (R1, R22)."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import CLAUDE, FAMILIES, Caller, StartGateway, ask, lines, on_both_loops

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from gateway.emulator import Emulator

PACED = "[[emulator deltas=40 pace_ms=10]]"


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the conditions belong to other tasks, no event tells them
            await asyncio.sleep(0.005)


async def _leave_after(caller: Caller, body: dict[str, Any], records: int) -> None:
    """Read so many lines of a stream, and go."""
    url = f"{caller.url}/chat/completions/stream"
    async with caller.session.post(url, json=body) as response:
        for _ in range(records):
            await response.content.readline()
        response.close()


@on_both_loops
async def test_abort(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """By default Bedrock's answer ends when the caller leaves; its output is reckoned from the text."""
    async with start(emulator) as caller:
        await _leave_after(caller, ask("[[emulator deltas=500 pace_ms=20 delta_chars=40]]"), 4)
        await emulator.wait_active(0)
        await _until(lambda: bool(lines(log)))

    [line] = lines(log)
    assert (line["outcome"], line["usage_accuracy"]) == ("disconnected", "estimated")
    assert line["output_tokens"] >= 20  # at least two deltas of 40 characters, four to a token
    assert line["input_tokens"] > 0  # Claude tells it first
    assert [call.outcome for call in emulator.calls] == ["client_gone"]


async def test_drain_that_the_end_overtakes(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """A drain that is given up before its first turn still gives back and tells what it has."""
    async with start(emulator, on_disconnect="drain") as caller:
        abandoned = caller.gateway.serving.dispatcher.services.abandoned
        await _leave_after(caller, ask("[[emulator deltas=500 pace_ms=20 delta_chars=40]]"), 4)
        async with asyncio.timeout(60):
            while not abandoned.running:  # noqa: ASYNC110 - in the very turn in which it is adopted
                await asyncio.sleep(0)
            await abandoned.aclose()
            await emulator.wait_active(0)
        assert caller.gateway.limiter.running == 0

    [line] = lines(log)
    assert (line["outcome"], line["usage_accuracy"]) == ("disconnected", "estimated")


@pytest.mark.parametrize("model", FAMILIES)
async def test_drain(emulator: Emulator, start: StartGateway, log: io.StringIO, model: str) -> None:
    """A drained answer is read to its end, its tokens are exact, and its line is written then."""
    async with start(emulator, on_disconnect="drain") as caller:
        _, whole, _ = await caller.stream(ask(PACED, model=model))
        await _leave_after(caller, ask(PACED, model=model), 3)
        await _until(lambda: len(lines(log)) == 2)
        assert caller.gateway.limiter.running == 0

    complete, drained = lines(log)
    assert (complete["outcome"], complete["usage_accuracy"]) == ("ok", "final")
    assert (drained["outcome"], drained["usage_accuracy"]) == ("disconnected", "final")
    assert drained["output_tokens"] == complete["output_tokens"] == whole[-1]["usage"]["output_tokens"]
    assert [call.outcome for call in emulator.calls] == ["complete", "complete"]


async def test_drain_of_a_unary_answer(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """The unary answer is drained in the same way, once its first event has come."""
    async with start(emulator, on_disconnect="drain") as caller:
        task = asyncio.create_task(caller.complete(ask(PACED)))
        await emulator.wait_active(1)
        [exchange] = caller.gateway.serving.dispatcher.exchanges
        await _until(lambda: exchange.timing.first_byte is not None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _until(lambda: bool(lines(log)))

    [line] = lines(log)
    assert (line["outcome"], line["usage_accuracy"]) == ("disconnected", "final")


@on_both_loops
@pytest.mark.parametrize("path", ["/chat/completions", "/chat/completions/stream"])
async def test_drain_of_an_answer_that_has_not_begun(
    emulator: Emulator, start: StartGateway, log: io.StringIO, path: str
) -> None:
    """Bedrock is at work already, and bills it: it is drained too, and told of by its own id."""
    async with start(emulator, on_disconnect="drain") as caller:
        body = ask("[[emulator deltas=10 first_byte_ms=300]]")
        task = asyncio.create_task(caller.session.post(f"{caller.url}{path}", json=body))
        await emulator.wait_active(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _until(lambda: bool(lines(log)))
        assert caller.gateway.limiter.running == 0

    [line], [call] = lines(log), emulator.calls
    assert (line["outcome"], line["usage_accuracy"]) == ("disconnected", "final")
    assert (line["upstream_request_id"], call.outcome) == (call.request_id, "complete")
    assert call.billed is not None
    assert (line["input_tokens"], line["output_tokens"]) == (call.billed.input, call.billed.output)


async def test_a_drain_sends_nothing_again(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """What fails before its first event when the caller has left was the last attempt."""
    async with start(emulator, on_disconnect="drain") as caller:
        body = ask("[[emulator first_byte_ms=200 garbage=0]]")
        task = asyncio.create_task(caller.complete(body))
        await emulator.wait_active(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _until(lambda: bool(lines(log)))
        assert caller.gateway.limiter.running == 0

    [line] = lines(log)
    assert (line["outcome"], line["usage_accuracy"], line["attempts"]) == ("disconnected", "unknown", 1)
    assert len(emulator.calls) == 1


async def test_who_leaves_the_queue_is_not_drained(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """Nothing has been sent, so nothing is: of two with one slot only the first reaches Bedrock."""
    async with start(
        emulator, on_disconnect="drain", max_concurrency=2, abandoned_max_answers=1, queue_timeout_ms=60_000
    ) as caller:
        slow = ask("[[emulator deltas=1 first_byte_ms=60000]]")
        running = [asyncio.create_task(caller.complete(slow)) for _ in range(2)]
        await emulator.wait_active(2)
        waiting = asyncio.create_task(caller.complete(ask()))
        await _until(lambda: caller.gateway.limiter.waiting == 1)
        waiting.cancel()
        await _until(lambda: caller.gateway.limiter.waiting == 0 and len(lines(log)) == 1)
        for task in running:  # one is drained, there is no room for the other
            task.cancel()
        await emulator.wait_active(1)
        await _until(lambda: caller.gateway.limiter.running == 1)

    assert [line["outcome"] for line in lines(log)] == ["disconnected"] * 3
    assert [line.get("usage_accuracy") for line in lines(log)] == [None, "unknown", "unknown"]
    await emulator.wait_active(0)
    assert len(emulator.calls) == 2


async def test_drains_are_bounded_in_number(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """One more than may be drained is ended."""
    async with start(emulator, on_disconnect="drain", abandoned_max_answers=2) as caller:
        await asyncio.gather(
            *(_leave_after(caller, ask("[[emulator deltas=80 pace_ms=20]]"), 3) for _ in range(5))
        )
        await _until(lambda: len(lines(log)) == 5)

    accuracies = sorted(line["usage_accuracy"] for line in lines(log))
    assert accuracies.count("final") == 2


async def test_drains_are_bounded_in_time(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """A drain that takes too long is ended; what came is accounted for."""
    async with start(emulator, on_disconnect="drain", abandoned_timeout_ms=100) as caller:
        await _leave_after(caller, ask("[[emulator deltas=5000 pace_ms=20]]"), 3)
        await emulator.wait_active(0)
        await _until(lambda: bool(lines(log)))
        assert caller.gateway.limiter.running == 0

    [line] = lines(log)
    assert (line["outcome"], line["usage_accuracy"]) == ("disconnected", "estimated")


async def test_the_stop_ends_a_drain(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """The end of the process does not wait for drains, and loses no line."""
    async with start(emulator, on_disconnect="drain") as caller:
        await _leave_after(caller, ask("[[emulator deltas=5000 pace_ms=20]]"), 3)
        await _until(lambda: caller.gateway.serving.dispatcher.services.abandoned.running == 1)

    [line] = lines(log)
    assert (line["outcome"], line["usage_accuracy"]) == ("disconnected", "estimated")
    await emulator.wait_active(0)


@on_both_loops
@pytest.mark.parametrize("policy", ["abort", "drain"])
async def test_leaving_at_random_points(
    emulator: Emulator, start: StartGateway, log: io.StringIO, policy: str
) -> None:
    """Every request has one line, with how exact its tokens are unless it was never sent; nothing is held."""
    dice = random.Random(22)  # noqa: S311 - a seeded draw, no secret

    async def leave(caller: Caller, number: int) -> None:
        body = ask("[[emulator deltas=30 pace_ms=10]]", model=dice.choice(FAMILIES))
        if number % 2:
            await _leave_after(caller, body, 1 + number % 9)
            return
        task = asyncio.create_task(caller.stream(body))
        await asyncio.sleep(dice.uniform(0, 0.5))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with start(
        emulator,
        on_disconnect=policy,
        max_concurrency=20,
        max_queue=200,
        queue_timeout_ms=60_000,
        abandoned_max_answers=10,
    ) as caller:
        await asyncio.gather(*(leave(caller, number) for number in range(100)))
        await emulator.wait_active(0)
        await _until(lambda: caller.gateway.limiter.running == 0)

    counted = [line for line in lines(log) if "usage_accuracy" in line]
    for line in lines(log):
        assert ("usage_accuracy" in line) != (line.get("phase") in {"request", "queue"})
    assert len(counted) >= 50  # all who left in the middle of the stream
    assert caller.gateway.limiter.waiting == 0


async def test_a_caller_deadline_is_not_drained(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """Who is told how it ended has not left: the answer is ended at the deadline."""
    async with start(emulator, on_disconnect="drain") as caller:
        said = ask("[[emulator deltas=5000 pace_ms=20]]", model=CLAUDE)
        await caller.stream(said, **{"X-Request-Timeout-Ms": "200"})
        await emulator.wait_active(0)

    assert [line["code"] for line in lines(log)] == ["deadline_exceeded"]
