"""The shipped HAProxy and nginx in front of gateways: nothing is held back, sent twice or kept for nobody."""

from __future__ import annotations

import asyncio
import re
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import aiohttp
import pytest

from gateway.settings import DrainSettings, Settings
from tests.faults.reverse_proxies import HAPROXY, NAMES, NGINX, haproxy, nginx
from tests.harness import ask, lines
from tests.ports import free_port
from tests.programs import debian

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from gateway.emulator import Emulator
    from tests.harness import StartGateway

Proxy: TypeAlias = Literal["haproxy", "nginx"]
both = pytest.mark.parametrize("proxy", ["haproxy", "nginx"])
PATIENCE_S: Final = 60.0
"""Against hanging only."""
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def before(proxy: Proxy, urls: Sequence[str], folder: Path) -> Iterator[str]:
    """Run one of the two in front of one gateway or three, and give its URL."""
    if proxy == "nginx":
        with nginx(urls, folder) as url:
            yield url
    else:
        with haproxy(urls) as balancer:
            yield balancer.url


class Stub:
    """A far end that answers each request as it is told to, and remembers their heads."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heads: list[str] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; HAProxy's probes are answered, and do not count."""
        asked = 0
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                if "/readyz" in head:
                    writer.write(OK)
                    continue
                length = re.search(r"content-length: ([0-9]+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                asked += 1
                self.connections += asked == 1
                self.heads.append(head)
                if not self.answer:
                    break
                writer.write(self.answer)
                if "connection: close" in head.lower():
                    break
        writer.close()


@asynccontextmanager
async def stubs(count: int, answer: bytes = OK) -> AsyncIterator[list[Stub]]:
    """Run so many."""
    async with AsyncExitStack() as stack:
        running = [Stub(answer) for _ in range(count)]
        for stub in running:
            server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
            stack.callback(server.close)
            stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield running


async def post(url: str, **headers: str) -> int:
    """Ask on a connection of its own, and return the status."""
    async with aiohttp.ClientSession() as session, session.post(url, data=b"{}", headers=headers) as response:
        await response.read()
        return response.status


# ── what callers and gateways see ─────────────────────────────────────────────────────────────────────


@both
async def test_a_token_goes_on_when_it_comes(proxy: Proxy, tmp_path: Path) -> None:
    """The first record is read before the second one exists."""
    read = asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/readyz" in await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
            await read.wait()
            writer.write(b"7\r\nsecond\n\r\n0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(stream, "127.0.0.1", 0)
    gateway = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_S):
        with before(proxy, [gateway], tmp_path) as url:
            async with session.post(url, data=b"{}") as response:
                first = await response.content.readline()
                read.set()
                second = await response.content.read()

    assert (first, second) == (b"first\n", b"second\n")
    assert response.headers["X-Served-By"]


@both
async def test_who_leaves_before_any_answer_frees_bedrock(
    proxy: Proxy, emulator: Emulator, start: StartGateway, tmp_path: Path, log: io.StringIO
) -> None:
    """A unary answer is silent until it is whole: only the proxy can tell the gateway that nobody waits."""
    async with start(emulator) as caller, asyncio.timeout(PATIENCE_S):
        with before(proxy, [caller.url], tmp_path) as url:
            body = ask("[[emulator first_byte_ms=600000]]")
            asking = asyncio.create_task(post_json(f"{url}/chat/completions", body))
            await emulator.wait_active(1)
            asking.cancel()
            await emulator.wait_active(0)
            while not _outcomes(log):  # noqa: ASYNC110 - the line is written by another task
                await asyncio.sleep(0.01)

    assert _outcomes(log) == ["disconnected"]


def _outcomes(log: io.StringIO) -> list[str]:
    """Return how the requests for a model ended; HAProxy's probes are requests too."""
    return [line["outcome"] for line in lines(log) if "model" in line]


async def post_json(url: str, body: object) -> None:
    """Ask, and wait."""
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        await response.read()


@both
async def test_headers(proxy: Proxy, tmp_path: Path) -> None:
    """Each request has an id, its caller's where it has one; who forges his address is not believed."""
    async with stubs(1) as [gateway]:
        with before(proxy, [gateway.url], tmp_path) as url:
            forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Request-Id": "mine-1"}
            statuses = [await post(url, **forged), await post(url)]
    theirs, ours = (_headers(head) for head in gateway.heads)

    assert statuses == [200, 200]
    assert theirs["x-forwarded-for"] == ours["x-forwarded-for"] == "127.0.0.1"
    assert theirs["x-forwarded-proto"] == ours["x-forwarded-proto"] == "http"
    assert theirs["x-request-id"] == "mine-1"
    assert re.fullmatch(r"[A-Za-z0-9._-]{16,64}", ours["x-request-id"])  # what the gateway keeps


def _headers(head: str) -> dict[str, str]:
    fields = [line.partition(":") for line in head.split("\r\n")[1:] if line]
    assert len({name.lower() for name, _, _ in fields}) == len(fields), "a header came twice"
    return {name.lower(): value.strip() for name, _, value in fields}


@both
async def test_connections_are_used_again(proxy: Proxy, tmp_path: Path) -> None:
    """Twenty requests of one caller need one connection to each gateway."""
    async with stubs(1) as [gateway]:
        with before(proxy, [gateway.url], tmp_path) as url:
            async with aiohttp.ClientSession() as session:
                for _ in range(20):
                    async with session.post(url, data=b"{}") as response:
                        await response.read()

    assert len(gateway.heads) == 20
    assert gateway.connections <= len(NAMES)  # it is three servers to them, by name


@both
async def test_what_a_gateway_has_seen_is_not_sent_again(proxy: Proxy, tmp_path: Path) -> None:
    """A gateway that dies with a request in its hands may have asked Bedrock: the caller is told instead."""
    async with stubs(3, answer=b"") as gateways:
        with before(proxy, [one.url for one in gateways], tmp_path) as url:
            status = await post(url)

    assert status == 502
    assert sum(len(one.heads) for one in gateways) == 1


@both
async def test_where_nobody_listens_the_next_is_asked(proxy: Proxy, tmp_path: Path) -> None:
    """A refused connection costs no caller anything: nothing was sent."""
    async with stubs(1) as [gateway]:
        dead = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
        with before(proxy, [dead[0], gateway.url, dead[1]], tmp_path) as url:
            statuses = [await post(url) for _ in range(6)]

    assert statuses == [200] * 6


# ── what the files say ────────────────────────────────────────────────────────────────────────────────

UNITS: Final = {"ms": 1, "s": 1000}


def _ms(file: Path, pattern: str) -> int:
    """Return the time behind the words of this pattern, which stand there once."""
    [found] = _all_ms(file, pattern)
    return found


@pytest.mark.parametrize(
    ("file", "connect", "head", "keep", "caller", "silence"),
    [
        (
            HAPROXY,
            "presetenv CONNECT_TIMEOUT",
            "timeout http-request",
            "timeout http-keep-alive",
            "timeout client",
            "timeout server",
        ),
        (
            NGINX,
            "proxy_connect_timeout",
            "client_header_timeout",
            "    keepalive_timeout",
            "proxy_send_timeout",
            "proxy_read_timeout",
        ),
    ],
    ids=["haproxy", "nginx"],
)
def test_clocks_fit_those_of_the_gateway(
    file: Path, connect: str, head: str, keep: str, caller: str, silence: str
) -> None:
    """A proxy is never the first to give up, except on connections that are idle."""
    ours = Settings()

    assert _ms(file, connect) <= 5_000
    assert _ms(file, head) <= ours.head_timeout_ms
    assert max(_all_ms(file, keep)) < ours.keepalive_timeout_ms
    assert _ms(file, caller) > max(ours.write_timeout_ms, ours.body_timeout_ms)
    assert _ms(file, silence) > ours.bedrock.total_timeout_ms + ours.queue_timeout_ms


def _all_ms(file: Path, pattern: str) -> list[int]:
    """Return the times behind these words, of which there are some."""
    found = re.findall(pattern + r"\s+([0-9]+)(ms|s)\b", file.read_text())
    assert found, pattern
    return [int(number) * UNITS[unit] for number, unit in found]


def test_a_drain_is_noticed_in_time() -> None:
    """Two probes of HAProxy end before a gateway that drains stops to serve."""
    [fall] = re.findall(r"fall ([0-9]+)", HAPROXY.read_text())

    assert int(fall) * _ms(HAPROXY, "presetenv PROBE_INTERVAL") <= DrainSettings().propagation_ms / 2


def test_haproxy_finds_no_fault() -> None:
    """`haproxy -c`; without the names of the other containers, which nobody here knows."""
    known = dict.fromkeys(("GATEWAY_1", "GATEWAY_2", "GATEWAY_3"), "127.0.0.1:8080")
    command = [debian("haproxy"), "-c", "-f", str(HAPROXY)]
    checked = subprocess.run(command, env=known, capture_output=True, text=True, check=False)  # noqa: S603

    assert (checked.returncode, "WARNING" in checked.stderr) == (0, False), checked.stderr


def test_nginx_finds_no_fault(tmp_path: Path) -> None:
    """`nginx -t`; without the names of the other containers, which nobody here knows."""
    config = tmp_path / "nginx.conf"
    text = re.sub(r"gateway-[0-9]:", "127.0.0.1:", NGINX.read_text())
    config.write_text(text.replace(" /tmp/", f" {tmp_path}/"))
    command = [debian("nginx"), "-t", "-p", str(tmp_path), "-c", str(config), "-e", "stderr"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
