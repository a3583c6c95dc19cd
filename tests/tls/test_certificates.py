"""Callers who prove who they are by a certificate, over sockets, on both event loops."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from cryptography import x509

from gateway.server import tls
from gateway.settings import CallerSettings, TlsSettings
from tests.harness import ask, lines, on_both_loops
from tests.tls.authority import Authority, client

if TYPE_CHECKING:
    import io
    import ssl
    from collections.abc import Callable

    from gateway.emulator import Emulator
    from tests.harness import StartGateway
    from tests.tls.authority import Pair

WORKER, STRANGER = "spiffe://example.org/ns/team-a/sa/worker", "spiffe://example.org/ns/team-z/sa/worker"
KEY = "a key of team-b"
CALLERS = {
    "team-a": CallerSettings(
        subjects=("spiffe://example.org/ns/team-a/*", "dns:worker.example", "cn:worker")
    ),
    "team-b": CallerSettings(key_sha256=(sha256(KEY.encode()).hexdigest(),)),
}


def secured(authority: Authority, certificates: str = "optional", **changes: Any) -> dict[str, Any]:
    """Return settings of a gateway with this authority's certificate."""
    pair = authority.server()
    section = {"cert_file": pair.cert, "key_file": pair.key, "client_certificates": certificates}
    if certificates != "none":
        section["client_ca_file"] = authority.file
    return {"tls": TlsSettings(**(section | changes)), "callers": CALLERS}


async def asked(
    url: str, context: ssl.SSLContext, path: str = "/chat/completions", **headers: str
) -> tuple[int, str]:
    """Return status and body, over a connection of its own."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.request(
            "GET" if path == "/livez" else "POST", url + path, json=ask(), headers=headers
        ) as answer,
    ):
        return answer.status, await answer.text()


def named(authority: Authority, case: str) -> Pair | None:
    """Return a caller's certificate."""
    uri = x509.UniformResourceIdentifier
    cases: dict[str, tuple[list[x509.GeneralName], str]] = {
        "SPIFFE": ([uri(WORKER)], ""),
        "another SPIFFE id": ([uri(STRANGER)], ""),
        "two URIs": ([uri(WORKER), uri("https://example.org")], ""),
        "a URI of another kind": ([uri("https://example.org/ns/team-a/x")], ""),
        "DNS": ([x509.DNSName("other.example"), x509.DNSName("worker.example")], ""),
        "another DNS name": ([x509.DNSName("spiffe.example.org")], ""),
        "CN": ([], "worker"),
        "a CN that looks like more": ([], WORKER),
        "no name": ([x509.IPAddress(ip_address("127.0.0.1"))], ""),
    }
    if case == "none":
        return None
    names, cn = cases[case]
    return authority.issue(*names, cn=cn)


@on_both_loops
@pytest.mark.parametrize(
    ("case", "status", "words"),
    [
        ("SPIFFE", 200, ""),
        ("DNS", 200, ""),
        ("CN", 200, ""),
        ("another SPIFFE id", 403, f"`{STRANGER}`"),
        ("another DNS name", 403, "`dns:spiffe.example.org`"),
        ("a CN that looks like more", 403, f"`cn:{WORKER}`"),
        ("two URIs", 401, "known callers only"),
        ("a URI of another kind", 401, "known callers only"),
        ("no name", 401, "known callers only"),
        ("none", 401, "known callers only"),
    ],
)
async def test_who_it_is(
    case: str,
    status: int,
    words: str,
    authority: Authority,
    emulator: Emulator,
    start: StartGateway,
    log: io.StringIO,
) -> None:
    """A caller's name is served; another is told what its operator has to write; keys count beside."""
    async with start(emulator, **secured(authority)) as caller:
        context = client(authority, named(authority, case))
        got, text = await asked(caller.url, context)
        assert (got, words in text) == (status, True)
        assert (await asked(caller.url, context, "/livez"))[0] == 200
        assert (await asked(caller.url, context, Authorization=f"Bearer {KEY}"))[0] == 200
    who = [line.get("caller") for line in lines(log) if line["route"] != "/livez"]
    assert who == (["team-a", "team-a"] if status == 200 else [None, "team-b"])


async def test_names_that_count(authority: Authority, emulator: Emulator, start: StartGateway) -> None:
    """Only those of the settings: where nobody but SPIFFE vouches, a common name is none."""
    async with start(emulator, **secured(authority, client_names=("spiffe",))) as caller:
        assert (await asked(caller.url, client(authority, named(authority, "CN"))))[0] == 401
        assert (await asked(caller.url, client(authority, named(authority, "SPIFFE"))))[0] == 200


@on_both_loops
@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("expired", "certificate has expired"),
        ("not valid yet", "certificate is not yet valid"),
        ("other", "unable to get local issuer certificate"),
        ("none", "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
    ],
)
async def test_who_does_not_connect(
    case: str,
    reason: str,
    authority: Authority,
    emulator: Emulator,
    start: StartGateway,
    log: io.StringIO,
) -> None:
    """Whose certificate is not verified has no connection, and no request; the log says why."""
    hour = timedelta(hours=1)
    uri = x509.UniformResourceIdentifier(WORKER)
    other = Authority(authority.file.parent, "other")
    pairs: dict[str, Callable[[], Pair | None]] = {
        "expired": lambda: authority.issue(uri, ends=-hour),
        "not valid yet": lambda: authority.issue(uri, begins=hour, ends=2 * hour),
        "other": lambda: other.issue(uri),
        "none": lambda: None,
    }
    async with start(emulator, **secured(authority, "required")) as caller:
        with pytest.raises((aiohttp.ClientError, OSError)):
            await asked(caller.url, client(authority, pairs[case]()), "/livez")
        assert (await asked(caller.url, client(authority, authority.spiffe(WORKER))))[0] == 200
        dropped = caller.gateway.serving.server.events.dropped
    reasons = [line["reason"] for line in lines(log, "handshake_failed")]
    assert set(reasons) == {reason}, "aiohttp tries twice"
    told = {(line["level"], line["peer"]) for line in lines(log, "handshake_failed")}
    assert told == {("warning", "127.0.0.1")}
    assert dropped == {"TLS handshake": len(reasons)}
    assert not lines(log, "defect")


async def test_an_optional_one_must_be_good(
    authority: Authority, emulator: Emulator, start: StartGateway
) -> None:
    """Who shows one shows a good one; who shows none may have a key."""
    bad = Authority(authority.file.parent, "other").spiffe(WORKER)
    async with start(emulator, **secured(authority)) as caller:
        with pytest.raises((aiohttp.ClientError, OSError)):
            await asked(caller.url, client(authority, bad), Authorization=f"Bearer {KEY}")
        assert (await asked(caller.url, client(authority), Authorization=f"Bearer {KEY}"))[0] == 200


async def test_one_that_is_about_to_expire(
    authority: Authority, emulator: Emulator, start: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is told to end while it still counts; once it has expired it opens nothing."""
    monkeypatch.setattr(tls, "RETIRE_S", 7_200.0)
    pair = authority.spiffe(WORKER)  # for an hour: it retires after half of it
    async with start(emulator, **secured(authority)) as caller:
        connector = aiohttp.TCPConnector(ssl=client(authority, pair))
        async with aiohttp.ClientSession(connector=connector) as session:

            async def answer() -> tuple[int, str | None]:
                async with session.post(f"{caller.url}/chat/completions", json=ask()) as answered:
                    await answered.read()
                    return answered.status, answered.headers.get("Connection")

            assert await answer() == (200, None)
            [connection] = caller.gateway.serving.server.connections
            peer = connection.peer  # type: ignore[attr-defined]  # it is ours
            assert 1_700 < peer.expires - peer.retires <= 1_800
            connection.peer = type(peer)(peer.fields, peer.expires, 0.0)  # type: ignore[attr-defined]
            assert await answer() == (200, "close")
            assert await answer() == (200, None), "on a new connection"
            [connection] = caller.gateway.serving.server.connections
            connection.peer = type(peer)(peer.fields, 0.0, 0.0)  # type: ignore[attr-defined]
            assert await answer() == (401, "close")


async def test_rotation(
    authority: Authority,
    emulator: Emulator,
    start: StartGateway,
    log: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New connections meet the files as they are, old ones go on; broken files change nothing."""
    monkeypatch.setattr("gateway.identity.watching.SECONDS", 0.02)
    settings = secured(authority)
    files = settings["tls"]
    old_client = client(authority, authority.spiffe(WORKER))

    async def told(event: str) -> None:
        known = len(lines(log, event))
        async with asyncio.timeout(60):
            while len(lines(log, event)) == known:  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)

    async with start(emulator, **settings) as caller:
        connector = aiohttp.TCPConnector(ssl=old_client)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def alive() -> int:
                async with session.post(f"{caller.url}/chat/completions", json=ask()) as answer:
                    await answer.read()
                    return answer.status

            assert await alive() == 200
            [before] = caller.gateway.serving.server.connections

            renewed = Authority(authority.file.parent, "renewed")
            pair = renewed.server()
            files.client_ca_file.write_bytes(renewed.file.read_bytes())
            files.key_file.write_bytes(pair.key.read_bytes())
            await told("certificates_refused")  # the certificate is not there yet: a common moment
            assert "KEY_VALUES_MISMATCH" in lines(log, "certificates_refused")[0]["reason"]
            assert await alive() == 200
            files.cert_file.write_bytes(pair.cert.read_bytes())
            await told("certificates_read")

            new_client = client(renewed, renewed.spiffe(WORKER))
            assert (await asked(caller.url, new_client))[0] == 200
            with pytest.raises((aiohttp.ClientError, OSError)):
                await asked(caller.url, old_client)
            assert await alive() == 200
            assert before in caller.gateway.serving.server.connections
