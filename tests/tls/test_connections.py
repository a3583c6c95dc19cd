"""What a connection may do is the same over TLS, from its first byte on, on both event loops."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from gateway import app
from gateway.composition import StartError
from gateway.server import handshakes
from gateway.settings import Settings, TlsSettings
from tests.harness import EVENT_LOOP, LLAMA, ROOT, ask, lines, on_both_loops, settings_for, text_of
from tests.raw import PATIENCE, exchanged
from tests.tls.authority import client

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.emulator import Emulator
    from tests.harness import StartGateway
    from tests.tls.authority import Authority


def files(authority: Authority) -> TlsSettings:
    """Return settings for TLS without callers' certificates."""
    pair = authority.server()
    return TlsSettings(cert_file=pair.cert, key_file=pair.key)


@asynccontextmanager
async def session_of(authority: Authority) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client that trusts this authority."""
    connector = aiohttp.TCPConnector(ssl=client(authority), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


def request(body: dict[str, object], path: str = "/chat/completions/stream") -> bytes:
    """Return the bytes of a request."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(data) + data


@on_both_loops
async def test_streams(authority: Authority, emulator: Emulator, start: StartGateway) -> None:
    """Large bodies, large answers, many at once, one connection after another."""
    async with start(emulator, tls=files(authority)) as caller, session_of(authority) as session:
        assert caller.url.startswith("https://127.0.0.1:")

        async def stream() -> str:
            body = ask("[[emulator deltas=300 delta_chars=500]]" + "x" * 500_000, model=LLAMA)
            async with session.post(f"{caller.url}/chat/completions/stream", json=body) as response:
                records = [json.loads(line) for line in (await response.read()).splitlines()]
            assert records[-1]["type"] == "done"
            return text_of(records)

        texts = await asyncio.gather(*(stream() for _ in range(8)))
        assert {len(text) for text in texts} == {150_000}
        assert len(await stream()) == 150_000


@on_both_loops
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_request_with_the_end_of_the_handshake(
    version: ssl.TLSVersion, authority: Authority, emulator: Emulator, start: StartGateway
) -> None:
    """What comes in one piece with the client's last word is a request, too."""
    context = client(authority)
    context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    async with start(emulator, tls=files(authority)) as caller:
        address = urlsplit(caller.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(65_536))
            tls.write(request(ask()))
            writer.write(outgoing.read())  # the last word, with the request if nothing was to come between
            answer = b""
            while b'"done"' not in answer:
                try:
                    answer += tls.read(65_536)
                except ssl.SSLWantReadError:
                    incoming.write(await reader.read(65_536))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert tls.version() == version.name.replace("v1_", "v1.")
        writer.transport.abort()


async def test_old_versions(authority: Authority, emulator: Emulator, start: StartGateway) -> None:
    """Below TLS 1.2 there is no connection."""
    context = client(authority)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with start(emulator, tls=files(authority)) as caller:
        address = urlsplit(caller.url)
        with pytest.raises(OSError, match=r"(?i)version|alert|protocol"):
            await asyncio.open_connection(address.hostname, address.port, ssl=context)


@on_both_loops
async def test_no_handshake(
    authority: Authority, emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """Who says nothing, or speaks plain HTTP, is let go in the time that a head has, and is no defect."""
    async with start(emulator, tls=files(authority), head_timeout_ms=80) as caller:
        plain = caller.url.replace("https", "http")
        assert b"200" not in await exchanged(plain, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await exchanged(plain, b"") == b""
        server = caller.gateway.serving.server
        async with asyncio.timeout(PATIENCE):
            while server.handshakes or server.events.dropped != {"TLS handshake": 2}:  # noqa: ASYNC110 - a task's
                await asyncio.sleep(0.002)
    assert len(lines(log, "handshake_failed")) == 2
    assert not lines(log, "defect")


async def test_too_many_handshakes(
    authority: Authority, emulator: Emulator, start: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have a bound of their own: the one that has taken longest makes room."""
    monkeypatch.setattr(handshakes, "HANDSHAKES", 2)
    async with start(emulator, tls=files(authority), head_timeout_ms=60_000) as caller:
        address = urlsplit(caller.url)
        waiting = [await asyncio.open_connection(address.hostname, address.port)]
        async with asyncio.timeout(PATIENCE):
            while not caller.gateway.serving.server.handshakes:  # noqa: ASYNC110 - made by another task
                await asyncio.sleep(0.002)
            waiting += [await asyncio.open_connection(address.hostname, address.port) for _ in range(2)]
            with suppress(ConnectionError):
                assert await waiting[0][0].read() == b""
        assert len(caller.gateway.serving.server.handshakes) == 2
        for _, writer in waiting:
            writer.transport.abort()


@on_both_loops
async def test_reader_who_does_not_read(
    authority: Authority, emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """A caller who takes no byte is dropped, as without TLS (R5)."""
    async with start(emulator, tls=files(authority), write_timeout_ms=100) as caller:
        address = urlsplit(caller.url)
        _, writer = await asyncio.open_connection(
            address.hostname, address.port, limit=1024, ssl=client(authority)
        )
        writer.write(request(ask("[[emulator deltas=4900 delta_chars=2000]]", model=LLAMA)))
        async with asyncio.timeout(PATIENCE):
            while not lines(log):  # noqa: ASYNC110 - the line is written by another task
                await asyncio.sleep(0.005)
        [line] = lines(log)
        assert (line["outcome"], line["detail"]) == ("disconnected", "the caller did not read")
        writer.transport.abort()


@on_both_loops
async def test_a_caller_who_leaves(authority: Authority, emulator: Emulator, start: StartGateway) -> None:
    """Ends the call to Bedrock, as without TLS (R1)."""
    async with start(emulator, tls=files(authority)) as caller, session_of(authority) as session:
        body = ask("[[emulator deltas=3 stall=2]]", model=LLAMA)
        async with session.post(f"{caller.url}/chat/completions/stream", json=body) as response:
            await response.content.readline()
            response.close()
        async with asyncio.timeout(PATIENCE):
            await emulator.wait_active(0)
            while caller.gateway.limiter.running:  # noqa: ASYNC110 - the slot is freed by another task
                await asyncio.sleep(0.005)


@on_both_loops
async def test_drain(authority: Authority, emulator: Emulator, start: StartGateway) -> None:
    """Idle connections and unfinished handshakes do not hold up the end."""
    async with start(emulator, tls=files(authority)) as caller, session_of(authority) as session:
        async with session.get(f"{caller.url}/livez") as response:
            assert response.status == 200
        address = urlsplit(caller.url)
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        server = caller.gateway.serving.server
        async with asyncio.timeout(PATIENCE):
            while not server.handshakes:  # noqa: ASYNC110 - it is made by another task
                await asyncio.sleep(0.002)
        caller.gateway.hurry()
        await caller.gateway.drain()
        writer.transport.abort()
    assert not server.connections
    assert not server.handshakes


async def test_reload(
    authority: Authority, emulator: Emulator, start: StartGateway, log: io.StringIO, tmp_path: Path
) -> None:
    """Other files take effect with a reload; that there is TLS at all is fixed."""
    section = files(authority)
    async with start(emulator, tls=section) as caller, session_of(authority) as session:

        async def serial() -> str:
            address = urlsplit(caller.url)
            _, writer = await asyncio.open_connection(address.hostname, address.port, ssl=client(authority))
            number = str(writer.get_extra_info("peercert")["serialNumber"])
            writer.transport.abort()
            return number

        before = await serial()
        await caller.gateway.reload(settings_for(emulator, tls=files(authority)))
        assert await serial() != before
        missing = section.model_copy(update={"key_file": tmp_path / "none.key"})
        with pytest.raises(StartError, match=r"tls: .*none.key: cannot be read \(No such file"):
            await caller.gateway.reload(settings_for(emulator, tls=missing))
        await caller.gateway.reload(settings_for(emulator))
        assert lines(log, "needs_restart")[0]["settings"] == ["tls"]
        async with session.get(f"{caller.url}/livez") as response:
            assert response.status == 200


@pytest.mark.parametrize("workers", [1, 2])
async def test_processes(workers: int, authority: Authority, emulator: Emulator) -> None:
    """`serve` speaks TLS in one process and in several, with the loop of the tests."""
    section, keys = files(authority), emulator.settings
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", f"--workers={workers}"),
        env={
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "GATEWAY_PORT": "0",
            "GATEWAY_EVENT_LOOP": EVENT_LOOP,
            "GATEWAY_DRAIN__PROPAGATION_MS": "0",
            "GATEWAY_TLS__CERT_FILE": str(section.cert_file),
            "GATEWAY_TLS__KEY_FILE": str(section.key_file),
            "AWS_ACCESS_KEY_ID": keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
            "AWS_REGION": keys.region,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": emulator.url,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        events: list[dict[str, str]] = []
        async with asyncio.timeout(PATIENCE):
            while [event["event"] for event in events].count("listening") < workers:
                events.append(json.loads(await process.stdout.readline()))
            url = next(event["url"] for event in events if event["event"] == "listening")
            async with session_of(authority) as session:
                for path in ("/livez", "/readyz"):
                    async with session.get(url + path) as response:
                        assert response.status == 200
            process.terminate()
            await process.communicate()
        assert url.startswith("https://")
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"cert_file": "x"}, "cert_file and key_file go together"),
        ({"client_certificates": "required"}, "there is no tls.client_ca_file"),
        ({"client_certificates": "optional", "client_ca_file": "x"}, "there is no tls.cert_file"),
        ({"client_ca_file": "x"}, "tls.client_ca_file has no effect"),
        ({"client_names": ()}, "at least 1 item"),
        ({"client_certificates": "yes"}, "'required', 'optional' or 'none'"),
    ],
)
def test_settings_that_cannot_work(section: dict[str, object], words: str) -> None:
    """Each says what is missing."""
    with pytest.raises(ValueError, match=words):
        Settings(tls=section)


@pytest.mark.parametrize("case", ["encrypted", "no certificate", "another's key", "no authority"])
async def test_files_that_cannot_be_used(case: str, authority: Authority, emulator: Emulator) -> None:
    """The start is refused; nobody is asked for a password."""
    pair, other = authority.server(), authority.server()
    text = authority.file.with_name("text.pem")
    text.write_text("nothing")
    cases: dict[str, tuple[dict[str, object], str]] = {
        "encrypted": ({"key_file": authority.issue(cn="x", password=b"secret").key}, "the key is encrypted"),
        "no certificate": ({"cert_file": text}, "NO_START_LINE|no certificate"),
        "another's key": ({"key_file": other.key}, "KEY_VALUES_MISMATCH"),
        "no authority": (
            {"client_ca_file": text, "client_certificates": "optional"},
            "NO_CERTIFICATE_OR_CRL_FOUND|no certificate",
        ),
    }
    section, words = cases[case]
    tls = TlsSettings.model_validate({"cert_file": pair.cert, "key_file": pair.key, **section})
    with pytest.raises(StartError, match=words):
        async with app.running(settings_for(emulator, tls=tls)):
            pass


def test_the_socket_is_ours_to_close() -> None:
    """The site of aiohttp keeps what `TlsSite` uses of it."""
    assert "_sock" in web.SockSite.__slots__
