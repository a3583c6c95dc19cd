"""The virtual clock: time passes at once, in order, and waiting for nothing is an error."""

from __future__ import annotations

import asyncio

import pytest

from tests.virtual_clock import Deadlock, run


def test_time_jumps_to_the_next_timer() -> None:
    """A day of waiting takes no time, and timers fire in the order of their moments."""

    async def scene() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[str, float]] = []

        async def wait(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append((name, loop.time()))

        async with asyncio.TaskGroup() as group:
            for name, seconds in (("day", 86_400), ("second", 1), ("at once", 0)):
                group.create_task(wait(name, seconds))
        return seen

    assert run(scene()) == [("at once", 0), ("second", 1), ("day", 86_400)]


def test_a_timeout_strikes_at_its_moment() -> None:
    """`asyncio.timeout` follows the virtual clock."""

    async def scene() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.get_running_loop().create_future()
        return asyncio.get_running_loop().time()

    assert run(scene()) == 2.5


def test_waiting_for_nothing_is_an_error() -> None:
    """A scene that would hang fails instead."""

    async def scene() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(scene())
