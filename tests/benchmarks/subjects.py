"""Who is measured: each in a process of its own, started in front of one emulator."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import orjson

from gateway.emulator import EmulatorSettings
from tests.benchmarks.apis import BedrockApi, NativeApi
from tests.benchmarks.cpu import pinned
from tests.benchmarks.load import HOST
from tests.comparison.processes import StartError, is_ready
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from tests.benchmarks.apis import Api


class Starter(Protocol):
    """Runs a subject in front of an emulator for as long as the block runs."""

    def __call__(self, upstream: int, cores: Cores, scratch: Path) -> AbstractAsyncContextManager[Subject]:
        """Start it; `upstream` is the emulator's port, and `scratch` a folder for what it writes."""


ROOT = Path(__file__).resolve().parent.parent.parent
GATEWAY, NAIVE, NGINX, DIRECT = "gateway", "naive", "nginx", "direct"
BEFORE = "before"
SETTINGS = {"GATEWAY_LOG__FORMAT": "json", "GATEWAY_MAX_CONCURRENCY": "2000", "GATEWAY_METRICS__PORT": "0"}
"""By default it lets a hundred calls to Bedrock run, and queues the others; and it measures nothing."""
START_TIMEOUT = 120.0
STOP_TIMEOUT = 5.0
_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Subject:
    """A running process that answers on `port`.

    It gets a share of `1 / slowness` of the requests, so that a slow one does not take all the time, and as
    many as `warm_up` before anything is measured: what compiles itself as it runs is as fast as it will be.
    """

    name: str
    pid: int
    port: int
    api: Api
    slowness: int = 1
    warm_up: int = 40

    @property
    def peer(self) -> bool:
        """Whether this is somebody else's gateway."""
        return self.slowness > 1


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the subject runs, and where all that is not measured does."""

    subject: int
    others: int

    @property
    def apart(self) -> bool:
        """Whether these are two."""
        return self.subject != self.others


def choose_cores() -> Cores:
    """Return the last core of this process for the subject, the first one for the rest."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(subject=usable[-1], others=usable[0])


# ── starting them ─────────────────────────────────────────────────────────────────────────────────────


def nginx_binary() -> str | None:
    """Return where nginx is, None if it is not installed."""
    return shutil.which("nginx")


@asynccontextmanager
async def emulator(cores: Cores, scratch: Path) -> AsyncIterator[Subject]:
    """Run the emulator, which is a subject too: asked directly it shows what the others add.

    It checks no signatures: then a proxy that passes bytes needs no signing caller, and one emulator serves
    all. The subjects that sign still do, with its keys; that is their cost and stays in their numbers.
    """
    arguments = (sys.executable, "-m", "gateway.emulator", "--port", "0", "--no-verify-signatures")
    async with _process(arguments, _environment(), cores.others, scratch, announces=True) as process:
        port = int((await _announced(process))["url"].rpartition(":")[2])
        yield Subject(DIRECT, process.pid, port, BedrockApi())


@asynccontextmanager
async def gateway(
    upstream: int,
    cores: Cores,
    scratch: Path,
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
    root: Path = ROOT,
    name: str = GATEWAY,
) -> AsyncIterator[Subject]:
    """Run this gateway, its JSON log going nowhere, with `SETTINGS` and these, and otherwise the defaults.

    `root` is where its code is, another commit's for example.
    """
    port = free_port()
    environment = _environment(upstream) | {
        "GATEWAY_PORT": str(port),
        "PYTHONPATH": str(root),
        **_known(root),
        **settings,
    }
    arguments = (sys.executable, "-m", "gateway", "serve")
    async with _process(arguments, environment, cores.subject, scratch) as process:
        await _listening(process, port)
        while not await is_ready(port, "/readyz"):  # noqa: ASYNC110 - another process, which cannot tell us
            await asyncio.sleep(_POLL_S)
        yield Subject(name, process.pid, port, NativeApi())


def _known(root: Path) -> dict[str, str]:
    """Return those of `SETTINGS` that the gateway of a checkout has: it refuses what it does not know."""
    source = (root / "gateway" / "settings" / "root.py").read_text()
    names = {name: name.removeprefix("GATEWAY_").partition("__")[0].lower() for name in SETTINGS}
    return {name: value for name, value in SETTINGS.items() if f" {names[name]}: " in source}


@asynccontextmanager
async def naive(upstream: int, cores: Cores, scratch: Path) -> AsyncIterator[Subject]:
    """Run the naive loop."""
    endpoint = ("--endpoint", f"http://{HOST}:{upstream}")
    arguments = (sys.executable, "-m", "tests.benchmarks.naive", *endpoint)
    environment = _environment(upstream)
    async with _process(arguments, environment, cores.subject, scratch, announces=True) as process:
        yield Subject(NAIVE, process.pid, int((await _announced(process))["port"]), NativeApi())


@asynccontextmanager
async def nginx(upstream: int, cores: Cores, scratch: Path) -> AsyncIterator[Subject]:
    """Run nginx as a proxy that passes Bedrock's bytes as they come: the floor."""
    port = free_port()
    configuration = scratch / "nginx.conf"
    configuration.write_text(NGINX_CONF.format(scratch=scratch, host=HOST, port=port, upstream=upstream))
    arguments = (nginx_binary() or NGINX, "-e", "stderr", "-p", str(scratch), "-c", str(configuration))
    async with _process(arguments, _environment(), cores.subject, scratch) as process:
        await _listening(process, port)
        yield Subject(NGINX, process.pid, port, BedrockApi())


NGINX_CONF = """
daemon off;
worker_rlimit_nofile 16384;
master_process off;
error_log stderr warn;
pid {scratch}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
  access_log /dev/null;
  client_body_temp_path {scratch}/body;
  proxy_temp_path {scratch}/proxy;
  fastcgi_temp_path {scratch}/fastcgi;
  uwsgi_temp_path {scratch}/uwsgi;
  scgi_temp_path {scratch}/scgi;
  keepalive_requests 1000000;
  upstream bedrock {{ server {host}:{upstream}; keepalive 128; keepalive_requests 1000000; }}
  server {{
    listen {host}:{port};
    location / {{
      proxy_pass http://bedrock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""

STARTERS: Mapping[str, Starter] = MappingProxyType({NAIVE: naive, GATEWAY: gateway, NGINX: nginx})
"""Name to what starts it, in the order of the report."""


def available(against: Path | None) -> dict[str, Starter]:
    """Return those that can be started here; `against` is another checkout, whose gateway is `BEFORE`."""
    found = {name: start for name, start in STARTERS.items() if name != NGINX or nginx_binary()}
    if against is not None:
        found[BEFORE] = partial(gateway, root=against.resolve(), name=BEFORE)
    return found


@asynccontextmanager
async def started(
    names: Sequence[str], cores: Cores, starters: Mapping[str, Starter] = STARTERS
) -> AsyncIterator[tuple[Subject, list[Subject]]]:
    """Run the emulator, and these subjects in front of it."""
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-bench-")))
        upstream = await stack.enter_async_context(emulator(cores, scratch))
        running = [
            await stack.enter_async_context(starters[name](upstream.port, cores, scratch)) for name in names
        ]
        yield upstream, running


def _environment(upstream: int | None = None) -> dict[str, str]:
    """Return an environment in which nothing of this machine's AWS set-up, proxies or settings is left."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)}
    if upstream is None:
        return environment
    keys = EmulatorSettings()
    return environment | {
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_REGION": keys.region,
        "AWS_DEFAULT_REGION": keys.region,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"http://{HOST}:{upstream}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@asynccontextmanager
async def _process(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    core: int,
    folder: Path,
    *,
    announces: bool = False,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process on one core; what it complains of goes to our own standard error."""
    with pinned({core}):
        process = await asyncio.create_subprocess_exec(
            *arguments,
            env=environment,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if announces else asyncio.subprocess.DEVNULL,
        )
    try:
        yield process
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()


async def _announced(process: asyncio.subprocess.Process) -> dict[str, str]:
    """Return the one line of JSON with which a process says where it listens."""
    if process.stdout is None:
        raise RuntimeError("the process was started without a pipe to announce in")
    async with asyncio.timeout(START_TIMEOUT):
        line = await process.stdout.readline()
    if not line:
        raise StartError("a process ended before it listened; its complaint is above")
    announced: dict[str, str] = orjson.loads(line)
    return announced


async def _listening(process: asyncio.subprocess.Process, port: int) -> None:
    """Return once somebody listens on the port, which is how a process without a word says it is ready."""
    async with asyncio.timeout(START_TIMEOUT):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except ConnectionRefusedError:
                await asyncio.sleep(_POLL_S)
                continue
            writer.close()
            await writer.wait_closed()
            return
    raise StartError("a process ended before it listened; its complaint is above")
