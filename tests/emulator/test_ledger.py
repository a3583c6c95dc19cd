"""The far end's own ledger: who asked for what, what of it was answered, and what that costs."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.emulator import Emulator, EmulatorSettings, Entry, Quota, Tokens
from tests.emulator.asking import CLAUDE, NOVA, claude, converse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.emulator.settings import Billed

LONG = "word " * 2000
POINT = {"cachePoint": {"type": "default"}}
TEAM = {"X-Amzn-Bedrock-Request-Metadata": '{"team":"search"}'}


class Asking:
    """A client of an emulator that checks no signatures."""

    def __init__(self, emulator: Emulator, http: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self._http = http

    async def ask(self, operation: str, model: str, body: Any, **headers: str) -> int:
        """Return the status of an answer, once it has been read as far as it goes."""
        url = f"{self.emulator.url}/model/{model}/{operation}"
        async with self._http.post(url, json=body, headers=headers) as response:
            with suppress(aiohttp.ClientPayloadError):
                await response.read()
            status = response.status
        await self.over()
        return status

    async def leave(self, operation: str, model: str, body: Any, size: int) -> None:
        """Read that many bytes of an answer and go."""
        url = f"{self.emulator.url}/model/{model}/{operation}"
        response = await self._http.post(url, json=body)
        if size:
            await response.content.readexactly(size)
        response.close()
        await self.over()

    async def over(self) -> None:
        """Return once every answer has ended."""
        async with asyncio.timeout(60):
            await self.emulator.wait_active(0)

    async def private(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        """Ask for what is not Bedrock's."""
        async with self._http.request(method, f"{self.emulator.url}/emulator/{path}", **body) as response:
            return response.status, await response.json()


@asynccontextmanager
async def asking(**settings: Any) -> AsyncIterator[Asking]:
    """Run an emulator that trusts everybody."""
    async with (
        Emulator(EmulatorSettings(verify_signatures=False, **settings)) as emulator,
        aiohttp.ClientSession() as http,
    ):
        yield Asking(emulator, http)


async def test_it_counts_by_model_and_team() -> None:
    """Tokens as the answers tell them, whether the team is in a header or in the body."""
    async with asking() as far:
        body = converse("Hi", requestMetadata={"team": "search"})
        for operation in ("converse", "converse-stream"):
            assert await far.ask(operation, NOVA, body) == HTTPStatus.OK
        for headers in (TEAM, {}, {"X-Amzn-Bedrock-Request-Metadata": "{"}):
            assert await far.ask("invoke", CLAUDE, claude("Hi"), **headers) == HTTPStatus.OK
        odd = {"X-Amzn-Bedrock-Request-Metadata": '{"team":1}'}
        assert await far.ask("invoke", CLAUDE, claude("Hi"), **odd) == HTTPStatus.OK

        ledger = far.emulator.ledger
        assert set(ledger.entries) == {(NOVA, "search"), (CLAUDE, "search"), (CLAUDE, "")}
        one = far.emulator.calls[-1].billed
        assert one == Tokens(input=2, output=34)
        assert ledger.entry(CLAUDE, "") == Entry(requests=3, admitted=3, input=6, output=102, output_sent=102)
        assert ledger.total(team="search").requests == 3
        assert ledger.total(model=CLAUDE).tokens == Tokens(input=8, output=136)
        assert ledger.total().requests == ledger.total().admitted == 6
        assert await far.private("GET", "ledger") == (HTTPStatus.OK, ledger.as_json())


async def test_who_is_refused_uses_nothing() -> None:
    """Throttled by the quota, the capacity or a directive, or refused for another reason: told apart."""
    async with asking(quotas={NOVA: Quota(tokens_per_minute=1100)}) as far:
        body = converse("Hi", inferenceConfig={"maxTokens": 1000})
        assert await far.ask("converse", NOVA, converse("Hi")) == HTTPStatus.TOO_MANY_REQUESTS
        assert await far.ask("converse", NOVA, body) == HTTPStatus.OK
        assert await far.ask("converse", CLAUDE, converse("Hi")) == HTTPStatus.OK
        far.emulator.capacity.limit = 0
        assert await far.ask("converse", NOVA, body) == HTTPStatus.TOO_MANY_REQUESTS
        assert await far.ask("converse", NOVA, {}) == HTTPStatus.BAD_REQUEST
        far.emulator.capacity.limit = None
        throttled = converse("[[emulator error=ThrottlingException]]")
        assert await far.ask("converse", NOVA, throttled) == HTTPStatus.TOO_MANY_REQUESTS
        assert await far.ask("converse", "no model", body) == HTTPStatus.BAD_REQUEST
        assert await far.ask("count-tokens", NOVA, {}) == HTTPStatus.BAD_REQUEST

        billed = far.emulator.calls[1].billed
        assert billed is not None
        entry = far.emulator.ledger.entry(NOVA, "")
        assert entry.tokens == billed
        assert (entry.requests, entry.admitted, entry.throttled, entry.refused) == (5, 1, 3, 1)
        assert far.emulator.ledger.entry("no model", "").refused == 1
        assert [call.billed is None for call in far.emulator.calls] == [True, False, False] + [True] * 5


async def test_a_throttled_prompt_leaves_nothing_in_the_cache() -> None:
    """The quota counts all of a prompt before the answer; what it read from the cache comes back."""
    body = converse("Hi", system=[{"text": LONG}, POINT], inferenceConfig={"maxTokens": 100})
    wide = {NOVA: {"tokens_per_minute": 6000, "minute_s": 1e9}}
    quota = Quota(tokens_per_minute=2700, minute_s=1e9)
    async with asking(quotas={NOVA: Quota(tokens_per_minute=2000)}) as far:
        assert await far.ask("converse", NOVA, body) == HTTPStatus.TOO_MANY_REQUESTS
        status, _ = await far.private("PUT", "quotas", json=wide)
        assert status == HTTPStatus.OK
        assert await far.ask("converse", NOVA, body) == HTTPStatus.OK
        far.emulator.quotas.limit(NOVA, quota)
        written = far.emulator.calls[-1].billed
        assert written is not None
        assert (written.cache_read, written.cache_write) == (0, 2502)
        assert await far.ask("converse", NOVA, body) == HTTPStatus.TOO_MANY_REQUESTS

        far.emulator.quotas.limit(NOVA, Quota(tokens_per_minute=5300, minute_s=1e9))
        assert await far.ask("converse", NOVA, body) == HTTPStatus.OK
        read = far.emulator.calls[-1].billed
        assert read is not None
        assert (read.cache_read, read.cache_write) == (2502, 0)
        assert await far.ask("converse", NOVA, body) == HTTPStatus.OK  # the reads were given back


@pytest.mark.parametrize("abandoned", ["whole", "generated"])
async def test_an_answer_that_is_left(abandoned: Billed) -> None:
    """It is billed whole, or as far as it had come; how far it had come is told either way."""
    body = converse("[[emulator deltas=1000 delta_chars=400 pace_ms=50]]")
    async with asking(abandoned=abandoned) as far:
        await far.leave("converse-stream", NOVA, body, 1500)

        entry = far.emulator.ledger.total()
        assert (entry.admitted, entry.left, entry.broken) == (1, 1, 0)
        assert 0 < entry.output_sent < 100_000
        assert entry.output == (100_000 if abandoned == "whole" else entry.output_sent)
        assert entry.output_sent % 100 == 0


@pytest.mark.parametrize(
    ("words", "output", "broken"),
    [
        ("deltas=10 delta_chars=40", 100, 0),
        ("deltas=10 delta_chars=40 duplicate=3", 100, 0),
        ("deltas=10 delta_chars=40 exception=throttlingException after=5", 40, 1),
        ("deltas=10 delta_chars=40 cut=5", 40, 1),
        ("deltas=10 delta_chars=40 close=5+7", 40, 1),
        ("deltas=10 delta_chars=40 slice=50 reset=1", 0, 1),
        ("deltas=0", 0, 0),
    ],
)
async def test_an_answer_that_breaks(words: str, output: int, broken: int) -> None:
    """What was sent before is billed; the first frame of this model's carries no delta."""
    async with asking() as far:
        await far.ask("converse-stream", NOVA, converse(f"[[emulator {words}]]"))

        entry = far.emulator.ledger.total()
        assert (entry.output, entry.output_sent, entry.broken) == (output, output, broken)
        assert entry.input > 0


async def test_what_is_left_settles_too() -> None:
    """Whoever goes gives back what was reserved and not used."""
    quota = Quota(tokens_per_minute=2000, minute_s=1e9)
    async with asking(quotas={NOVA: quota}, abandoned="generated") as far:
        body = converse("[[emulator pace_ms=1000]]", inferenceConfig={"maxTokens": 1500})
        for _ in range(5):
            await far.leave("converse-stream", NOVA, body, 10)

        assert far.emulator.ledger.total().throttled == 0


async def test_the_private_routes() -> None:
    """Quotas are seen and changed by them; what makes no sense changes nothing."""
    async with asking(quotas={"a": Quota(requests_per_minute=1)}) as far:
        shown = {"tokens_per_minute": None, "requests_per_minute": 1, "minute_s": 60.0, "shape": "bucket"}
        shown |= {"burndown": None, "longest_answer": None}
        assert await far.private("GET", "quotas") == (HTTPStatus.OK, {"a": shown})
        changes = {"a": None, "b": {"requests_per_minute": 1}}
        assert await far.private("PUT", "quotas", json=changes) == (HTTPStatus.OK, {"b": shown})
        for wrong in ("{", "[]", json.dumps({"b": None, "c": {"no": 1}}), json.dumps({"c": 1})):
            status, said = await far.private("PUT", "quotas", data=wrong)
            assert status == HTTPStatus.BAD_REQUEST
            assert said["message"].startswith("no quotas: ")
        assert list(far.emulator.quotas.given) == ["b"]
        assert await far.private("DELETE", "quotas") == (
            HTTPStatus.NOT_FOUND,
            {"message": "no DELETE /emulator/quotas"},
        )
        assert (await far.private("GET", "elsewhere"))[0] == HTTPStatus.NOT_FOUND
        assert not far.emulator.calls
