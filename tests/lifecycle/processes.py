"""Real processes: an emulator, gateways that are ended and started again, and HAProxy in front of them."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from tests.faults.reverse_proxies import haproxy
from tests.harness import EVENT_LOOP, ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from tests.faults.reverse_proxies import Balancer

PATIENCE_S: Final = 60.0
"""Against hanging only."""
KEYS: Final = ("AKIAIOSFODNN7EXAMPLE", "a-secret-of-the-emulator")
NOTICED_S: Final = 3.0
"""For HAProxy to notice that a gateway drains: two probes 100 ms apart, on a machine that may be busy."""


class Process:
    """One child process, whose output is read as lines."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.lines: list[str] = []
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, name: str, *arguments: str, limited: Sequence[str] = (), **environment: str
    ) -> Process:
        """Run `python -m` with these arguments; `limited` is a command that runs what follows it."""
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "GATEWAY_"))
        }
        process = await asyncio.create_subprocess_exec(
            *limited, sys.executable, "-m", *arguments,
            env={**inherited, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
            stdout=asyncio.subprocess.PIPE, limit=2**20,
        )  # fmt: skip
        return cls(name, process)

    async def line(self, containing: str) -> dict[str, Any]:
        """Wait for a line of JSON that contains this."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for line in self.lines:
                    if containing in line:
                        found: dict[str, Any] = json.loads(line)
                        return found
                if self._reading.done():
                    raise AssertionError(f"{self.name} ended without {containing!r}: {self.lines[-3:]}")
                await asyncio.sleep(0.01)

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of this kind so far."""
        return [json.loads(line) for line in self.lines if f'"event":"{event}"' in line]

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, and return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            code = await self.process.wait()
            await self._reading
        return code

    async def close(self) -> None:
        """End it if the test has not."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode())


@asynccontextmanager
async def emulator(**options: str) -> AsyncIterator[str]:
    """Run an emulator, and give its URL."""
    arguments = [f"--{name}={value}" for name, value in options.items()]
    keys = (f"--access-key-id={KEYS[0]}", f"--secret-access-key={KEYS[1]}")
    process = await Process.start("emulator", "gateway.emulator", "--port=0", *keys, *arguments)
    try:
        yield (await process.line("url"))["url"]
    finally:
        await process.close()


def environment(emulator_url: str, **settings: str) -> dict[str, str]:
    """Return the environment of a gateway before this emulator."""
    return {
        "AWS_ACCESS_KEY_ID": KEYS[0],
        "AWS_SECRET_ACCESS_KEY": KEYS[1],
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": emulator_url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "GATEWAY_DRAIN__PROPAGATION_MS": str(int(NOTICED_S * 1000)),
        "GATEWAY_EVENT_LOOP": EVENT_LOOP,
        **settings,
    }


class Replica:
    """A gateway on a port of its own, which is ended and started again."""

    def __init__(self, name: str, given: Mapping[str, str]) -> None:
        """Take the whole environment, of which `GATEWAY_PORT` is one."""
        self.name = name
        self.url = f"http://127.0.0.1:{given['GATEWAY_PORT']}"
        self.exit_codes: list[int] = []
        self._environment = given
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The one that runs."""
        assert self._process is not None, "start it first"
        return self._process

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._process = await Process.start(self.name, "gateway", "serve", **self._environment)
        await self._process.line('"event":"listening"')
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{self.url}/readyz") as response:
                    if response.status == 200:
                        return
                await asyncio.sleep(0.05)

    async def restart(self) -> None:
        """End it with SIGTERM, and start it anew when it has ended."""
        self.exit_codes.append(await self.process.end())
        await self.start()

    async def kill(self) -> None:
        """End it with SIGKILL."""
        await self.process.end(signal.SIGKILL)

    async def close(self) -> None:
        """End it if it runs."""
        if self._process is not None:
            await self._process.close()


def balanced(replicas: list[Replica]) -> AbstractContextManager[Balancer]:
    """Run HAProxy in front of these, which are called as its configuration calls them."""
    return haproxy([one.url for one in replicas])


async def seen(url: str, name: str, *, up: bool) -> None:
    """Return once HAProxy, whose operators ask this URL, takes a server for usable, or for not."""
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/;csv") as response:
                table = csv.DictReader((await response.text()).splitlines())
                [status] = [row["status"] for row in table if row["svname"] == name]
            if status == ("UP" if up else "DOWN"):
                return
            await asyncio.sleep(0.05)
