"""`python -m tests.benchmarks.memory`: what an idle gateway and each open stream take of memory.

Resident memory is of one process, and the emulator and the callers are others; what the kernel keeps for
sockets is not in it. The parts are of a second run, with every allocation noted, by the file that made it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.benchmarks import subjects
from tests.benchmarks.load import HOST, encode_post
from tests.benchmarks.process_tree import memory
from tests.benchmarks.scenarios import CLAUDE
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STREAMS: Final = 1000
PACE_MS: Final = 1000
DELTAS: Final = 600
FIRST_DELTA_S: Final = 120.0
"""Seconds for the streams to open, on a machine that does other things."""
REPORT_S: Final = 60.0
KB: Final = 1e3
MB: Final = 1e6
ASKED_AT_ONCE: Final = 100
SETTLE_S: Final = 3.0
"""Each stream has had some deltas by then."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of the gateway's process; `parts` has bytes of one stream by what made them."""

    streams: int
    idle: int
    open: int
    after: int
    parts: dict[str, int]

    @property
    def per_stream(self) -> float:
        """Bytes that one open stream adds."""
        return (self.open - self.idle) / self.streams


@asynccontextmanager
async def inside(report: Path, upstream: int, **settings: str) -> AsyncIterator[tuple[int, int]]:
    """Run the gateway by `tests.benchmarks.inside`; gives its process id and its port.

    With asyncio's own loop: uvloop's callbacks pass no place where they could be watched.
    """
    port = free_port()
    environment = subjects._environment(upstream) | {
        "GATEWAY_PORT": str(port),
        "GATEWAY_EVENT_LOOP": "asyncio",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.inside", str(report), "serve"),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await subjects._listening(process, port)
        yield process.pid, port
    finally:
        process.kill()
        await process.wait()


async def measured(streams: int = STREAMS, *, parts: bool = True) -> Memory:
    """Measure an idle gateway, so many open streams, and what is left of them."""
    settings = {"GATEWAY_MAX_CONCURRENCY": str(streams + 1), "GATEWAY_LOG__FORMAT": "json"}
    settings["GATEWAY_MAX_CONNECTIONS"] = str(2 * streams + 100)
    cores = subjects.choose_cores()
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-memory-")))
        upstream = (await stack.enter_async_context(subjects.emulator(cores, scratch))).port
        async with subjects.gateway(upstream, cores, scratch, settings=settings) as gateway:
            await _ask(gateway.port, deltas=2)
            idle = memory(gateway.pid).rss
            async with _streams(gateway.port, streams):
                opened = memory(gateway.pid).rss
            await asyncio.sleep(SETTLE_S)
            after = memory(gateway.pid).rss
        found: dict[str, int] = {}
        if parts:
            async with inside(scratch / "report", upstream, **settings) as (pid, port):
                found = await _parts(scratch / "report", pid, port, streams)
    return Memory(streams, idle, opened, after, found)


async def _parts(report: Path, pid: int, port: int, streams: int) -> dict[str, int]:
    await _ask(port, deltas=2)
    os.kill(pid, signal.SIGUSR1)
    async with _streams(port, streams):
        allocated: dict[str, int] = (await read_report(report, pid))["allocated"]
    parts: dict[str, int] = {}
    for path, size in allocated.items():
        part = part_of(path)
        parts[part] = parts.get(part, 0) + size
    per_stream = {part: size // streams for part, size in parts.items()}
    return dict(sorted(per_stream.items(), key=lambda item: -item[1]))


async def read_report(report: Path, pid: int) -> dict[str, Any]:
    """Let `tests.benchmarks.inside` write its report, and return it."""
    os.kill(pid, signal.SIGUSR2)
    return await asyncio.to_thread(_once_written, report)


def _once_written(report: Path) -> dict[str, Any]:
    deadline = time.monotonic() + REPORT_S
    while not report.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    document: dict[str, Any] = orjson.loads(report.read_bytes())
    return document


def part_of(path: str) -> str:
    """Return what a file is called in the report: its last three names, without the extension."""
    return "/".join(Path(path).with_suffix("").parts[-3:])


@asynccontextmanager
async def _streams(port: int, count: int) -> AsyncIterator[None]:
    """Hold so many streams open, each of which has had its first delta when the block begins."""
    writers: list[asyncio.StreamWriter] = []
    turns = asyncio.Semaphore(ASKED_AT_ONCE)

    async def opened() -> asyncio.Task[None]:
        async with turns:
            reader, writer = await asyncio.open_connection(HOST, port)
            writers.append(writer)
            writer.write(_request(DELTAS))
            await reader.readuntil(b'"text_delta"')
        return asyncio.create_task(_read_on(reader))

    try:
        async with asyncio.timeout(FIRST_DELTA_S):
            reading = await asyncio.gather(*(opened() for _ in range(count)))
        await asyncio.sleep(SETTLE_S)
        if ended := sum(task.done() for task in reading):
            raise RuntimeError(f"{ended} of {count} streams did not stay open")
        yield
    finally:
        for writer in writers:
            writer.transport.abort()
    await asyncio.gather(*reading, return_exceptions=True)


async def _read_on(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


def _request(deltas: int) -> bytes:
    prompt = f"[[emulator deltas={deltas} frames_per_write=1 pace_ms={PACE_MS if deltas == DELTAS else 1}]]"
    body = {"model": CLAUDE, "messages": [{"role": "user", "content": f"{prompt} Hello"}]}
    return encode_post("/chat/completions/stream", orjson.dumps(body))


async def _ask(port: int, *, deltas: int) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(_request(deltas))
    await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.close()
    await writer.wait_closed()


def report(found: Memory, parts: int = 30) -> str:
    """Return the figures as text."""
    lines = [
        f"idle (after one stream)      {found.idle / MB:7.1f} MB",
        f"{found.streams} open streams         {found.open / MB:7.1f} MB",
        f"after them                   {found.after / MB:7.1f} MB",
        f"one stream                   {found.per_stream / KB:7.1f} kB",
    ]
    if found.parts:
        lines.append(f"  of which Python allocates  {sum(found.parts.values()) / KB:7.1f} kB")
        lines += [f"  {size:7d} B  {part}" for part, size in list(found.parts.items())[:parts]]
    return "\n".join(lines)


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.memory", description=__doc__)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--no-parts", dest="parts", action="store_false")
    options = parser.parse_args()
    sys.stdout.write(report(asyncio.run(measured(options.streams, parts=options.parts))) + "\n")


if __name__ == "__main__":
    main()
