"""What becomes of grants while Redis is away and when it is back: nothing is counted twice or lost."""

from __future__ import annotations

import asyncio
import math
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger import scripts
from gateway.ledger.charges import Grant, Granted, Order, Refused
from gateway.ledger.holdings import release
from gateway.ledger.link import Link, LinkError
from gateway.ledger.measures import of_ledger
from gateway.ledger.remote import Remote, Rules
from gateway.ledger.shared import SharedLedger
from tests.ledger.outages import PASSWORD, until
from tests.ledger.redis_server import RedisServer
from tests.ledger.replicas import PATIENT, granted, held, rate, replica, spent
from tests.ports import HOST

if TYPE_CHECKING:
    import io
    from pathlib import Path


PREFIX = "{bedrock-gateway}"
BUDGET = f"{PREFIX}spent:budget/2026-11"
STREAMS = f"{PREFIX}held:streams"
QUICK = Rules(timeout_s=0.15, replicas=2, probe_s=0.05, grace_s=0.15)


async def behind(ledger: SharedLedger) -> None:
    """Wait until Redis has been told of all before."""
    assert ledger.state == "shared"
    verdict = await ledger.reserve(Order("", ()))
    assert isinstance(verdict, Granted)
    ledger.settle(verdict.grant, [], [])


async def shared(ledger: SharedLedger) -> None:
    """Wait until Redis counts again."""
    await until(lambda: ledger.state == "shared")
    await behind(ledger)


async def test_what_is_granted_and_spent_here_is_told(server: RedisServer) -> None:
    """Redis learns of each dollar and each lease, once, however the grants went on after it came back."""
    async with replica(server, QUICK) as ledger:
        before = (await granted(ledger, held(), spent(10))).grant
        early = (await granted(ledger, held(), spent(10))).grant
        server.freeze()
        ledger.settle(early, [1, 15], [])  # sent before Redis is given up, and again when it is back
        over = (await granted(ledger, held(), spent(10))).grant
        assert (ledger.state, over.shared) == ("degraded", False)
        ledger.settle(before, [1, 3], [])
        more = (await granted(ledger, held(), spent(10))).grant
        going_on = (await granted(ledger, held(), rate(), spent(10))).grant
        moved = ledger.move((await granted(ledger, held(), spent(10))).grant, (spent(2, key="other"),))
        ledger.settle(over, [1, 7], [])
        ledger.settle(more, [1, 4], [])
        server.thaw()
        await shared(ledger)

        assert await server.command("GET", BUDGET) == str(15 + 7 + 4 + 3 + 10 + 10)
        assert await server.command("ZCARD", STREAMS) == 2
        ledger.settle(going_on, [1, 0, 5], [])
        ledger.settle(moved, [1, 6], [1])
        await behind(ledger)
        assert await server.command("GET", BUDGET) == str(15 + 7 + 4 + 3 + 5 + 6)
        assert await server.command("GET", f"{PREFIX}spent:other") == "1"
        assert await server.command("ZCARD", STREAMS) == 0


async def test_what_nobody_waited_for_is_given_back(server: RedisServer) -> None:
    """A frozen Redis runs what it was sent when it thaws: those grants were given out here meanwhile."""
    lanes = ((rate(90, key="east"),), (rate(90, key="west"),))
    async with replica(server, QUICK) as ledger:
        await granted(ledger, rate(90, key="east"))
        server.freeze()
        verdict = await ledger.reserve(Order("team", (held(), spent(40)), lanes))
        assert isinstance(verdict, Granted)
        server.thaw()
        await shared(ledger)

        assert await server.command("ZRANGE", STREAMS, 0, -1) == [verdict.grant.id]
        assert await server.command("GET", BUDGET) == "40"
        ledger.settle(verdict.grant, [1, 40], [90])
        await behind(ledger)
        assert await server.command("ZCARD", STREAMS) == 0


@pytest.mark.parametrize("turns", range(12))
async def test_a_caller_who_leaves(server: RedisServer, turns: int) -> None:
    """Wherever a wait is cancelled, what Redis granted is given back."""
    async with replica(server) as ledger:
        waiting = [asyncio.ensure_future(ledger.reserve(Order("", (held(),)))) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        verdicts = await asyncio.gather(*waiting, return_exceptions=True)
        await behind(ledger)
        kept = sum(isinstance(verdict, Granted) for verdict in verdicts)
        assert await server.command("ZCARD", STREAMS) == kept == ledger.measures.leases


async def test_a_caller_who_leaves_a_frozen_redis(server: RedisServer) -> None:
    """A caller who left before Redis answered: the grant that comes is given back."""
    async with replica(server) as ledger:
        server.freeze()
        first = asyncio.ensure_future(ledger.reserve(Order("", (held(),))))
        await until(lambda: bool(ledger._sent))
        second = asyncio.ensure_future(ledger.reserve(Order("", (held(),))))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        server.thaw()
        await behind(ledger)
        assert await server.command("ZCARD", STREAMS) == 0


async def test_a_caller_who_leaves_with_the_answer(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is there, and the caller is cancelled before it can take it."""
    async with replica(server) as ledger:
        task = asyncio.ensure_future(ledger.reserve(Order("", (held(),))))
        await asyncio.sleep(0)
        (ask,) = ledger._waiting
        give = type(ask).give

        def give_and_cancel(*arguments: Any) -> bool:
            taken = give(*arguments)
            task.cancel()
            return taken

        with monkeypatch.context() as changed:
            changed.setattr(type(ask), "give", give_and_cancel)
            with pytest.raises(asyncio.CancelledError):
                await task
        assert isinstance(ask.answer.result(), Granted)
        await behind(ledger)
        assert await server.command("ZCARD", STREAMS) == 0


async def test_flushed(server: RedisServer) -> None:
    """What replicas hold and know is restored: levels, budgets and leases."""
    quick = replace(QUICK, timeout_s=20.0)
    async with replica(server, quick) as one, replica(server, quick) as two:
        kept = [(await granted(ledger, held(4), rate(30), spent(20))).grant for ledger in (one, two)]
        await server.command("FLUSHALL")
        third = (await granted(one, held(4))).grant
        assert one.state == "degraded"
        await shared(one)
        while not two.measures.outages["lost"]:
            await two.reserve(Order("", ()))
        await shared(two)

        assert await server.command("ZCARD", STREAMS) == 3
        fourth = (await granted(two, held(4))).grant
        assert isinstance(await two.reserve(Order("", (held(4),))), Refused)
        assert isinstance(await two.reserve(Order("", (rate(41),))), Refused)
        assert await server.command("GET", BUDGET) == "40"
        for ledger, grant in zip((one, two), kept, strict=True):
            ledger.settle(grant, [1, 30, 5], [])
        one.settle(third, [1], [])
        two.settle(fourth, [1], [])
        await behind(one)
        await behind(two)
        assert await server.command("GET", BUDGET) == "10"
        assert await server.command("ZCARD", STREAMS) == 0


async def test_the_first_to_be_back_waits_for_the_others(server: RedisServer) -> None:
    """A replica that counts in Redis again finds there what the others gave out meanwhile."""
    rules = replace(QUICK, grace_s=1.0)
    async with replica(server, rules) as first, replica(server, replace(rules, probe_s=0.3)) as last:
        server.freeze()
        for ledger in (first, last):
            await granted(ledger, held(4))
            await granted(ledger, held(4))
            assert isinstance(await ledger.reserve(Order("", (held(4),))), Refused)
        server.thaw()
        await shared(first)
        assert isinstance(await first.reserve(Order("", (held(4),))), Refused)
        assert await server.command("ZCARD", STREAMS) == 4


async def test_leases_live_while_they_are_renewed(server: RedisServer) -> None:
    """A replica that renews keeps what it holds for as long as it lives; what is not renewed comes free."""
    now = 1_800_000_000_000_000
    renewing, silent = replace(PATIENT, renew_s=0.02), replace(PATIENT, renew_s=3600.0)
    async with (
        replica(server, renewing, lambda: now) as alive,
        replica(server, silent, lambda: now) as dead,
        replica(server, silent, lambda: now) as other,
    ):
        await granted(alive, held(2))
        await granted(dead, held(2))
        for _ in range(4):
            now += 5_000_000
            ends = now // 1000 + 14_000
            # it changes in Redis, which tells nobody
            while str(ends) not in await server.command("ZRANGE", STREAMS, 0, -1, "WITHSCORES"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await granted(other, held(2))
        assert isinstance(await other.reserve(Order("", (held(2),))), Refused)
        await until(lambda: alive.measures.replicas == 1)


async def test_without_redis_nothing(server: RedisServer) -> None:
    """Where the operator says so, nobody with limits gets anything without Redis; lanes are shared out."""
    async with replica(server, replace(QUICK, refuse=True)) as ledger:
        server.freeze()
        assert await ledger.reserve(Order("team", (rate(),))) == Refused(rate(), 1.0)
        assert ledger.state == "degraded"
        assert isinstance(await ledger.reserve(Order("team", (), ((rate(),),))), Granted)
        server.thaw()
        await shared(ledger)
        await granted(ledger, rate())


async def test_redis_comes_later(tmp_path: Path, log: io.StringIO) -> None:
    """A replica starts without Redis, says so once, and finds it when it is there."""
    server = RedisServer(tmp_path)
    async with replica(server, replace(QUICK, timeout_s=20.0)) as ledger:
        assert ledger.state == "degraded"
        assert isinstance(await ledger.reserve(Order("", (rate(100),))), Granted)
        await asyncio.sleep(0.2)
        assert log.getvalue().count('"degraded"') == 1
        await server.start()
        await shared(ledger)
        assert isinstance(await ledger.reserve(Order("", (rate(1),))), Refused)
        assert log.getvalue().count('"degraded"') == 1
        await server.kill()


async def test_a_process_that_is_late_itself(server: RedisServer) -> None:
    """Where this process stood still, the answer may lie here already: Redis is not blamed at once."""
    loop = asyncio.get_running_loop()
    async with replica(server) as ledger:
        server.freeze()
        task = asyncio.ensure_future(ledger.reserve(Order("", (rate(),))))
        await until(lambda: bool(ledger._sent))
        (ask,) = ledger._sent
        ask._due = loop.time() - PATIENT.timeout_s
        ask._late()
        await asyncio.sleep(0)
        assert (ledger.state, task.done()) == ("shared", False)
        ask._late()
        assert isinstance(await task, Granted)
        assert ledger.measures.outages["timeout"] == 1
        server.thaw()


async def test_closed_while_redis_is_away(server: RedisServer) -> None:
    """It ends at once, and those who wait are answered."""
    async with asyncio.timeout(30), replica(server) as ledger:
        server.freeze()
        task = asyncio.ensure_future(ledger.reserve(Order("", (rate(),))))
        await until(lambda: bool(ledger._sent))
        await ledger.aclose()
        assert isinstance(await task, Granted)
        server.thaw()


async def test_a_defect_of_ours(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever raises behind the requests' back, they are decided here, and Redis is tried again."""
    async with replica(server, replace(QUICK, timeout_s=20.0)) as ledger:
        with monkeypatch.context() as broken:
            broken.setattr(ledger._here, "learn", lambda *_: math.sqrt(-1))
            ask = asyncio.ensure_future(ledger.reserve(Order("", (held(),))))
            await until(lambda: ledger.measures.outages["defect"] == 1)
        assert isinstance(await ask, Granted)
        await shared(ledger)
        assert await server.command("ZCARD", STREAMS) == 1


async def test_an_unknown_grant(server: RedisServer) -> None:
    """What was never granted is neither moved nor settled."""
    async with replica(server) as ledger:
        ledger.settle(ledger.move(Grant("nobody's", "", (held(),), ()), (rate(),)), [1], [0])
        await behind(ledger)
        assert sorted(await server.command("KEYS", "*")) == [f"{PREFIX}epoch", f"{PREFIX}replicas"]


async def test_what_was_given_back_is_never_granted(server: RedisServer) -> None:
    """An order that comes after it was given back, by a detour of the network, is not granted any more."""
    async with replica(server) as ledger:
        order = Order("", (held(),))
        ledger._ids = iter(["one", "late", "two"])
        await behind(ledger)
        ledger._outbox.extend(release("late", order))
        verdict = await ledger.reserve(order)
        assert isinstance(verdict, Granted)
        assert (verdict.grant.shared, ledger.state) == (False, "shared")
        assert await server.command("ZCARD", STREAMS) == 0


async def test_no_connection_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that takes connections and says nothing does not keep the process from starting."""
    monkeypatch.setattr("gateway.ledger.remote.BEHIND_S", 0.05)
    async with asyncio.timeout(30):
        with socket.create_server((HOST, 0)) as silent:
            server = RedisServer(tmp_path, port=silent.getsockname()[1])
            server.url = f"redis://:{PASSWORD}@{HOST}:{server.port}"
            async with replica(server, QUICK) as ledger:
                assert ledger.measures.outages["connection"] == 1


async def test_never_opened() -> None:
    """A ledger that was never opened can be closed, and counts here."""
    ledger = SharedLedger(Remote(Link("redis://nowhere"), PATIENT), PATIENT, asyncio.get_running_loop().time)
    assert isinstance(await ledger.reserve(Order("", (rate(),))), Granted)
    await ledger.aclose()
    with pytest.raises(LinkError, match="not connected"):
        await ledger._remote.run([scripts.leave("nobody")])
    ledger._remote.interrupt()


async def test_metrics(server: RedisServer) -> None:
    """What Prometheus reads: the state, who decided, how long it took, and what failed."""
    async with replica(server, QUICK) as ledger:
        await granted(ledger, held())
        server.freeze()
        await granted(ledger, held())
        told = {
            (family.name, *labels): value
            for family in of_ledger(ledger)
            for labels, value in family.samples
            if family.kind != "histogram"
        }
        server.thaw()
    assert {name for name, value in told.items() if value} == {
        ("gateway_ledger_state", "degraded"), ("gateway_ledger_outages", "timeout"),
        ("gateway_ledger_decisions", "redis"), ("gateway_ledger_decisions", "here"),
        ("gateway_ledger_leases",), ("gateway_ledger_replicas",),
    }  # fmt: skip
