"""Looking once a second at what may have changed outside of the process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

SECONDS: Final = 1.0
"""Between two looks."""


class Watched(Protocol):
    """Something outside that changes."""

    async def look(self) -> None:
        """Look at it, and take what has changed."""


@asynccontextmanager
async def watching(current: Callable[[], Iterable[Watched]]) -> AsyncIterator[None]:
    """Look at what `current` gives, each time anew, for as long as the block runs.

    Each is looked at in a task of its own: a server or a file system that hangs holds up nothing else.
    """
    looks: dict[Watched, asyncio.Task[None]] = {}

    async def watch() -> None:
        while True:
            await asyncio.sleep(SECONDS)
            for watched in current():
                if watched not in looks:
                    looks[watched] = task = asyncio.create_task(_look(watched))  # noqa: TID251 - ended below
                    task.add_done_callback(lambda _, watched=watched: looks.pop(watched))  # type: ignore[misc]

    task = asyncio.create_task(watch())  # noqa: TID251 - ended with the block
    try:
        yield
    finally:
        task.cancel()
        for look in looks.values():
            look.cancel()
        await asyncio.wait([task, *looks.values()])


async def _look(watched: Watched) -> None:
    try:
        await watched.look()
    except Exception as error:  # noqa: BLE001 - a defect in one look must not end all later ones
        structlog.get_logger().error("defect", task="watching", exc_info=error)
