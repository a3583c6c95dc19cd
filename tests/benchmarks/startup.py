"""`python -m tests.benchmarks.startup`: what a start costs, and how long the first requests hold the loop.

A start is from `exec` to the first 200 of `/readyz`. Wall time is the machine's as much as ours: judge by CPU
time, beside that of a Python which only imports what we build on.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import resource
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson

from tests.benchmarks import subjects
from tests.benchmarks.load import HOST, encode_post
from tests.benchmarks.memory import MB, inside, read_report
from tests.benchmarks.process_tree import cpu_seconds, memory
from tests.benchmarks.scenarios import CLAUDE, LLAMA
from tests.ports import free_port

STARTS: Final = 5
START_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.01
GROUND: Final = "import aiobotocore.session, aiohttp.web, pydantic_settings, structlog, orjson"
"""What we build on, without anything of ours."""
EMBEDDING: Final = "amazon.titan-embed-text-v2:0"
CALLERS: Final = 20
CALLS: Final = 50
_IMPORT: Final = re.compile(r"import time: +(\d+) \| +(\d+) \| +(\S+)")


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds until it is ready, and resident bytes then."""

    wall_s: float
    cpu_s: float
    idle: int


@dataclass(frozen=True, slots=True)
class Block:
    """The longest step of the event loop in one phase, in CPU seconds of its thread."""

    phase: str
    cpu_s: float
    what: str


@dataclass(frozen=True, slots=True)
class Startup:
    """What was measured; `imports` has the microseconds of the slowest modules, without what they import."""

    starts: tuple[Start, ...]
    ground_s: float
    blocks: tuple[Block, ...]
    imports: tuple[tuple[int, str], ...]

    @property
    def cpu_s(self) -> float:
        """CPU seconds of a start, the median."""
        return median(start.cpu_s for start in self.starts)


async def measured(starts: int = STARTS) -> Startup:
    """Start it so often, import what it stands on as often in between, and hold a stopwatch to its loop."""
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-start-")))
        upstream = (await stack.enter_async_context(subjects.emulator(subjects.choose_cores(), scratch))).port
        found, ground = [], []
        for _ in range(starts):
            found.append(await start_once(upstream))
            ground.append(_cpu_of_importing(GROUND))
        blocks = await first_requests(upstream, scratch / "report")
    return Startup(tuple(found), median(ground), blocks, imports())


async def start_once(upstream: int) -> Start:
    """Start the gateway, wait until it is ready, and end it."""
    port = free_port()
    environment = subjects._environment(upstream) | {"GATEWAY_PORT": str(port)}
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve"),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _is_ready(port):  # noqa: ASYNC110 - another process gives no event
                await asyncio.sleep(POLL_S)
        return Start(time.perf_counter() - begun, cpu_seconds(process.pid), memory(process.pid).rss)
    finally:
        process.kill()
        await process.wait()


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 200 ")


def _cpu_of_importing(statement: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)  # noqa: S603 - our own command
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


async def first_requests(upstream: int, report: Path, calls: int = CALLS) -> tuple[Block, ...]:
    """Return the longest step of the loop at the first request of each kind, and under some load after."""
    begun = [("start", 0.0)]  # nobody waits for the loop yet
    async with inside(report, upstream, **_role(upstream)) as (pid, port):
        for phase, path, body in _firsts():
            begun.append((phase, time.monotonic()))
            await _ask(port, path, body)
        begun.append((f"{CALLERS} callers", time.monotonic()))
        await asyncio.gather(*(_call(port, calls) for _ in range(CALLERS)))
        begun.append(("end", time.monotonic()))
        steps: list[dict[str, Any]] = (await read_report(report, pid))["steps"]
    blocks = []
    for (phase, start), (_, end) in pairwise(begun):
        within = [(step["cpu_s"], step["what"]) for step in steps if start <= step["moment"] < end]
        blocks.append(Block(phase, *max(within, default=(0.0, "nothing long"))))
    return tuple(blocks)


def _role(upstream: int) -> dict[str, str]:
    """Return settings by which credentials are renewed through STS."""
    return {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/gateway",
        "AWS_ENDPOINT_URL_STS": f"http://{HOST}:{upstream}",
    }


def _firsts() -> list[tuple[str, str, bytes]]:
    stream, unary, vectors = "/chat/completions/stream", "/chat/completions", "/embeddings"
    return [
        ("first stream", stream, _body("deltas=20 frames_per_write=1")),
        ("second stream", stream, _body("deltas=20 frames_per_write=1")),
        ("first answer", unary, _body("deltas=20")),
        ("first embedding", vectors, orjson.dumps({"model": EMBEDDING, "input": "Hello"})),
        ("first refusal", unary, b'{"max_tokens": "many"}'),
        ("first error of Bedrock", unary, _body("error=ThrottlingException")),
        ("first renewal", unary, _body("error=ExpiredTokenException")),
        *_first_by_schema(unary),
    ]


def _first_by_schema(unary: str) -> list[tuple[str, str, bytes]]:
    """Return requests with tools, which take a schema in each dialect that has one."""
    function = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    turns = {"model": LLAMA, "messages": [{"role": "user", "content": "Hello"}]}
    tools = {"tools": [{"type": "function", "function": function}]}
    told = {"model": LLAMA, "input": "Hello", "tools": [{"type": "function", **function}]}
    theirs = {"max_tokens": 50, "tools": [{"name": "f", "input_schema": {"type": "object"}}]}
    blocks = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    return [
        ("first tools", unary, orjson.dumps(turns | tools)),
        ("first chat of OpenAI's", "/v1/chat/completions", orjson.dumps(turns | tools)),
        ("first response", "/v1/responses", orjson.dumps(told)),
        ("first message", "/v1/messages", orjson.dumps(turns | theirs)),
        ("first Converse", f"/model/{LLAMA}/converse", orjson.dumps(blocks)),
    ]


def _body(directive: str) -> bytes:
    content = f"[[emulator {directive}]] Hello"
    whole: dict[str, Any] = {"model": CLAUDE, "messages": [{"role": "user", "content": content}]}
    return orjson.dumps(whole)


async def _call(port: int, calls: int) -> None:
    for _ in range(calls):
        await _ask(port, "/chat/completions/stream", _body("deltas=20 frames_per_write=1"))


async def _ask(port: int, path: str, body: bytes) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(encode_post(path, body).replace(b"Host:", b"Connection: close\r\nHost:", 1))
    if not (await reader.read()).startswith(b"HTTP/1.1 "):
        raise RuntimeError(f"no answer of {path}")
    writer.close()
    await writer.wait_closed()


def imports(count: int = 15) -> tuple[tuple[int, str], ...]:
    """Return the modules whose own code takes longest to import, in microseconds, which vary."""
    command = [sys.executable, "-X", "importtime", "-c", "import gateway.app, gateway.commands.serve"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
    found = [(int(match[1]), match[3]) for match in map(_IMPORT.match, done.stderr.splitlines()) if match]
    return tuple(sorted(found, reverse=True)[:count])


def report(startup: Startup) -> str:
    """Return the figures as text."""
    walls = [start.wall_s for start in startup.starts]
    lines = [
        f"CPU of a start           {startup.cpu_s * 1000:7.0f} ms",
        f"  of importing its ground{startup.ground_s * 1000:7.0f} ms",
        f"wall, of {len(walls)} starts        {min(walls):7.2f} to {max(walls):.2f} s",
        f"resident when ready      {max(start.idle for start in startup.starts) / MB:7.1f} MB",
        f"load average             {os.getloadavg()[0]:7.1f}",
        "longest step of the event loop, CPU ms:",
        *(f"  {block.cpu_s * 1000:7.1f}  {block.phase}: {block.what}" for block in startup.blocks),
        "imports, ms:",
        *(f"  {taken / 1000:7.1f}  {name}" for taken, name in startup.imports),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.startup", description=__doc__)
    parser.add_argument("--starts", type=int, default=STARTS)
    options = parser.parse_args()
    sys.stdout.write(report(asyncio.run(measured(options.starts))) + "\n")


if __name__ == "__main__":
    main()
