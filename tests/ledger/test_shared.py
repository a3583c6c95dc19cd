"""The ledger in Redis, while Redis is well: exact for all replicas, told once of each grant."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from gateway.ledger.charges import Full, Granted, Order, Refused
from tests.ledger.replicas import granted, held, rate, replica, spent

if TYPE_CHECKING:
    from tests.ledger.redis_server import RedisServer

PREFIX = "{bedrock-gateway}"


async def test_exactly_the_limit(server: RedisServer) -> None:
    """400 requests at once at four replicas, with limits for 100, 60 and 30 of them: exactly so many."""
    async with (
        replica(server) as one,
        replica(server) as two,
        replica(server) as three,
        replica(server) as four,
    ):
        ledgers = (one, two, three, four)
        for charge, limit in ((rate(), 100), (held(60), 60), (spent(10, 300), 30)):
            verdicts = await asyncio.gather(
                *(ledgers[number % 4].reserve(Order("team", (charge,))) for number in range(400))
            )
            assert sum(isinstance(verdict, Granted) for verdict in verdicts) == limit
            assert {ledger.state for ledger in ledgers} == {"shared"}


async def test_what_a_replica_settles_another_may_have(server: RedisServer) -> None:
    """What was reserved and not used comes free for all, once, however often it is settled."""
    charges = (rate(100), held(1), spent(100))
    async with replica(server) as one, replica(server) as two:
        grant = (await granted(one, *charges)).grant
        assert grant.shared
        assert isinstance(await two.reserve(Order("team", (held(1),))), Refused)

        one.settle(grant, [60, 1, 25], [])
        one.settle(grant, [0, 0, 0], [])
        await one.reserve(Order("", ()))  # behind it

        assert isinstance(await two.reserve(Order("team", (rate(41),))), Refused)
        await granted(two, rate(40), held(1), spent(75))
        assert await server.command("GET", f"{PREFIX}spent:budget/2026-11") == "100"


async def test_lanes(server: RedisServer) -> None:
    """The first lane with room, its reservation moved to another, and the waits that are told."""
    lanes = ((rate(60, key="east"),), (rate(60, key="west"),))
    async with replica(server) as ledger:
        first = await ledger.reserve(Order("team", (rate(1),), lanes))
        second = await ledger.reserve(Order("team", (rate(1),), lanes))
        assert isinstance(first, Granted)
        assert isinstance(second, Granted)
        assert (first.alternative, second.alternative) == (0, 1)
        full = await ledger.reserve(Order("team", (rate(1),), lanes))
        assert isinstance(full, Full)
        assert 0 < full.wait_s <= 20 * 864

        moved = ledger.move(first.grant, lanes[1])

        assert isinstance(await ledger.reserve(Order("", (), ((rate(100, key="east"),),))), Granted)
        ledger.settle(moved, [1], [0])
        ledger.settle(second.grant, [1], [0])
        assert isinstance(await ledger.reserve(Order("", (), ((rate(100, key="west"),),))), Granted)
        never = await ledger.reserve(Order("", (), ((rate(101, key="west"),),)))
        assert never == Full(math.inf)
        assert await ledger.reserve(Order("", (rate(101),))) == Refused(rate(101), math.inf)
        ledger.move(moved, lanes[0])
        assert isinstance(await ledger.reserve(Order("", (), ((rate(1, key="west"),),))), Full)


async def test_scripts_are_forgotten(server: RedisServer) -> None:
    """A Redis that knows a script no more is given its text again, and is asked nothing else for it."""
    async with replica(server) as ledger:
        grant = (await granted(ledger, held(1))).grant
        await server.command("SCRIPT", "FLUSH")
        ledger.settle(grant, [1], [])
        await granted(ledger, held(1))
        assert ledger.state == "shared"


async def test_nothing_is_left(server: RedisServer) -> None:
    """When all is settled and drained, Redis keeps nothing but the epoch and what was spent."""
    async with replica(server) as ledger:
        grants = [(await granted(ledger, rate(), held(), spent(1))).grant for _ in range(20)]
        assert len(await server.command("KEYS", "*")) == 5 + 20
        for grant in grants:
            ledger.settle(grant, [0, 1, 1], [])
    assert sorted(await server.command("KEYS", "*")) == [f"{PREFIX}epoch", f"{PREFIX}spent:budget/2026-11"]
