"""Heartbeats: a silent stream is not left silent for so long that something on the way gives it up.

A load balancer ends a connection that is idle for about a minute, and a caller whose connection aiohttp has
stopped to read is only noticed by writing (reliability.md R6, S9). The heart beats beside the stream and
never touches the wait for the next event: a timeout around that wait would end the stream (S37).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Heartbeat:
    """Calls `beat` when nothing has been written for `interval` seconds; the first time after `grace`.

    One timer serves the whole stream. A write costs one look at the clock: the timer is armed again only when
    it fires and finds that it is not time yet.
    """

    __slots__ = ("_armed_for", "_beat", "_due", "_interval", "_loop", "_timer")

    def __init__(self, beat: Callable[[], None], *, grace: float, interval: float) -> None:
        self._beat = beat
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + grace
        self._armed_for = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def wrote(self) -> None:
        """Something has been written just now."""
        self._due = self._loop.time() + self._interval
        if self._due < self._armed_for:  # the grace may be longer than the interval
            self._arm()

    def __enter__(self) -> None:
        """Beat for as long as the block runs."""
        self._arm()

    def __exit__(self, *_: object) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = self._due
        self._timer = self._loop.call_at(self._due, self._fire)

    def _fire(self) -> None:
        if self._loop.time() >= self._due:
            with suppress(ConnectionError):  # the caller has left: the handler is told so by itself
                self._beat()
            self._due = self._loop.time() + self._interval
        self._arm()
