"""How Redis fails, and what replicas under load do meanwhile.

`python -m tests.ledger` measures all of them with the times of production, under steady load.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from gateway.ledger.charges import Granted, Order
from tests.ledger import redis_server
from tests.ledger.replicas import held, rate, replica
from tests.ports import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from gateway.ledger.measures import Cause
    from gateway.ledger.remote import Rules
    from gateway.ledger.shared import SharedLedger
    from tests.ledger.redis_server import RedisServer

REPLICAS = 4
PASSWORD = "CANARY-of-redis"


class Wire:
    """A TCP proxy in front of a Redis, which delays what goes there by `delay` seconds."""

    def __init__(self, server: RedisServer) -> None:
        self.delay = 0.0
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}"
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Wire]:
        """Listen for as long as the block runs."""
        listener = await asyncio.start_server(self._carry, HOST, self.port)
        try:
            yield self
        finally:
            listener.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            there, back = await asyncio.open_connection(HOST, self._server.port)
        except OSError:
            writer.close()
            return
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._copy(reader, back, slow=True), self._copy(there, writer))
        back.close()
        writer.close()

    async def _copy(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, slow: bool = False
    ) -> None:
        while data := await source.read(65536):
            if slow and self.delay:
                await asyncio.sleep(self.delay)
            to.write(data)
            await to.drain()
        to.close()


class Outage(NamedTuple):
    """How Redis fails and comes back, and what the ledgers take it for."""

    begin: Callable[[RedisServer, Wire], Awaitable[object]]
    end: Callable[[RedisServer, Wire], Awaitable[object]]
    causes: tuple[Cause, ...]


async def _nothing(server: RedisServer, wire: Wire) -> None:
    del server, wire


async def _freeze(server: RedisServer, wire: Wire) -> None:
    del wire
    server.freeze()


async def _thaw(server: RedisServer, wire: Wire) -> None:
    del wire
    server.thaw()


async def _slow(server: RedisServer, wire: Wire) -> None:
    del server
    wire.delay = 0.2


async def _fast(server: RedisServer, wire: Wire) -> None:
    del server
    wire.delay = 0.0


async def _start_with_password(server: RedisServer, wire: Wire) -> None:
    del wire
    await server.kill()
    await server.start("--requirepass", PASSWORD)


def _config(
    name: str, value: str, password: str | None = None
) -> Callable[[RedisServer, Wire], Awaitable[object]]:
    return lambda server, _: server.command("CONFIG", "SET", name, value, password=password)


OUTAGES = {
    "stopped": Outage(_freeze, _thaw, ("timeout",)),
    "killed": Outage(lambda server, _: server.kill(), lambda server, _: server.start(), ("connection",)),
    "slow by 200 ms": Outage(_slow, _fast, ("timeout",)),
    "read-only": Outage(
        lambda server, _: server.command("REPLICAOF", HOST, "1"),
        lambda server, _: server.command("REPLICAOF", "NO", "ONE"),
        ("refusal",),
    ),
    "without its replicas": Outage(
        _config("min-replicas-to-write", "1"), _config("min-replicas-to-write", "0"), ("refusal",)
    ),
    "out of memory": Outage(_config("maxmemory", "1"), _config("maxmemory", "0"), ("refusal",)),
    "flushed": Outage(lambda server, _: server.command("FLUSHALL"), _nothing, ("lost",)),
    "with another password": Outage(
        _start_with_password, _config("requirepass", "", PASSWORD), ("connection", "refusal")
    ),
}  # fmt: skip


class Load:
    """Requests at all replicas, one after the other at each of several callers; what they got and waited."""

    def __init__(self, ledgers: list[SharedLedger], order: Order) -> None:
        self.granted = 0
        self.waits: list[float] = []
        self._ledgers = ledgers
        self._order = order

    async def ask(self, times: int) -> None:
        """Ask so many times at each replica, all at once."""
        await asyncio.gather(*(self._one(ledger) for ledger in self._ledgers for _ in range(times)))

    async def go_on(self, pause: float) -> None:
        """Ask again and again, until cancelled."""
        while True:
            await self.ask(4)
            await asyncio.sleep(pause)

    async def _one(self, ledger: SharedLedger) -> None:
        began = asyncio.get_running_loop().time()
        verdict = await ledger.reserve(self._order)
        self.waits.append(asyncio.get_running_loop().time() - began)
        self.granted += isinstance(verdict, Granted)


@asynccontextmanager
async def fleet(folder: Path, rules: Rules) -> AsyncIterator[tuple[list[SharedLedger], RedisServer, Wire]]:
    """Run replicas in front of one Redis, behind a wire."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(redis_server.running(folder))
        wire = await stack.enter_async_context(Wire(server).open())
        ledgers = [await stack.enter_async_context(replica(wire, rules)) for _ in range(REPLICAS)]
        yield ledgers, server, wire


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it; a minute, where it never comes."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it changes in another process
            await asyncio.sleep(0.01)


def unlike(ledgers: list[SharedLedger], state: str) -> Callable[[], bool]:
    """Return what says whether all ledgers are in another state."""
    return lambda: all(ledger.state != state for ledger in ledgers)


__all__ = ["OUTAGES", "held", "rate"]
