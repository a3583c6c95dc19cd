"""Heartbeats: a silent stream is not left silent for so long that something on the way gives it up.

A load balancer ends a connection that is idle for about a minute, and a caller whose connection aiohttp has
stopped to read is only noticed by writing (reliability.md R6, S9). The heart beats beside the stream and
never touches the wait for the next event: a timeout around that wait would end the stream (S37).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Heartbeat:
    """Calls `beat` when nothing has been written for `interval` seconds; the first time after `grace`.

    One timer serves all streams of a connection, one after the other. To begin one, to write and to end cost
    a look at the clock at most: the timer is armed again only when it fires and finds that it is not time
    yet. Behind the last stream it fires once at most.
    """

    __slots__ = ("_armed_for", "_beat", "_due", "_interval", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat: Callable[[], None] | None = None
        self._interval = 0.0
        self._loop = loop
        self._due = 0.0
        self._armed_for = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def beating(self, beat: Callable[[], None], *, grace: float, interval: float) -> Self:
        """Return the block of the next stream, whose time runs from now on."""
        self._beat = beat
        self._interval = interval
        self._due = self._loop.time() + grace
        return self

    def wrote(self) -> None:
        """Something has been written just now."""
        self._due = self._loop.time() + self._interval
        if self._due < self._armed_for:  # the grace may be longer than the interval
            self._arm()

    def __enter__(self) -> None:
        """Beat for as long as the block runs."""
        if self._timer is None or self._due < self._armed_for:
            self._arm()

    def __exit__(self, *_: object) -> None:
        """Beat no more."""
        self._beat = None

    def close(self) -> None:
        """The connection has ended: there is no next stream."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = self._due
        self._timer = self._loop.call_at(self._due, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._beat is None:
            return
        if self._loop.time() >= self._due:
            with suppress(ConnectionError):  # the caller has left: the handler is told so by itself
                self._beat()
            self._due = self._loop.time() + self._interval
        self._arm()
