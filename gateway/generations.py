"""Settings that are replaced while the process serves (reliability.md R52).

A generation is what settings describe, immutable: routes, catalogues, clients. A new one takes the place of
the old between two requests; an exchange keeps the one that it began with. Clients, and the credentials that
they hold, stay where their own settings stay; else the old ones are closed when the last exchange on them has
ended.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from gateway import composition

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.bedrock.client import BedrockClient
    from gateway.composition import Backend
    from gateway.settings import Settings

FIXED: Final = (
    "host", "port", "workers", "event_loop", "max_connections", "head_timeout_ms", "keepalive_timeout_ms",
    "drain", "max_bodies_bytes", "queue_order", "adaptive", "retries", "breaker", "on_disconnect",
    "abandoned_max_answers", "abandoned_timeout_ms", "metrics", "redis",
)  # fmt: skip
"""Settings of which a process keeps the first values: they shape what lives longer than any generation."""


class Clients:
    """The clients of one set of settings, opened in a task of their own, so that any task may close them."""

    def __init__(self) -> None:
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self, settings: Settings) -> Mapping[str, BedrockClient]:
        """Open and return them; raises `StartError` where they cannot be."""
        opened: asyncio.Future[Mapping[str, BedrockClient]] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(settings, opened))  # noqa: TID251 - ended by `close`
        return await opened

    async def close(self) -> None:
        """Close them."""
        self._closing.set()
        if self._task is not None:
            await self._task

    async def _hold(self, settings: Settings, opened: asyncio.Future[Mapping[str, BedrockClient]]) -> None:
        try:
            async with composition.opened(settings) as clients:
                if not opened.cancelled():  # else nobody waits for them any more
                    opened.set_result(clients)
                await self._closing.wait()
        except Exception as error:
            if opened.cancelled():
                return
            if opened.done():
                raise
            opened.set_exception(error)


class Generations:
    """The generation in force, and the ends of those before. `number` counts from 1.

    `free_share` says how much of a lane is free, by which a route may choose.
    """

    def __init__(self, free_share: Callable[[str], float]) -> None:
        self.number = 0
        self._free_share = free_share
        self._settings: Settings | None = None
        self._clients: Mapping[str, BedrockClient] = {}
        self._held = Clients()
        self._retiring: set[asyncio.Task[None]] = set()

    async def open(
        self, settings: Settings, put: Callable[[Backend, int], Callable[[], Awaitable[object]]]
    ) -> None:
        """Make a generation, and let `put` put it in force and return what waits for the old one's last user.

        Raises:
            StartError: these settings cannot work; nothing has changed.
        """
        if self._settings is not None and composition.same_clients(self._settings, settings):
            backend = composition.assemble(settings, self._clients, self._free_share)
            put(backend, self.number + 1)
        else:
            held = Clients()
            try:
                clients = await held.open(settings)
                unused = put(composition.assemble(settings, clients, self._free_share), self.number + 1)
            except BaseException:
                await held.close()
                raise
            old, self._held, self._clients = self._held, held, clients
            retiring = asyncio.create_task(_retire(old, unused))  # noqa: TID251 - `aclose` waits for it
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)
        self.number += 1
        if self._settings is not None:
            _tell(self._settings, settings, self.number)
        self._settings = settings

    async def aclose(self) -> None:
        """Close all clients; nobody uses them any more."""
        for task in list(self._retiring):
            await task
        await self._held.close()


async def _retire(clients: Clients, unused: Callable[[], Awaitable[object]]) -> None:
    await unused()
    await clients.close()


def _tell(old: Settings, new: Settings, number: int) -> None:
    log = structlog.get_logger()
    changed = [name for name in FIXED if getattr(old, name) != getattr(new, name)]
    if changed:
        log.warning("needs_restart", reason="these settings are read at the start only", settings=changed)
    log.info("reloaded", generation=number)
