"""The ways to live with a quota, side by side: each has an account, a ledger and the same requests."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import aiohttp

from gateway.emulator import EmulatorSettings
from tests.quota.clients import backing_off, standard
from tests.quota.far_end import Omniscient
from tests.quota.offered import BURNDOWN
from tests.quota.processes import emulator, gateway

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager, AsyncExitStack
    from pathlib import Path

    from gateway.emulator import Quota
    from tests.quota.clients import Way
    from tests.quota.offered import Offer

BOTO3, BACKOFF = "boto3, 3 attempts", "backoff, 8 attempts"
WITH, WITHOUT = "gateway with quotas", "gateway without"
LIMITED = "with quotas and default_max_tokens"
POSSIBLE = "possible"
_WAYS: Final[dict[str, Callable[[str], AbstractAsyncContextManager[Way]]]] = {
    BOTO3: standard,
    BACKOFF: backing_off,
    WITHOUT: standard,
    WITH: standard,
    LIMITED: standard,
}
NAMES: Final = (*_WAYS, POSSIBLE)
_ADMISSION: Final = "max_concurrency = 500\nmax_queue = 1000\nqueue_timeout_ms = 60000\n"
_CALLER: Final = (
    f'[callers.everybody]\naccess_key_ids = ["{EmulatorSettings().access_key_id}"]\n'
    "default_max_tokens = 4096\n"
)


def _with(quota: Quota) -> str:
    return f'{_ADMISSION}[quotas."*"]\ntokens_per_minute = {quota.tokens_per_minute}\n'


_CONFIGURATIONS: Final[dict[str, Callable[[Quota], str]]] = {
    WITHOUT: lambda _: _ADMISSION,
    WITH: _with,
    LIMITED: lambda quota: _with(quota) + _CALLER,
}


@dataclass(frozen=True, slots=True)
class Counted:
    """What the far end has counted so far; `used` is tokens of the quota."""

    requests: int
    throttled: int
    used: int

    def since(self, before: Counted) -> Counted:
        """Return what came after another count."""
        return Counted(
            self.requests - before.requests, self.throttled - before.throttled, self.used - before.used
        )


@dataclass(slots=True)
class Column:
    """One way through the run. `counts` are those of the far end, one at each mark.

    `waited`: number of a request → seconds from when it was due to the end of its answer. `failed`: number →
    the error that its client gave up with.
    """

    name: str
    way: Way
    count: Callable[[], Awaitable[Counted]]
    counts: list[Counted] = field(default_factory=list)
    waited: dict[int, float] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


async def start(stack: AsyncExitStack, name: str, quota: Quota, folder: Path) -> Column:
    """Start all that a way needs."""
    if name == POSSIBLE:
        knows = Omniscient(quota, asyncio.get_running_loop().time)

        async def look() -> Counted:
            return Counted(knows.far_end.requests - knows.far_end.throttled, 0, knows.far_end.used)

        return Column(name, knows, look)
    upstream = url = await stack.enter_async_context(emulator({"*": asdict(quota)}))
    if name in _CONFIGURATIONS:
        place = folder / name.replace(" ", "-")
        place.mkdir()
        url = await stack.enter_async_context(gateway(upstream, place, _CONFIGURATIONS[name](quota)))
    session = await stack.enter_async_context(aiohttp.ClientSession())

    async def count() -> Counted:
        async with session.get(f"{upstream}/emulator/ledger") as response:
            entries = await response.json()
        used = (one["input"] + one["cache_write"] + BURNDOWN * one["output"] for one in entries)
        requests, throttled = (sum(one[key] for one in entries) for key in ("requests", "throttled"))
        return Counted(requests, throttled, sum(used))

    return Column(name, await stack.enter_async_context(_WAYS[name](url)), count)


class Run:
    """One run of some columns by one clock; the first count is at the first mark, the last ends it."""

    def __init__(self, columns: Sequence[Column], marks: Sequence[float]) -> None:
        self._columns = columns
        self._marks = marks
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._tasks: list[asyncio.Task[None]] = []

    async def of(self, coming: Iterable[Offer]) -> list[Offer]:
        """Let each request come to all columns when it is due, nobody waiting for anybody; return them."""
        counting = [asyncio.ensure_future(self._count(to)) for to in self._columns]
        offered: list[Offer] = []
        for offer in takewhile(lambda one: one.due < self._marks[-1], coming):
            await self._until(offer.due)
            offered.append(offer)
            for to in self._columns:
                self._tasks.append(asyncio.ensure_future(self._answer(to, offer)))
        await asyncio.gather(*counting)
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        return offered

    async def _until(self, seconds: float) -> None:
        await asyncio.sleep(self._begun + seconds - self._loop.time())

    async def _answer(self, to: Column, offer: Offer) -> None:
        error = await to.way(offer)
        if error:
            to.failed[offer.number] = error
        else:
            to.waited[offer.number] = self._loop.time() - self._begun - offer.due

    async def _count(self, to: Column) -> None:
        for mark in self._marks:
            await self._until(mark)
            to.counts.append(await to.count())
