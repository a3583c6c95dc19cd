"""Callers who never read: `python -m tests.soak.slow_readers --clients 500`.

A gateway in a process of its own, in front of a Bedrock that never stops talking to some callers and talks
to others at a model's pace. The first never read. What each of them costs, in the process and in the kernel,
when they are dropped, and what the others notice, is one JSON report (reliability.md R5, R8); the exit code
is 1 where a promise broke.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import re
import select
import shutil
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from aiohttp import web

from gateway.emulator.frames import encode_event
from gateway.server.progress import CHECKS
from tests.benchmarks import subjects
from tests.benchmarks.load import HOST
from tests.harness import LLAMA, ask
from tests.raw import post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

USER_KIB: Final = 256.0
KERNEL_KIB: Final = 256.0
"""What one of them may cost (R8)."""
GAP_MS: Final = 250.0
"""What the 99th percentile of the others' gaps may be; the model's own is `PACE_MS`."""
PACE_MS: Final = 20.0
ENDLESS: Final = "Never stop."
OTHERS: Final = 20
EVERY_S: Final = 0.02
"""Between two of them: at once they would only show how long so many floods take to fill their buffers."""
SETTLED_S: Final = 1.0
"""After which the last one's buffers are full, and after its drop Bedrock's stream is closed (R1)."""
_PROC_NET_TCP: Final = Path("/proc/net/tcp")
LATE_S: Final = 5.0
"""How much later than allowed a drop may be noticed here: they are looked at in turns."""


# ── the far end ───────────────────────────────────────────────────────────────────────────────────────


def _delta(text: str) -> bytes:
    return encode_event("contentBlockDelta", orjson.dumps({"contentBlockIndex": 0, "delta": {"text": text}}))


_START: Final = encode_event("messageStart", b'{"role":"assistant"}')
_FLOOD: Final = _delta("x" * 2000) * 16
_END: Final = b"".join(
    encode_event(kind, orjson.dumps(payload))
    for kind, payload in (
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": {"inputTokens": 9, "outputTokens": 9}, "metrics": {"latencyMs": 9}}),
    )
)


class TalkativeBedrock:
    """Talks without end to whoever asks for that, and a hundred words at a model's pace to others."""

    def __init__(self) -> None:
        self.talking = 0
        """Endless answers that are being sent."""
        self.begun = 0
        """Endless answers that were ever begun."""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one call."""
        endless = ENDLESS in (await request.read()).decode()
        response = web.StreamResponse(headers={"Content-Type": "application/vnd.amazon.eventstream"})
        await response.prepare(request)
        await response.write(_START)
        if endless:
            self.talking += 1
            self.begun += 1
            try:
                with suppress(ConnectionError):
                    while True:
                        await response.write(_FLOOD)
                return response
            finally:
                self.talking -= 1
        for number in range(100):
            await asyncio.sleep(PACE_MS / 1000)
            await response.write(_delta(f"word {number} "))
        await response.write(_END)
        return response


@asynccontextmanager
async def _bedrock() -> AsyncIterator[tuple[TalkativeBedrock, int]]:
    far_end = TalkativeBedrock()
    runner = web.ServerRunner(
        web.Server(far_end, handler_cancellation=True, access_log=None), shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0, backlog=1024).start()
        yield far_end, runner.addresses[0][1]
    finally:
        await runner.cleanup()


# ── what it costs ─────────────────────────────────────────────────────────────────────────────────────


def _rss(pid: int) -> int:
    """Return the resident bytes of a process."""
    return int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) * 1024


async def _kernel_kib(gateway: int, bedrock: int) -> dict[str, float | None]:
    """Return the KiB that the kernel keeps for the gateway's sockets, to callers and to Bedrock.

    `queued` are the bytes in the queues; `charged` is what they cost, where `ss` is installed to tell.
    """
    queued = 0
    for line in _PROC_NET_TCP.read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if _port(local, 16) == gateway or _port(remote, 16) == bedrock:
            queued += sum(int(size, 16) for size in queues.split(":"))
    charged = None
    if (ss := shutil.which("ss")) is not None:
        process = await asyncio.create_subprocess_exec(ss, "-tnmHO", stdout=asyncio.subprocess.PIPE)
        listed, _ = await process.communicate()
        charged = sum(_charged(listed.decode(), gateway, bedrock)) / 1024
    return {"queued": queued / 1024, "charged": charged}


def _charged(listed: str, gateway: int, bedrock: int) -> Iterator[int]:
    """Yield the bytes that are charged for each of the gateway's sockets (ss(8): r, w and f of `skmem`)."""
    for line in listed.splitlines():
        _, _, _, local, remote, *_ = line.split()
        if _port(local) == gateway or _port(remote) == bedrock:
            yield sum(int(size) for size in re.findall(r"[(,][rwf](\d+)", line))


def _port(address: str, base: int = 10) -> int:
    return int(address.rpartition(":")[2], base)


# ── who asks ──────────────────────────────────────────────────────────────────────────────────────────


class NonReader:
    """Asks for an answer without end and never reads a byte of it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # this side costs little, too
        self.socket.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        self.asked = 0.0
        self._port = port

    async def ask(self) -> None:
        """Send the request."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, (HOST, self._port))
        await loop.sock_sendall(self.socket, post(ask(ENDLESS, model=LLAMA)))
        self.asked = loop.time()


async def _dropped(callers: list[NonReader], seconds: float) -> list[float]:
    """Return after how many seconds each was dropped, without reading; those who were not are left out."""
    loop = asyncio.get_running_loop()
    poll, ends = select.poll(), []
    left = {caller.socket.fileno(): caller for caller in callers}
    for number in left:
        poll.register(number, 0)  # a reset is told unasked
    until = loop.time() + seconds
    while left and loop.time() < until:
        for number, _ in poll.poll(0):
            poll.unregister(number)
            ends.append(loop.time() - left.pop(number).asked)
        await asyncio.sleep(0.02)
    return sorted(ends)


@dataclass
class Others:
    """Callers who read, one stream after the other, and the gaps that they see in milliseconds."""

    url: str
    session: aiohttp.ClientSession
    gaps: list[float] = field(default_factory=list)
    streams: int = 0
    failed: int = 0

    async def one(self) -> None:
        """Ask for ever."""
        loop = asyncio.get_running_loop()
        while True:
            body = ask("Hello", model=LLAMA)
            async with self.session.post(f"{self.url}/chat/completions/stream", json=body) as response:
                last, record = loop.time(), b"{}"
                while line := await response.content.readline():
                    self.gaps.append((loop.time() - last) * 1000)
                    last, record = loop.time(), line
            self.streams += 1
            self.failed += orjson.loads(record).get("type") != "done"

    def take(self) -> dict[str, float]:
        """Return what was seen since the last time."""
        gaps, self.gaps = sorted(self.gaps), []
        if not gaps:
            return {}
        return {
            "gaps": len(gaps),
            "p50_ms": round(gaps[len(gaps) // 2], 1),
            "p99_ms": round(gaps[math.ceil(len(gaps) * 0.99) - 1], 1),
            "max_ms": round(gaps[-1], 1),
        }


# ── the experiment ────────────────────────────────────────────────────────────────────────────────────


async def run(
    clients: int, write_timeout: float, warm: float = 3.0, patience: float = LATE_S
) -> dict[str, Any]:
    """Return the report; all times in seconds.

    With `patience` a machine that others keep busy may see drops late, and what is given back behind them.
    """
    settings = {
        "GATEWAY_WRITE_TIMEOUT_MS": str(round(write_timeout * 1000)),
        "GATEWAY_MAX_CONCURRENCY": str(clients + OTHERS),
        "GATEWAY_BEDROCK__GAP_TIMEOUT_MS": "600000",
        "GATEWAY_LOG__LEVEL": "error",
    }
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-soak-")))
        far_end, bedrock = await stack.enter_async_context(_bedrock())
        cores = subjects.choose_cores()
        gateway = await stack.enter_async_context(
            subjects.gateway(bedrock, cores, scratch, settings=settings)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        others = Others(f"http://{HOST}:{gateway.port}", session)
        tasks = [asyncio.ensure_future(others.one()) for _ in range(OTHERS)]
        for task in tasks:
            stack.callback(task.cancel)
        await asyncio.sleep(warm)  # what the process needs anyway is not counted below
        await _until(lambda: bool(others.gaps), patience)
        before = others.take()
        rss, kernel = _rss(gateway.pid), await _kernel_kib(gateway.port, bedrock)

        callers = [NonReader(gateway.port) for _ in range(clients)]
        for caller in callers:
            stack.callback(caller.socket.close)
            await caller.ask()
            await asyncio.sleep(EVERY_S)
        allowed = write_timeout * (1 + 1 / CHECKS) + patience
        watching = asyncio.ensure_future(_dropped(callers, allowed))
        await _until(lambda: far_end.begun == clients, allowed)
        await asyncio.sleep(SETTLED_S)
        full = _rss(gateway.pid)
        filled = await _kernel_kib(gateway.port, bedrock)
        ends = await watching
        await asyncio.sleep(SETTLED_S)
        await _until(lambda: far_end.talking == 0, patience - SETTLED_S)
        during = others.take()
        running = await _running(others) - OTHERS
        failed = [task.exception() for task in tasks if task.done()]
        return judged(
            {
                "clients": clients,
                "write_timeout_s": write_timeout,
                "talked_to": far_end.begun,
                "user_kib_per_stream": round((full - rss) / 1024 / clients, 1),
                "kernel_kib_per_stream": {
                    name: None if value is None else round((value - (kernel[name] or 0)) / clients, 1)
                    for name, value in filled.items()
                },
                "rss_mib_before_and_after": [round(rss / 2**20, 1), round(_rss(gateway.pid) / 2**20, 1)],
                "dropped": len(ends),
                "dropped_after_s": [round(end, 2) for end in ends[:1] + ends[-1:]],
                "upstream_left": far_end.talking,
                "slots_left": max(0, running),
                "others": {
                    "streams": others.streams,
                    "failed": others.failed + len(failed),
                    "before": before,
                    "during": during,
                },
            },
            late=allowed,
        )


def judged(found: dict[str, Any], late: float) -> dict[str, Any]:
    """Return the report with what it says about each promise; `late` is when the last drop is overdue."""
    kernel = found["kernel_kib_per_stream"]
    promises = {
        "all_were_talked_to": found["talked_to"] == found["clients"],
        "user_memory": found["user_kib_per_stream"] <= USER_KIB,
        "kernel_memory": (kernel["charged"] or kernel["queued"]) <= KERNEL_KIB,
        "all_dropped_on_time": found["dropped"] == found["clients"] and found["dropped_after_s"][-1] <= late,
        "nothing_left": (found["upstream_left"], found["slots_left"]) == (0, 0),
        "others_unaffected": found["others"]["failed"] == 0
        and found["others"]["during"]["p99_ms"] <= max(GAP_MS, 2 * found["others"]["before"]["p99_ms"]),
    }
    return {**found, "promises": promises, "kept": all(promises.values())}


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for so long at most."""
    until = asyncio.get_running_loop().time() + seconds
    while not condition() and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(0.02)


async def _running(others: Others) -> int:
    """Return how many streams the gateway says are running."""
    async with others.session.get(f"{others.url}/readyz") as response:
        state = await response.json()
        return int(state["streams"]["running"])


def main() -> int:
    """Run by the command line's arguments; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.slow_readers", description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--write-timeout", type=float, default=30.0, help="of the gateway, in seconds")
    arguments = parser.parse_args()
    report = asyncio.run(run(arguments.clients, arguments.write_timeout))
    sys.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if report["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
