"""An event loop without wall clock and without sockets: when nothing is ready, time jumps to the next timer.

The order of everything that happens on it is the same in every run. What waits for something that nobody will
do ends in `Deadlock` instead of hanging.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

T = TypeVar("T")


class Deadlock(Exception):
    """Nothing is ready, no timer is set: what is awaited will never happen."""


class _NothingEverReady(selectors.BaseSelector):
    """A selector without files; where the loop would sleep, it moves the loop's clock instead."""

    def __init__(self) -> None:
        self.now = 0.0
        self._map: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Accept the loop's own wake-up pipe, which nobody uses here."""
        self._map[fileobj] = key = selectors.SelectorKey(fileobj, 0, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget the pipe."""
        return self._map.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let `timeout` seconds pass at once."""
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        self.now += timeout
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return what is registered."""
        return self._map


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose `time()` starts at 0 and passes only while everybody waits."""

    def __init__(self) -> None:
        self._virtual = _NothingEverReady()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the virtual seconds since the loop began."""
        return self._virtual.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on a fresh virtual clock."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main)
