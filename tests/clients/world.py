"""A gateway in front of an emulator on a loop of their own, for clients that block or are other processes."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gateway import app
from gateway.emulator import Emulator, EmulatorSettings
from gateway.settings import AdaptiveSettings, BreakerSettings, RetrySettings
from tests.clients.exchange import ALIAS, HAIKU, UNKNOWN
from tests.harness import settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.emulator.activity import Call

_PATIENCE_S = 60.0
"""Only so that a defect fails a test instead of hanging it."""


class World:
    """A running gateway at `url` and the emulator behind it.

    The gateway tries everything once and judges no target: what is retried is retried by the client, and one
    test's failures are nothing to the next.
    """

    def __init__(self) -> None:
        self.url = ""
        refusals = {UNKNOWN: ("ResourceNotFoundException", "There is no such model.")}
        self.emulator = Emulator(EmulatorSettings(refusals=refusals))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="world")

    def start(self) -> None:
        """Return when both listen; raises what kept them from it."""
        self._thread.start()
        self._ready.wait(_PATIENCE_S)
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop both."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE_S)

    def calls(self) -> list[Call]:
        """Return the emulator's calls since the last time, once all of them have ended."""
        assert self._loop is not None
        waiting = asyncio.run_coroutine_threadsafe(self.emulator.wait_active(0), self._loop)
        waiting.result(_PATIENCE_S)
        calls = list(self.emulator.calls)
        self.emulator.calls.clear()
        return calls

    def forget(self) -> None:
        """Drop what was scripted and not asked for."""
        self.emulator._script.clear()

    def bodies(self) -> list[Any]:
        """Return what was asked of the emulator since the last time."""
        return [call.body for call in self.calls()]

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - `start` raises it where the tests are
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self.emulator:
            settings = settings_for(
                self.emulator,
                retries=RetrySettings(max_attempts=1),
                breaker=BreakerSettings(enabled=False),
                aliases={ALIAS: HAIKU},
                adaptive=AdaptiveSettings(enabled=False),
            )
            async with app.running(settings) as gateway:
                self.url = gateway.url
                self._ready.set()
                await self._stop.wait()


@contextmanager
def running() -> Iterator[World]:
    """Give a world, and end it."""
    world = World()
    world.start()
    try:
        yield world
    finally:
        world.close()
