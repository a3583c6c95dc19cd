"""A gateway with a ledger: how it is set up, what it says of it, and that Redis is no part of being ready."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.commands.supervisor import WorkerPlace
from gateway.lasting import build_ledger
from gateway.ledger.local import LocalLedger
from gateway.settings import MetricsSettings, RedisSettings, Settings
from tests.harness import ask
from tests.ledger import redis_server
from tests.ledger.outages import PASSWORD, until
from tests.ledger.replicas import granted, held, rate, replica, spent
from tests.ports import HOST, free_port
from tests.scraping import scrape
from tests.tls.authority import Authority

if TYPE_CHECKING:
    import io
    from pathlib import Path

    from gateway.emulator import Emulator
    from tests.harness import StartGateway
    from tests.ledger.redis_server import RedisServer

CALLERS = {
    "team": {"key_sha256": [sha256(b"a key").hexdigest()], "requests_per_minute": 1000},
    "poor": {"key_sha256": [sha256(b"a poor key").hexdigest()], "requests_per_minute": 1},
}
KEY = {"x-api-key": "a key"}


async def test_redis_freezes(
    server: RedisServer, emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """Requests are served, the process is alive and ready, and where it counts can be seen."""
    redis = RedisSettings(url=SecretStr(server.url), replicas=4)
    settings = {"redis": redis, "callers": CALLERS, "metrics": MetricsSettings(port=0)}
    async with start(emulator, **settings) as caller:
        assert (await caller.stream(ask(), **KEY))[0] == 200
        server.freeze()
        assert (await caller.stream(ask(), **KEY))[0] == 200
        assert (await caller.stream(ask(), **KEY))[0] == 200
        for path in ("livez", "readyz"):
            async with caller.session.get(f"{caller.url}/{path}") as response:
                assert response.status == 200
                assert (await response.json()).get("ledger") == (None if path == "livez" else "degraded")
        assert caller.gateway.metrics_url is not None
        samples = await scrape(caller.gateway.metrics_url)
        assert samples["gateway_ledger_state{state=degraded}"] == 1
        assert samples["gateway_ledger_outages_total{cause=timeout}"] == 1
        assert samples["gateway_ledger_decisions_total{by=here}"] >= 2
        refusal: list[dict[str, Any]] = []
        for expected in (200, 429):
            status, refusal, _ = await caller.stream(ask(), **{"x-api-key": "a poor key"})
            assert status == expected
        server.thaw()
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert "Redis is away" in refusal[0]["error"]["message"]
    assert [line["limit"] for line in lines if line.get("status") == 429] == ["requests_per_minute"]
    assert [line["state"] for line in lines if line["event"] == "ledger"][-1] == "degraded"


async def test_workers_share(log: io.StringIO) -> None:
    """Without Redis each worker counts its part of a limit, and says so; one process counts all of it."""
    one = build_ledger(Settings())
    assert isinstance(one, LocalLedger)
    assert (one.share, log.getvalue()) == (1, "")
    four = build_ledger(WorkerPlace(2, 4, 0, ()).settings(Settings(workers=2)))
    assert isinstance(four, LocalLedger)
    assert four.share == 4
    assert '"share":"1/4 of each limit"' in log.getvalue()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://user:CANARY@host:6379/1", ""),
        ("rediss://:CANARY@host?ssl_cert_reqs=required&db=2", ""),
        ("unix:///run/redis.sock", ""),
        ("http://CANARY", "must be redis://HOST:PORT"),
        ("redis:///CANARY", "must be redis://HOST:PORT"),
        ("unix://", "must be redis://HOST:PORT"),
        ("redis://[host:CANARY", "is not a URL"),
        ("redis://host:CANARY", "port must be a number up to 65535"),
        ("redis://host:99999", "port must be a number up to 65535"),
        ("redis://host/CANARY", "path must be the number of a database"),
        ("redis://host?socket_timeout=5&password=CANARY", "may only say db and ssl_*"),
    ],
)
def test_urls(url: str, problem: str) -> None:
    """What cannot be a Redis is refused at the start, and no password is told."""
    if not problem:
        assert RedisSettings(url=SecretStr(url)).url == SecretStr(url)
        assert "CANARY" not in repr(RedisSettings(url=SecretStr(url)))
        return
    with pytest.raises(ValidationError, match=r"redis\.url") as caught:
        RedisSettings(url=SecretStr(url))
    assert problem in str(caught.value)
    assert "CANARY" not in str(caught.value)


RIGHTS = (
    "+eval +evalsha +select +get +set +del +exists +time +pexpire +zadd +zrem +zcard +zremrangebyscore "
    "~{bedrock-gateway}*"
)
"""All that a gateway needs."""


async def test_ways_in(tmp_path: Path) -> None:
    """By a Unix socket, as a user with few rights, in a database of its own, under names in any script."""
    path = tmp_path / "redis.sock"
    async with redis_server.running(tmp_path, "--unixsocket", str(path)) as server:
        await server.command("ACL", "SETUSER", "gate", "on", f">{PASSWORD}", *RIGHTS.split())
        server.url = f"unix://gate:{PASSWORD}@{path}?db=3"
        async with replica(server) as ledger:
            grant = (await granted(ledger, held(key="équipe/✓"), rate(), spent(1))).grant
            await ledger._remote.raise_to([rate(5)])  # nothing else is under way
            ledger.settle(ledger.move(grant, (rate(2),)), [1, 0, 2], [1])
            await granted(ledger, held(1, key="équipe/✓"))
            assert ledger.state == "shared"
        assert await server.command("DBSIZE") == 0


async def test_a_wrong_password(tmp_path: Path, log: io.StringIO) -> None:
    """It is told as what it is, and not told itself."""
    async with redis_server.running(tmp_path, "--requirepass", "another") as server:
        server.url = f"redis://:{PASSWORD}@127.0.0.1:{server.port}"
        async with replica(server) as ledger:
            await until(lambda: ledger.measures.outages["refusal"] == 1)
    assert "AuthenticationError" in log.getvalue()
    assert PASSWORD not in log.getvalue()


async def test_tls(tmp_path: Path, log: io.StringIO) -> None:
    """Over TLS the server is known by its authority; one that another has signed is not talked to."""
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    pair, port = authority.server(), free_port()
    options = (
        *("--tls-port", str(port), "--tls-cert-file", str(pair.cert), "--tls-key-file", str(pair.key)),
        *("--tls-ca-cert-file", str(authority.file), "--tls-auth-clients", "no"),
    )
    async with redis_server.running(tmp_path, *options) as server:
        server.url = f"rediss://{HOST}:{port}?ssl_ca_certs={authority.file}"
        async with replica(server) as ledger:
            assert ledger.state == "shared"
        server.url = f"rediss://{HOST}:{port}?ssl_ca_certs={stranger.file}"
        async with replica(server) as ledger:
            assert ledger.state == "degraded"
    assert "CERTIFICATE_VERIFY_FAILED" in log.getvalue()
