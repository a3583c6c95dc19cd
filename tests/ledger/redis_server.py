"""A Redis of the test's own: a process on a free port, without files."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.ports import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class RedisServer:
    """A `redis-server` that can be frozen, killed and started again; `options` are its command line's."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port = free_port() if port is None else port
        self.url = f"redis://{HOST}:{self.port}"
        self._folder = folder
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *options: str) -> None:
        """Start it, and wait until it answers; `options` add to those that it was made with."""
        self._process = await asyncio.create_subprocess_exec(
            "redis-server", "--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no",
            *("--dir", str(self._folder)), *self._options, *options,
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            try:
                reader, writer = await asyncio.open_connection(HOST, self.port)
            except OSError:
                if self._process.returncode is not None:
                    raise RuntimeError("redis-server does not start") from None
                await asyncio.sleep(0.01)
                continue
            writer.write(b"PING\r\n")
            answer = await reader.readline()  # +PONG, or -NOAUTH
            writer.close()
            await writer.wait_closed()
            if answer.startswith((b"+PONG", b"-NOAUTH")):
                return
            await asyncio.sleep(0.01)

    async def command(self, *words: Any, password: str | None = None) -> Any:
        """Run a command, as an operator would."""
        client: Any = Redis(host=HOST, port=self.port, password=password, decode_responses=True, protocol=2)
        async with client:
            return await client.execute_command(*words)

    def freeze(self) -> None:
        """It does nothing any more, but its sockets are open."""
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on, with whatever lies in its sockets."""
        self._running.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """It is gone, with all that it knew."""
        with suppress(ProcessLookupError):
            self._running.kill()
        await self._running.wait()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("it was not started")
        return self._process


@asynccontextmanager
async def running(folder: Path, *options: str) -> AsyncIterator[RedisServer]:
    """Run one for as long as the block does."""
    server = RedisServer(folder, *options)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


__all__ = ["RedisError", "RedisServer", "running"]
