"""One task looks at what may change outside, again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.identity.watching import watching
from tests.harness import lines

if TYPE_CHECKING:
    import io

    import pytest


async def test_it_goes_on(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in one look is told, and ends neither the others nor what comes later."""
    monkeypatch.setattr("gateway.identity.watching.SECONDS", 0.0)
    looked, enough = 0, asyncio.Event()

    class Broken:
        async def look(self) -> None:
            raise ZeroDivisionError

    class Sound:
        async def look(self) -> None:
            nonlocal looked
            looked += 1
            if looked == 3:
                enough.set()

    broken, sound = Broken(), Sound()
    async with watching(lambda: (broken, sound)), asyncio.timeout(60):
        await enough.wait()
    assert lines(log, "defect")[0]["task"] == "watching"
    assert len(asyncio.all_tasks()) == 1


async def test_one_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at once, and not again before that look has ended; it ends with the block."""
    monkeypatch.setattr("gateway.identity.watching.SECONDS", 0.0)
    counts, enough = {"hanging": 0, "sound": 0}, asyncio.Event()

    class Hanging:
        async def look(self) -> None:
            counts["hanging"] += 1
            await asyncio.Event().wait()

    class Sound:
        async def look(self) -> None:
            counts["sound"] += 1
            if counts["sound"] == 5:
                enough.set()

    hanging, sound = Hanging(), Sound()
    async with watching(lambda: (hanging, sound)), asyncio.timeout(60):
        await enough.wait()
    assert counts["hanging"] == 1
    assert len(asyncio.all_tasks()) == 1
