"""Processes under comparison: started with a clean environment, waited for, and ended by their own id."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from tests.comparison.transcripts import HOST, parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.01


class Started(NamedTuple):
    """Where a process listens, and its id."""

    port: int
    pid: int


class StartError(Exception):
    """A process did not start; the message has the end of its log."""


@asynccontextmanager
async def running(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, port: int, ready: str
) -> AsyncIterator[Started]:
    """Run a process, and all that it starts, for as long as the block runs.

    `ready` is a path that says 200 as soon as it is ready.

    Raises:
        StartError: it ended, or was not ready in time.
    """
    log = folder / "log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), **environment},
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await is_ready(port, ready):
                    if process.returncode is not None:
                        raise StartError(f"{arguments[0]} ended:\n{log.read_text()[-2000:]}")
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise StartError(f"{arguments[0]} is not ready:\n{log.read_text()[-2000:]}") from None
        yield Started(port, process.pid)
    finally:
        await _stop(process)


async def is_ready(port: int, path: str) -> bool:
    """Return whether a GET of this path is answered with 200."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    except ConnectionError:
        return False
    return parse(answer).status == 200


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End the process and its session: whatever it started is in there."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except (ProcessLookupError, TimeoutError):
            continue
