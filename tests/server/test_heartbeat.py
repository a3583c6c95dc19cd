"""When a heart beats: to the second, on a clock that passes only while everybody waits."""

from __future__ import annotations

import asyncio

from gateway.server.heartbeat import Heartbeat
from tests.virtual_clock import run


def test_each_stream_of_a_connection_has_its_own_times() -> None:
    """One timer serves them all: what is left of it moves no beat of the next, earlier or later."""
    beats: list[tuple[str, float]] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        heart = Heartbeat(loop)

        def stream(name: str, grace: float, interval: float = 5) -> Heartbeat:
            return heart.beating(lambda: beats.append((name, loop.time())), grace=grace, interval=interval)

        with stream("first", grace=20):
            await asyncio.sleep(7)
        with stream("later than what is armed", grace=20):
            await asyncio.sleep(33)
        with stream("earlier than what is armed", grace=1, interval=2):
            await asyncio.sleep(4)
        await asyncio.sleep(100)
        with stream("behind a long rest", grace=3):
            await asyncio.sleep(4)
            heart.wrote()
            await asyncio.sleep(4)
        heart.close()
        heart.close()

    run(scene())

    assert beats == [
        ("later than what is armed", 27),
        ("later than what is armed", 32),
        ("later than what is armed", 37),
        ("earlier than what is armed", 41),
        ("earlier than what is armed", 43),
        ("behind a long rest", 147),
    ]


def test_an_idle_connection_is_left_alone() -> None:
    """Behind the last stream the timer fires once at most, and none outlives the connection."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        pending: list[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]
        heart = Heartbeat(loop)
        heart.close()
        with heart.beating(lambda: None, grace=20, interval=5):
            pass
        assert len(pending) == 1
        await asyncio.sleep(21)
        assert not pending
        with heart.beating(lambda: None, grace=20, interval=5):
            pass
        heart.close()
        assert all(timer.cancelled() for timer in pending)

    run(scene())
