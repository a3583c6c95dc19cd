"""A TCP proxy that does what networks do, where and when it is told to, and the same again for the same seed.

It stands before anything that is spoken to by TCP: Bedrock, STS, the gateway itself. Each direction of a
connection has its own `Toxics`; places are counted in bytes of that direction, so a fault needs no idea of
what the bytes mean.

    async with FaultProxy(emulator.url, down=Toxics(fault="reset", at=700)) as proxy:
        ...  # proxy.url is the emulator, whose answers break at byte 700
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

Fault: TypeAlias = Literal["reset", "close", "half_close", "stall", "garbage", "flip"]
"""`reset`, `close`: the connection ends there, rudely or politely, on both sides. `half_close`: only this
direction ends there. `stall`: nothing comes any more, not even the end, until the other side ends too.
`garbage`: random bytes come in between. `flip`: one bit of that byte is wrong."""

_READ: Final = 65_536
_GARBAGE: Final = 24
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for no time: closing the socket then resets the connection."""
_SETTLE_S: Final = 0.01
"""Before a reset, which overtakes what has not been read yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxics:
    """What happens to one direction of a connection; by default nothing.

    `latency` and `jitter` (up to so much more, at random) delay each piece, in seconds; `bandwidth` is in
    bytes a second. `slice` is the most bytes in a piece, whose size is random up to it. `fault` strikes
    before byte `at`. `close_after` seconds pass before the end of one side is told to the other.
    """

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    slice: int | None = None
    fault: Fault | None = None
    at: int = 0
    close_after: float = 0.0


CLEAN: Final = Toxics()


@dataclass(slots=True)
class Direction:
    """One way through one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    toxics: Toxics
    random: Random
    passed: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _left: int = 0

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield `data` in slices; where they end depends on the seed, not on what a read brought."""
        if self.toxics.slice is None:
            yield data
            return
        while data:
            self._left = self._left or self.random.randint(1, self.toxics.slice)
            piece, data = data[: self._left], data[self._left :]
            self._left -= len(piece)
            yield piece

    async def send(self, data: bytes) -> None:
        """Pass bytes on, as slowly as wanted."""
        toxics = self.toxics
        for piece in self.pieces(data):
            pause = toxics.latency + (self.random.random() * toxics.jitter if toxics.jitter else 0.0)
            pause += len(piece) / toxics.bandwidth if toxics.bandwidth else 0.0
            if pause:
                await asyncio.sleep(pause)
            self.writer.write(piece)
            await self.writer.drain()
            self.passed += len(piece)


class FaultProxy:
    """A proxy on loopback in front of one server, as an async context manager.

    `up` is what callers send, `down` what they receive; both may be changed for later connections.
    `connections` counts those accepted, `active` those open.
    """

    def __init__(self, target: str, *, up: Toxics = CLEAN, down: Toxics = CLEAN, seed: int = 0) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._scheme = parts.scheme
        self.up, self.down, self.seed = up, down, seed
        self.connections = 0
        self.active = 0
        self.url = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"{self._scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self.drop()
        await self._server.wait_closed()

    async def drop(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        seed = f"{self.seed}/{self.connections}"
        self.connections, self.active = self.connections + 1, self.active + 1
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            writers.append(far_writer)
            up = Direction(reader, far_writer, self.up, Random(f"{seed}/up"))  # noqa: S311 - faults, no secrets
            down = Direction(far_reader, writer, self.down, Random(f"{seed}/down"))  # noqa: S311
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(up, down))
                both.create_task(_pump(down, up))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # one side has gone, or the proxy closes: nobody is left to tell
        finally:
            for one in writers:
                one.transport.abort()
            self.active -= 1
            self._tasks.discard(task)


async def _pump(this: Direction, other: Direction) -> None:
    """Pass one direction on until it ends, or until its fault ends the connection."""
    try:
        while data := await this.reader.read(_READ):
            fault = this.toxics.fault
            due = this.toxics.at - this.passed
            if fault is None or not 0 <= due < len(data):
                await this.send(data)
                continue
            await this.send(data[:due])
            await _STRIKES[fault](this, other, data[due:])
            if fault in _FINAL:
                return
        await asyncio.sleep(this.toxics.close_after)
        this.writer.write_eof()
    finally:
        this.ended.set()


async def _reset(this: Direction, other: Direction, _: bytes) -> None:
    await asyncio.sleep(_SETTLE_S)
    for writer in (this.writer, other.writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()


async def _close(this: Direction, other: Direction, _: bytes) -> None:
    for writer in (this.writer, other.writer):
        writer.close()


async def _half_close(this: Direction, _: Direction, __: bytes) -> None:
    this.writer.write_eof()
    await _swallow(this)


async def _stall(this: Direction, other: Direction, _: bytes) -> None:
    await _swallow(this)
    await other.ended.wait()


async def _swallow(this: Direction) -> None:
    while await this.reader.read(_READ):
        pass


async def _garbage(this: Direction, _: Direction, rest: bytes) -> None:
    this.toxics = CLEAN
    await this.send(this.random.randbytes(_GARBAGE) + rest)


async def _flip(this: Direction, _: Direction, rest: bytes) -> None:
    await this.send(bytes([rest[0] ^ 1 << this.random.randrange(8)]) + rest[1:])


_STRIKES: Final = {
    "reset": _reset,
    "close": _close,
    "half_close": _half_close,
    "stall": _stall,
    "garbage": _garbage,
    "flip": _flip,
}
_FINAL: Final = frozenset({"reset", "close", "half_close", "stall"})
