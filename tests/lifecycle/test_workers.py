"""Several workers on one port: their ends, their supervisor's end, and starts that cannot work."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.commands.supervisor import WorkerPlace
from gateway.settings import MetricsSettings, Settings
from tests.harness import ask
from tests.lifecycle.load import load
from tests.lifecycle.processes import PATIENCE_S, Process, emulator, environment
from tests.scraping import scrape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FEW_DESCRIPTORS = 20_000
WORKERS = 3
SERVED = "gateway_requests_total{method=POST,outcome=ok,route=/chat/completions/stream,status=2xx}"


@asynccontextmanager
async def _supervised(workers: int = WORKERS, **settings: str) -> AsyncIterator[tuple[Process, str]]:
    """Run a supervisor with its workers, and give it with the URL."""
    async with emulator() as bedrock:
        given = environment(bedrock, GATEWAY_PORT="0", GATEWAY_DRAIN__PROPAGATION_MS="0", **settings)
        process = await Process.start("supervisor", "gateway", "serve", f"--workers={workers}", **given)
        try:
            await _until(lambda: len(process.events("worker_listening")) == workers)
            yield process, process.events("listening")[0]["url"]
        finally:
            await process.close()


async def _until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the log of another process
            await asyncio.sleep(0.02)


async def test_a_killed_worker_and_the_end() -> None:
    """Its callers are told, others see nothing; it is started again; SIGTERM ends all when all is done."""
    async with _supervised() as (supervisor, url), aiohttp.ClientSession() as session:
        async with load(url, 12) as ledger, AsyncExitStack() as streams:
            # the load's requests may all be elsewhere at the moment of the kill; this one is not
            body = ask("[[emulator deltas=3000 pace_ms=20]]")
            hit = await streams.enter_async_context(session.post(f"{url}/chat/completions/stream", json=body))
            await hit.content.readline()
            victim = _serving(hit, supervisor.events("worker_listening"))
            os.kill(victim["pid"], signal.SIGKILL)
            with pytest.raises(aiohttp.ClientPayloadError):
                await hit.read()
            await _until(lambda: len(supervisor.events("worker_listening")) > WORKERS)
            served = ledger.whole.total()
            await _until(lambda: ledger.whole.total() > served)
        body = ask("[[emulator deltas=30 pace_ms=20]]")
        async with session.post(f"{url}/chat/completions/stream", json=body) as response:
            await response.content.readline()
            ended = asyncio.create_task(supervisor.end())
            records = (await response.read()).splitlines()
        code = await ended

    assert ledger.silent == []
    assert len(ledger.failures) <= 12
    lines = supervisor.events("request")
    assert {line["worker"] for line in lines} <= {1, 2, 3}
    assert {line["outcome"] for line in lines} == {"ok"}
    assert b'"type":"done"' in records[-1]
    assert code == 0
    [death] = supervisor.events("worker_ended")
    assert (death["worker"], death["exit_code"]) == (victim["worker"], -signal.SIGKILL)


def _serving(response: aiohttp.ClientResponse, workers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the worker at the other end of this answer's connection: who accepts is the kernel's choice."""
    assert response.connection is not None
    assert response.connection.transport is not None
    here, there = (response.connection.transport.get_extra_info(name) for name in ("sockname", "peername"))
    inode = _inode(there, here)
    return next(one for one in workers if _holds(one["pid"], inode))


def _inode(local: tuple[str, int], remote: tuple[str, int]) -> str:
    """Return the inode of a TCP socket of this host, by proc(5)."""
    ends = [
        f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
        for host, port in (local, remote)
    ]
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return next(row[9] for row in rows if row[1:3] == ends)


def _holds(pid: int, inode: str) -> bool:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            if entry.readlink().name == f"socket:[{inode}]":
                return True
    return False


async def test_a_worker_that_cannot_be_started_for_now() -> None:
    """A host out of processes or descriptors costs no worker that serves; the missing one comes later."""
    async with _supervised(2) as (supervisor, url):
        of_the_host = resource.prlimit(supervisor.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor.process.pid, resource.RLIMIT_NOFILE, (3, of_the_host[1]))
        os.kill(supervisor.events("worker_listening")[0]["pid"], signal.SIGKILL)
        await _until(lambda: supervisor.events("worker_not_started"))
        async with aiohttp.ClientSession() as session, session.get(f"{url}/livez") as response:
            status = response.status
        resource.prlimit(supervisor.process.pid, resource.RLIMIT_NOFILE, of_the_host)
        await _until(lambda: len(supervisor.events("worker_listening")) == 3)
        code = await supervisor.end()

    assert (status, code) == (200, 0)
    assert supervisor.events("worker_not_started")[0]["reason"] == "Too many open files"


async def test_workers_end_with_their_supervisor() -> None:
    """Nobody is left to end them: they drain by themselves."""
    async with _supervised(2) as (supervisor, _):
        supervisor.process.kill()
        # its output ends when the last of those who have inherited it has ended
        async with asyncio.timeout(PATIENCE_S):
            await supervisor.close()

    assert len(supervisor.events("supervisor_lost")) == 2
    assert len(supervisor.events("stopped")) == 2


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        pytest.param({"GATEWAY_MAX_CONCURRENCY": "x"}, 78, id="the supervisor's own check"),
        pytest.param({"GATEWAY_ALIASES": '{"a": "../x"}'}, 78, id="the catalogue"),
        pytest.param({"GATEWAY_MAX_CONCURRENCY": "2"}, 78, id="fewer slots than workers"),
        pytest.param({"GATEWAY_HOST": "::"}, 78, id="open to others"),
        pytest.param({"GATEWAY_MAX_CONNECTIONS": "1000000"}, 78, id="what only a worker finds out"),
        pytest.param(
            {"GATEWAY_HOST": "192.0.2.1", "GATEWAY_KEYS_FILE": "none.json"}, 69, id="an address not ours"
        ),
        pytest.param({"GATEWAY_METRICS__PORT": "65535"}, 69, id="no port for the metrics of the second"),
    ],
)
async def test_start_that_cannot_work(settings: dict[str, str], code: int) -> None:
    """The supervisor ends with the code that a single process would end with."""
    given = {**environment("http://127.0.0.1:9", GATEWAY_PORT="0"), **settings}
    # a worker finds that it cannot have so many connections, unless the host is very generous
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    few = FEW_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, FEW_DESCRIPTORS)
    limited = ("/bin/sh", "-c", f'ulimit -Sn {min(few, 1024)} && ulimit -Hn {few} && exec "$@"', "sh")
    command = ("gateway", "serve", f"--workers={WORKERS}")
    process = await Process.start("supervisor", *command, limited=limited, **given)
    async with asyncio.timeout(PATIENCE_S):
        ended = await process.process.wait()
    await process.close()

    assert ended == code


@pytest.mark.parametrize(
    ("total", "shares"), [(100, [34, 33, 33]), (3, [1, 1, 1]), (1, [1, 0, 0]), (0, [0, 0, 0])]
)
def test_shares(total: int, shares: list[int]) -> None:
    """What is counted is divided without loss."""
    places = [WorkerPlace.parse(str(WorkerPlace(number, 3, 5, (6, 7)))) for number in (1, 2, 3)]

    assert [place.share(total) for place in places] == shares
    assert places[0].sockets == (6, 7)


def test_settings_of_a_worker() -> None:
    """Counts are shared; the room for bodies never becomes less than one body takes."""
    settings = WorkerPlace(2, 100, 5, ()).settings(Settings(max_concurrency=250, max_queue=100))

    assert (settings.max_concurrency, settings.max_queue, settings.max_connections) == (3, 1, 20)
    assert settings.max_bodies_bytes == settings.max_body_bytes


@pytest.mark.parametrize(("port", "ports"), [(9464, [9464, 9465, 9466]), (0, [0] * 3), (None, [None] * 3)])
def test_metrics_of_workers(port: int | None, ports: list[int | None]) -> None:
    """Each worker has a port of its own, one behind the other."""
    settings = Settings(metrics=MetricsSettings(port=port))

    assert [WorkerPlace(number, 3, 5, ()).settings(settings).metrics.port for number in (1, 2, 3)] == ports


async def test_metrics_of_all_workers() -> None:
    """Each request is counted by the worker that served it, and by no other."""
    async with (
        _supervised(2, GATEWAY_METRICS__PORT="0") as (supervisor, url),
        aiohttp.ClientSession() as session,
    ):
        for _ in range(4):
            async with session.post(f"{url}/chat/completions/stream", json=ask()) as response:
                await response.read()
        urls = {line["worker"]: line["url"] for line in supervisor.events("metrics")}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                scraped = [await scrape(one) for one in urls.values()]
                counted = sum(samples.get(SERVED, 0.0) for samples in scraped)
                if counted >= 4:
                    break
                await asyncio.sleep(0.05)  # the last byte comes before the count

    assert (sorted(urls), counted) == ([1, 2], 4)
