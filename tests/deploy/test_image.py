"""The image: what its Dockerfile promises, what gets into it, and its health check as a process."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from gateway.settings import Settings
from tests.deploy.tools import judged
from tests.harness import ROOT
from tests.ports import free_port
from tests.programs import debian, program

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

DOCKERFILE: Final = ROOT / "deploy" / "Dockerfile"
HEALTHCHECK: Final = ROOT / "deploy" / "healthcheck.py"


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the last stage, with their continued lines as one."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    all_of_them = [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]
    last = max(place for place, one in enumerate(all_of_them) if one[0] == "FROM")
    return [(one[0], one[1]) for one in all_of_them[last:]]


def test_hadolint_finds_no_fault() -> None:
    """Its one exception stands in the file, with the reason."""
    code, said = judged(program("hadolint", "requirements-dev.lock"), "--no-color", str(DOCKERFILE))

    assert (code, said) == (0, "")


def test_the_last_stage() -> None:
    """What hadolint does not ask: nobody's shell, no name for a user, no fetching where the image runs."""
    stage = instructions()
    last = dict(stage)

    assert re.fullmatch(r"[1-9][0-9]{3,}:[1-9][0-9]{3,}", last["USER"])
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert (last["ENTRYPOINT"], last["CMD"]) == ('["bedrock-gateway"]', '["serve"]')
    assert re.search(r'CMD \["python", "-I", ', last["HEALTHCHECK"])
    assert "RUN" not in last
    assert "PYTHONDONTWRITEBYTECODE=1" in last["ENV"]
    assert last["EXPOSE"] == str(Settings().port)
    assert [value.split()[0] for name, value in stage if name == "COPY"] == [
        "--from=build",
        "deploy/healthcheck.py",
    ]


def test_every_file_has_its_hash() -> None:
    """Whatever pip takes from elsewhere is held to the lock."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    commands = [part.strip() for part in re.split(r"&&|^RUN |\n", text, flags=re.MULTILINE)]
    fetching = [part for part in commands if re.match(r"pip .*\b(wheel|install)\b", part)]

    assert len(fetching) == 4
    assert [part for part in fetching if "--no-index" not in part and "--require-hashes" not in part] == []


def test_what_the_build_needs_is_let_in() -> None:
    """The folder sent to the builder has what is copied from it, and by default nothing."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for line in DOCKERFILE.read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }

    assert ignored[1] == "*"
    assert copied == let_in


# ── the health check ──────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def answering(status: bytes, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Run a server that gives each request this status, and give its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        right = head.startswith(b"GET /livez HTTP/1.1\r\n")
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % (status if right else b"404 Not Found"))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def checked(**environment: str) -> int:
    """Run the health check as the image does, and return its exit code."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", str(HEALTHCHECK), env=environment)
    async with asyncio.timeout(60):
        return await process.wait()


@pytest.mark.parametrize(("status", "code"), [(b"200 OK", 0), (b"503 Service Unavailable", 1), (b"no", 1)])
async def test_health_by_the_port(status: bytes, code: int) -> None:
    """The gateway is asked where its own setting says; a proxy that the environment names is not."""
    async with answering(status) as address:
        port = address.rpartition(":")[2]
        assert await checked(GATEWAY_PORT=port, HTTP_PROXY="http://127.0.0.1:1") == code


async def test_health_where_nobody_listens() -> None:
    """A refused connection is no health."""
    assert await checked(GATEWAY_PORT=str(free_port())) == 1


async def test_health_by_tls(tmp_path: Path) -> None:
    """A gateway that speaks TLS is asked in TLS, whatever name its certificate has."""
    import ssl  # noqa: PLC0415 - only here

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [debian("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=elsewhere"]
    subprocess.run(  # noqa: ASYNC221, S603 - nothing else runs in this test
        [*command, "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with answering(b"200 OK", context) as address:
        assert await checked(HEALTHCHECK_URL=f"https://{address}/livez") == 0
