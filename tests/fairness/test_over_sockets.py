"""The same through a real gateway, without a clock: who is served, who is shed, what they are told."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from gateway.emulator import Emulator, EmulatorSettings, Quota
from gateway.settings import CallerSettings
from gateway.settings.quotas import QuotaSettings
from tests.harness import CLAUDE, Caller, StartGateway, ask, lines, settings_for

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

SLOW = "[[emulator first_byte_ms=60000]]"


def callers(**rules: dict[str, Any]) -> dict[str, CallerSettings]:
    """Return callers with these rules; each one's key is its name."""
    return {
        name: CallerSettings(key_sha256=(sha256(name.encode()).hexdigest(),), **rule)
        for name, rule in rules.items()
    }


def sending(caller: Caller, name: str, text: str = "Hello", **fields: Any) -> asyncio.Task[Any]:
    """Send a request of this caller."""
    stream = caller.stream(ask(text, max_tokens=50, **fields), Authorization=f"Bearer {name}")
    return asyncio.ensure_future(stream)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds; a minute is for a machine that stands still."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.002)


async def left(*tasks: asyncio.Task[Any]) -> None:
    """Let these callers leave."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_full_queue_makes_room(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """One that has every place gives one to another, and then they have it in turn."""
    settings: dict[str, Any] = {"max_concurrency": 1, "max_queue": 3, "queue_timeout_ms": 60_000}
    async with start(emulator, callers=callers(loud={}, quiet={}), **settings) as caller:
        limiter = caller.gateway.limiter
        first = sending(caller, "loud", SLOW)
        await until(lambda: limiter.running == 1)
        waiting = []
        for _ in range(3):
            waiting.append(sending(caller, "loud"))
            await until(lambda: limiter.waiting == len(waiting))
        quiet = sending(caller, "quiet")
        status, [error], headers = await waiting.pop()
        assert (status, error["error"]["code"], int(headers["Retry-After"]) > 0) == (503, "overloaded", True)
        assert "more claim to a place" in error["error"]["message"]

        await left(first)
        answers = await asyncio.gather(quiet, *waiting)
        assert [status for status, _, _ in answers] == [200] * 3
        served = [line for line in lines(log) if line["outcome"] == "ok"]
        assert [line["caller"] for line in served] == ["loud", "quiet", "loud"]
        assert [line["queue_position"] for line in served] == [0, 1, 1]
        assert limiter.running == 0


async def test_the_urgent_go_first(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """Batch waits until nobody else does, and is shed for others."""
    settings: dict[str, Any] = {"max_concurrency": 1, "max_queue": 2, "queue_timeout_ms": 60_000}
    rules = callers(nightly={"priority": "batch", "weight": 100}, chat={}, ops={"priority": "critical"})
    async with start(emulator, callers=rules, **settings) as caller:
        limiter = caller.gateway.limiter
        first = sending(caller, "chat", SLOW)
        await until(lambda: limiter.running == 1)
        batch = [sending(caller, "nightly")]
        await until(lambda: limiter.waiting == 1)
        batch.append(sending(caller, "nightly"))
        await until(lambda: limiter.waiting == 2)
        chat = sending(caller, "chat")
        assert (await batch[1])[0] == 503
        ops = sending(caller, "ops")
        assert (await batch[0])[0] == 503
        await left(first)
        assert [(await task)[0] for task in (chat, ops)] == [200, 200]
        assert [line["caller"] for line in lines(log) if line["outcome"] == "ok"] == ["ops", "chat"]


async def test_limits_of_a_caller(emulator: Emulator, start: StartGateway) -> None:
    """Refused at once, with the limit and the time; an answer that ended frees what it did not use."""
    rules = callers(few={"requests_per_minute": 1}, one={"max_streams": 1}, small={"tokens_per_minute": 150})
    async with start(emulator, callers=rules) as caller:
        assert (await sending(caller, "few"))[0] == 200
        status, [error], headers = await sending(caller, "few")
        assert (status, error["error"]["code"]) == (429, "rate_limited")
        assert "1 request a minute (requests_per_minute)" in error["error"]["message"]
        assert 0 < int(headers["Retry-After"]) <= 60

        running = sending(caller, "one", SLOW)
        await until(lambda: caller.gateway.limiter.running == 1)
        assert (await sending(caller, "one"))[0] == 429
        await left(running)
        await until(lambda: caller.gateway.limiter.running == 0)
        assert (await sending(caller, "one"))[0] == 200

        assert [(await sending(caller, "small"))[0] for _ in range(2)] == [200, 200]


async def test_a_quota_lets_wait(start: StartGateway, log: io.StringIO) -> None:
    """A second request waits until the first has told what it used: nothing reaches the throttle."""
    quotas = {"*": QuotaSettings(tokens_per_minute=100_000)}
    async with (
        Emulator(EmulatorSettings(quotas={"*": Quota(tokens_per_minute=100_000)})) as emulator,
        start(emulator, quotas=quotas, queue_timeout_ms=60_000) as caller,
    ):
        limiter = caller.gateway.limiter
        body = ask("[[emulator deltas=3]]", max_tokens=60_000)
        held = asyncio.ensure_future(caller.stream(ask(SLOW, max_tokens=60_000)))
        await until(lambda: limiter.running == 1)
        later = asyncio.ensure_future(caller.stream(body))
        await until(lambda: limiter.waiting == 1)
        await left(held)
        assert (await later)[0] == 200
        waited = lines(log)[-1]
        assert (waited["queue_position"], waited.get("retries")) == (0, None)
        assert limiter.free_share(f"default/{body['model']}") > 0.3


async def test_who_leaves_before_the_answer(emulator: Emulator, start: StartGateway) -> None:
    """Its prompt has been read, and counts; the answer that never began does not."""
    rules = callers(team={"tokens_per_minute": 5_000})
    async with start(emulator, callers=rules) as caller:
        limiter = caller.gateway.limiter
        leaving = sending(caller, "team", SLOW + "words " * 2_000)  # 3,000 tokens
        await until(lambda: emulator.active == 1)
        await left(leaving)
        await until(lambda: limiter.running == 0)
        status, [error], _ = await sending(caller, "team", "words " * 2_000)
        assert (status, error["error"]["code"]) == (429, "rate_limited")
        assert (await sending(caller, "team"))[0] == 200


async def test_vectors_are_counted(emulator: Emulator, start: StartGateway) -> None:
    """All calls of an embedding together, with what Bedrock told."""
    rules = callers(team={"tokens_per_minute": 1_000})
    model, key = "amazon.titan-embed-text-v2:0", {"Authorization": "Bearer team"}
    async with start(emulator, callers=rules) as caller:
        body = {"model": model, "input": ["a few words", "and some more of them"]}
        for _ in range(3):
            async with caller.session.post(f"{caller.url}/embeddings", json=body, headers=key) as response:
                assert response.status == 200
        body["input"] = ["words " * 2_000, "words " * 2_000]
        async with caller.session.post(f"{caller.url}/embeddings", json=body, headers=key) as response:
            assert (response.status, (await response.json())["error"]["param"]) == (400, "input")
        assert caller.gateway.limiter.running == 0


async def test_quotas_are_reloaded(emulator: Emulator, start: StartGateway) -> None:
    """Who waits for a quota that grows waits no longer."""
    async with start(emulator, quotas={"*": QuotaSettings(tokens_per_minute=2_000)}) as caller:
        limiter = caller.gateway.limiter
        held = asyncio.ensure_future(caller.stream(ask(SLOW, max_tokens=1_500)))
        await until(lambda: limiter.running == 1)
        later = asyncio.ensure_future(caller.stream(ask(max_tokens=1_500)))
        await until(lambda: limiter.waiting == 1)
        quotas = {"*": QuotaSettings(tokens_per_minute=20_000)}
        await caller.gateway.reload(settings_for(emulator, quotas=quotas))
        assert (await later)[0] == 200
        await left(held)


async def test_a_quota_that_is_none(start: StartGateway, log: io.StringIO) -> None:
    """Bedrock throttles where the configured quota has room: it is told once, with what was configured."""
    async with (
        Emulator(EmulatorSettings(quotas={"*": Quota(requests_per_minute=1)})) as emulator,
        start(emulator, quotas={"*": QuotaSettings(tokens_per_minute=1_000_000)}) as caller,
    ):
        answers = [await caller.stream(ask(max_tokens=50)) for _ in range(3)]
        assert [status for status, _, _ in answers] == [200, 429, 429]
        [told] = lines(log, "quota_differs")
        assert (told["lane"], told["tokens_per_minute"]) == (f"default/{CLAUDE}", 1_000_000)
