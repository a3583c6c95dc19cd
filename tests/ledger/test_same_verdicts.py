"""Redis and one process count alike: the same orders at the same times get the same verdicts."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.charges import Charge, Granted, Order
from gateway.ledger.local import LocalLedger
from tests.ledger import redis_server
from tests.ledger.replicas import replica

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.ledger.charges import Grant
    from gateway.ledger.shared import SharedLedger

LIMITS = {
    "minute": ("rate", 60, 60.0), "odd": ("rate", 7, 13.0), "tokens": ("rate", 200_000, 60.0),
    "day": ("rate", 10**11, 86_400.0), "streams": ("held", 3, 60.0), "budget": ("spent", 1000, 86_400.0),
}  # fmt: skip


def _charges(*names: str) -> st.SearchStrategy[tuple[Charge, ...]]:
    def charge(name: str) -> st.SearchStrategy[Charge]:
        kind, limit, period_s = LIMITS[name]
        amounts = st.just(1) if kind == "held" else st.integers(0, limit + limit // 5)
        return amounts.map(lambda amount: Charge(kind, name, limit, amount, period_s))  # type: ignore[arg-type]

    return st.lists(st.sampled_from(names), unique=True, max_size=3).flatmap(
        lambda chosen: st.tuples(*map(charge, chosen))
    )


ORDERS = st.builds(
    Order,
    st.just("team"),
    _charges("minute", "streams", "budget"),
    st.lists(_charges("odd", "tokens", "day"), max_size=3).map(tuple),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(0, 20_000_000)),
        st.tuples(st.just("reserve"), ORDERS),
        st.tuples(st.just("settle"), st.integers(0, 2**30), st.floats(0, 1.5)),
        st.tuples(st.just("move"), st.integers(0, 2**30), _charges("odd", "tokens", "day")),
    ),
    max_size=40,
)


class Both:
    """A ledger of one process and one in Redis, at the same time."""

    shared: SharedLedger

    def __init__(self, server: redis_server.RedisServer) -> None:
        self.now_us = 1_800_000_000_000_000
        self._server = server
        self._local = LocalLedger(lambda: 0.0)
        self._grants: list[tuple[Grant, Grant]] = []

    async def begin(self) -> None:
        """Forget all, but not the epoch."""
        for pair in self._grants:
            self._settle(pair, 0)
        await self.shared.reserve(Order("", ()))  # what was sent before it has arrived
        for key in await self._server.command("KEYS", "*"):
            if not key.endswith(("epoch", "replicas")):
                await self._server.command("DEL", key)
        self._grants = []
        self._local = LocalLedger(lambda: self.now_us / 1e6)

    async def take(self, step: tuple[Any, ...]) -> None:
        """Do the same to both."""
        match step:
            case ("wait", int(microseconds)):
                self.now_us += microseconds
            case ("reserve", Order() as order):
                await self._reserve(order)
            case ("settle", int(which), float(part)) if self._grants:
                self._settle(self._grants.pop(which % len(self._grants)), part)
            case ("move", int(which), tuple(lane)) if self._grants:
                at = which % len(self._grants)
                local, shared = self._grants[at]
                self._grants[at] = self._local.move(local, lane), self.shared.move(shared, lane)

    async def _reserve(self, order: Order) -> None:
        expected, found = self._local.decide(order), await self.shared.reserve(order)
        if isinstance(expected, Granted):
            assert isinstance(found, Granted)
            assert found.alternative == expected.alternative
            assert found.grant.shared
            self._grants.append((expected.grant, found.grant))
        else:
            assert found == expected

    def _settle(self, pair: tuple[Grant, Grant], part: float) -> None:
        local, shared = pair
        common, lane = ([int(it.amount * part) for it in charges] for charges in (local.common, local.lane))
        self._local.settle(local, common, lane)
        self.shared.settle(shared, common, lane)


@asynccontextmanager
async def _both(folder: Path) -> AsyncIterator[Both]:
    async with redis_server.running(folder) as server:
        both = Both(server)
        async with replica(server, server_clock=lambda: both.now_us) as both.shared:
            yield both


def test_the_same_verdicts(tmp_path: Path) -> None:
    """Whatever is ordered, moved, settled and waited for."""
    with asyncio.Runner() as runner:
        opened = _both(tmp_path)
        both = runner.run(opened.__aenter__())

        async def play(steps: list[tuple[Any, ...]]) -> None:
            await both.begin()
            for step in steps:
                await both.take(step)

        @settings(max_examples=100)
        @given(STEPS)
        def check(steps: list[tuple[Any, ...]]) -> None:
            runner.run(play(steps))

        try:
            check()
        finally:
            runner.run(opened.__aexit__(None, None, None))
