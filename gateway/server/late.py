"""Code that few callers need, imported at its first use: in a thread, while the loop goes on.

A schema takes 20 to 50 ms to build and a megabyte to keep, and the usual requests are read without one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class Late(Generic[T]):
    """What `load` imports and returns, at the first use. Those who ask at once wait for one import."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self.loaded: T | None = None

    async def get(self) -> T:
        """Return it; the loop goes on while it is imported."""
        if self.loaded is None:
            self.loaded = await asyncio.to_thread(self._load)
        return self.loaded


class Reader(Generic[P, T]):
    """Reads the requests of one API: the usual by `usual`, None from it sends them to what `load` imports.

    That reads all of them from then on, the usual in the same way.
    """

    def __init__(self, usual: Callable[P, T | None], load: Callable[[], Callable[..., T]]) -> None:
        self._usual = usual
        self._parse = Late(load)

    async def parse(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the request; raises as the dialect's `parse` does."""
        parse = self._parse.loaded
        if parse is None:
            if (request := self._usual(*args, **kwargs)) is not None:
                return request
            parse = await self._parse.get()
        return parse(*args, **kwargs)
