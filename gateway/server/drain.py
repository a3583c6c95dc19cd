"""How the process stops without failing anybody who can still be served (reliability.md R47, S14–S16).

First it only says that it is not ready, and serves on until every load balancer has noticed; then it stops
listening and waits for what runs, uploads included; what is left at the deadline is told so, each stream by
its terminal record. aiohttp's own cleanup would stop reading half-uploaded bodies at once and cut streams.
"""

from __future__ import annotations

import asyncio
import select
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import ServerShutdown

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from aiohttp import web

    from gateway.server.dispatch import Dispatcher
    from gateway.server.exchange import Exchange
    from gateway.server.protocol import GatewayServer

SETTLE: Final = 1.0
"""Seconds that a connection without a request is kept after the last accept: its first may be on its way."""
LAST_WORDS: Final = 1.0
"""Seconds for the last records of the interrupted to reach their callers."""
TURNS_OF_AN_ACCEPT: Final = 2
FIRST_LOOK: Final = 0.001
LAST_LOOK: Final = 0.05
"""Seconds between two looks at what is left: they grow from the first to the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainTimes:
    """How long the two waits are, in seconds."""

    propagation: float
    """Not ready, but serving: until the last load balancer has noticed."""
    deadline: float
    """For what runs when listening ends."""


class Drain:
    """Ends one process's serving. `begun` from the first moment on: answers then say `Connection: close`.

    Where the head of an answer has promised more, the connection is kept until the load balancers know:
    the next request may be on its way already. HAProxy lost one upload in 18,317 requests otherwise.
    """

    def __init__(self, times: DrainTimes) -> None:
        self.begun = False
        self._times = times
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Wait for nobody any more: what runs is interrupted at once."""
        self._hurried.set()

    async def wait(self, serving: Serving, *, propagation: bool = True) -> None:
        """Serve on until the load balancers know, stop listening, and wait for what runs.

        Returns when nothing runs, or the deadline has come, or somebody hurries; `end` comes next. Without
        `propagation` there is nobody who would have to notice: a person has pressed Ctrl-C.
        """
        self.begun = True
        structlog.get_logger().info("draining", exchanges=len(serving.dispatcher.exchanges))
        if propagation:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._times.propagation):
                    await self._hurried.wait()
        await serving.stop_listening()
        loop = asyncio.get_running_loop()
        settled = loop.time() + SETTLE
        deadline = loop.time() + self._times.deadline

        def over() -> bool:
            if loop.time() >= min(settled, deadline):
                serving.server.close_idle()
            return self._hurried.is_set() or serving.empty

        await _until(over, deadline)

    async def end(self, serving: Serving) -> None:
        """Interrupt what still runs, and see its last words out."""
        self.begun = True
        await serving.stop_listening()
        told: set[Exchange] = set()

        def over() -> bool:
            for exchange in serving.dispatcher.exchanges - told:  # whose head was on its way comes later
                exchange.interrupt(
                    ServerShutdown("The gateway stops: send the request again.", retry_after=1)
                )
                told.add(exchange)
            serving.server.close_idle()
            for handshake in list(serving.server.handshakes):
                handshake.cancel()
            return serving.empty

        await _until(over, asyncio.get_running_loop().time() + LAST_WORDS)
        serving.dispatcher.cutting = True
        cut = serving.server.unsent()
        structlog.get_logger().info("drained", interrupted=len(told), cut=cut)


async def _until(over: Callable[[], bool], deadline: float) -> None:
    look = FIRST_LOOK
    while not over() and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(look)  # connections end in aiohttp's own time, and it tells nobody
        look = min(2 * look, LAST_LOOK)


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves: the listening sockets, the connections and the exchanges on them."""

    runner: web.ServerRunner
    server: GatewayServer
    dispatcher: Dispatcher
    sockets: Sequence[socket.socket]

    @property
    def empty(self) -> bool:
        """Whether nobody is connected, or about to be."""
        return not (self.server.connections or self.server.handshakes)

    async def stop_listening(self) -> None:
        """Accept whoever the kernel has let in already, then close the sockets; once closed, do nothing.

        Closing a socket that no other process shares resets the connections that wait in it.
        """
        if not self.runner.sites:
            return
        poll = select.poll()
        for one in self.sockets:
            poll.register(one, select.POLLIN)
        until = asyncio.get_running_loop().time() + SETTLE
        quiet = 0
        # accepting takes asyncio two turns: closed in between, a connection hangs, neither served nor reset
        while quiet < TURNS_OF_AN_ACCEPT and asyncio.get_running_loop().time() < until:
            quiet = 0 if poll.poll(0) else quiet + 1
            if quiet < TURNS_OF_AN_ACCEPT:
                await asyncio.sleep(0)
        for site in self.runner.sites:
            await site.stop()
