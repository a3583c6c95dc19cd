"""Every cell of the table, provoked: 4 formats, direct and through the real nginx and HAProxy.

A test is one fault in one phase: its cells run at the same time, and it tells of each that is wrong.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
import pytest_asyncio

from gateway import app
from gateway.emulator import Emulator
from tests.faults.endpoints import ENDPOINTS
from tests.faults.hearing import FORMATS, complaints, hear
from tests.faults.matrix import CONNECT, FAULTS, PHASES, WHOLE, expected, provocation
from tests.faults.reverse_proxies import haproxy, nginx_unset
from tests.harness import CLAUDE, NOVA, ask, lines, settings_for

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from gateway.settings import Settings
    from tests.faults.matrix import Expected, Fault, Phase

pytestmark = pytest.mark.asyncio(loop_scope="module")

GUARD: Final = 60.0
"""Seconds after which a test that hangs fails; no promise."""
CELLS: Final = [
    pytest.param(fault, phase, id=f"{fault.name}-{phase.name}")
    for fault in FAULTS
    for phase in PHASES
    if not fault.stops and expected(fault, phase, CLAUDE) is not None
]
SHUTDOWN: Final = next(fault for fault in FAULTS if fault.stops)
UNDER_WAY_TURNS: Final = 50
"""Pauses from the last call upstream to the stop: enough for what was said to be passed on."""
PAUSE_S: Final = 0.01
SETTINGS: Final[dict[str, Any]] = {
    "retries": {"max_attempts": 1},
    "breaker": {"enabled": False},
    "adaptive": {"enabled": False},
    "models": {NOVA: {"operation": "converse"}},
}
"""No fault is healed, none changes what comes to the cells behind it; and Nova stands for the other API."""
IMPATIENT: Final = {"first_byte_timeout_ms": 3000, "gap_timeout_ms": 3000}
"""Longer than a busy machine takes for what comes before the silence."""
UNCONNECTED: Final = {"connect_timeout_ms": 1000}
"""Where there is no connection, and only there: on a busy machine one took longer."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One answer to be asked for."""

    id: str
    url: str
    format: str
    model: str
    due: Expected


@asynccontextmanager
async def ways_to(settings: Settings, folder: Path) -> AsyncIterator[dict[str, str]]:
    """Run a gateway and both proxies before it, and give the URLs by which it can be reached."""
    async with app.running(settings) as gateway:
        with proxied(gateway.url, folder) as ways:
            yield ways


@contextmanager
def proxied(url: str, folder: Path) -> Iterator[dict[str, str]]:
    """Run both proxies before a gateway, and give the URLs by which it can be reached."""
    with nginx_unset(url, folder) as by_nginx, haproxy([url]) as by_haproxy:
        yield {"direct": url, "nginx": by_nginx, "haproxy": by_haproxy.url}


def patient(emulator: Emulator) -> Settings:
    """Return the settings of a gateway whose clocks will not strike in a test."""
    return settings_for(emulator, **SETTINGS)


def impatient(emulator: Emulator, **clocks: int) -> Settings:
    """Return those of one whose clocks strike soon."""
    return settings_for(emulator, bedrock=IMPATIENT | clocks, **SETTINGS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateways(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[bool, dict[str, str]]]:
    """Two gateways, by whether they are impatient, each with its ways, in front of one emulator."""
    with pytest.MonkeyPatch.context() as patch:
        nowhere = tmp_path_factory.mktemp("no-aws")
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, str(nowhere / "none"))
        async with AsyncExitStack() as stack:
            emulator = await stack.enter_async_context(Emulator())
            ways = {}
            for hurried, settings in ((False, patient(emulator)), (True, impatient(emulator))):
                folder = tmp_path_factory.mktemp("proxies")
                ways[hurried] = await stack.enter_async_context(ways_to(settings, folder))
            yield ways


@pytest.mark.parametrize(("fault", "phase"), CELLS)
async def test_cell(
    fault: Fault,
    phase: Phase,
    gateways: dict[bool, dict[str, str]],
    tmp_path: Path,
    log: io.StringIO,
) -> None:
    """One fault in one phase is the same truth in every format and by every way, and in the log."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(GUARD))
        ways = gateways[fault.impatient]
        if phase is CONNECT:
            nobody = Emulator()
            nobody.url = await stack.enter_async_context(ENDPOINTS[fault.connect]())
            settings = impatient(nobody, **UNCONNECTED) if fault.impatient else patient(nobody)
            ways = await stack.enter_async_context(ways_to(settings, tmp_path))
        session = await stack.enter_async_context(callers())
        cells = list(cells_of(fault, phase, ways))
        wrong = await asyncio.gather(*(judge(session, cell, fault, phase) for cell in cells))
        told = await logged(log, cells)

    assert [line for found in wrong for line in found] == []
    assert {cell.id: told[cell.id] for cell in cells} == {cell.id: in_the_log(cell.due) for cell in cells}


@pytest.mark.parametrize("phase", PHASES, ids=[phase.name for phase in PHASES])
async def test_shutdown(
    phase: Phase, tmp_path: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that stops tells everybody who waits, whatever they wait for."""
    monkeypatch.setattr("gateway.server.drain.LAST_WORDS", 10.0)  # they all take them, on a busy machine, too
    async with AsyncExitStack() as stack, AsyncExitStack() as stopping:
        await stack.enter_async_context(asyncio.timeout(GUARD))
        emulator = await stack.enter_async_context(Emulator())
        settings = patient(emulator)
        if phase is CONNECT:
            nobody = Emulator()
            nobody.url = await stack.enter_async_context(ENDPOINTS[SHUTDOWN.connect]())
            settings = patient(nobody)
        gateway = await stopping.enter_async_context(app.running(settings))
        ways = stack.enter_context(proxied(gateway.url, tmp_path))
        session = await stack.enter_async_context(callers())
        cells = cells_of(SHUTDOWN, phase, ways)
        asking = [asyncio.ensure_future(judge(session, cell, SHUTDOWN, phase)) for cell in cells]
        if phase is not CONNECT:
            await emulator.wait_active(len(cells))
        while len(gateway.serving.dispatcher.exchanges) < len(cells):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(PAUSE_S)
        for _ in range(UNDER_WAY_TURNS):
            await asyncio.sleep(PAUSE_S)
        await stopping.aclose()
        wrong = await asyncio.gather(*asking)
        told = await logged(log, cells)

    assert [line for found in wrong for line in found] == []
    for cell in cells:
        assert told[cell.id] in {in_the_log(cell.due), *([in_the_log(WHOLE)] if cell.due.or_whole else [])}


@pytest.mark.parametrize("way", ["direct", "nginx", "haproxy"])
async def test_nothing_is_held_back(way: str, gateways: dict[bool, dict[str, str]]) -> None:
    """What the model has said arrives while it is silent, by every way (R7): no clock is needed to see it."""
    body = ask("[[emulator deltas=4 frames_per_write=1 stall=4]]", model=CLAUDE)
    url = f"{gateways[False][way]}/chat/completions/stream"
    async with asyncio.timeout(GUARD), callers() as session:
        for form in ("ndjson", "sse", "text"):
            heard = b""
            async with session.post(url, json=body, headers={"Accept": FORMATS[form]}) as response:
                while b"answer" not in heard:
                    heard += await response.content.readany()


def callers() -> aiohttp.ClientSession:
    """Return a session that takes a new connection for each request."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))


def cells_of(fault: Fault, phase: Phase, ways: dict[str, str]) -> list[Cell]:
    """Return Claude's cells by every way, and Nova's without a detour."""
    cells = []
    for model, name in ((CLAUDE, "claude"), (NOVA, "nova")):
        due = expected(fault, phase, model)
        for way, url in ways.items() if due is not None else ():
            if model == CLAUDE or way == "direct":
                assert due is not None
                cells += [Cell(f"{name}.{form}.{way}", url, form, model, due) for form in FORMATS]
    return cells


async def judge(session: aiohttp.ClientSession, cell: Cell, fault: Fault, phase: Phase) -> list[str]:
    """Ask for one cell, and return what is wrong with it."""
    words = "" if phase is CONNECT else provocation(fault, phase, cell.model)
    headers = {"X-Request-Id": cell.id, **dict(fault.headers)}
    heard = await hear(session, cell.url, cell.format, f"{cell.model} {words}", headers)
    found = complaints(heard, cell.format, cell.due, phase.words)
    if cell.due.or_whole and complaints(heard, cell.format, WHOLE, phase.words) == []:
        return []
    return [f"{cell.id}: {complaint}" for complaint in found]


def in_the_log(due: Expected) -> tuple[str, str | None, str | None]:
    """Return outcome, code and phase as the log must tell them."""
    return ("ok", None, None) if due.error is None else ("error", due.error.code, due.phase)


async def logged(log: io.StringIO, cells: list[Cell]) -> dict[str, tuple[str, str | None, str | None]]:
    """Return what the log says of each cell, once it has said all: a line is written behind the answer."""
    wanted = {cell.id for cell in cells}
    while not wanted <= {json.loads(line).get("request_id") for line in log.getvalue().splitlines()}:  # noqa: ASYNC110 - a log has no event
        await asyncio.sleep(0.002)
    return {line["request_id"]: (line["outcome"], line.get("code"), line.get("phase")) for line in lines(log)}
