"""`python -m tests.deploy.topology`: what docker-compose.yml describes, as processes, restarted under load.

Emulator, Redis, three gateways, HAProxy and Prometheus run with the environment, the commands and the files
that the containers would have; only addresses differ, for here they share a host. Each round restarts every
gateway, one after the other: SIGTERM, its end, its start, its readiness. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import yaml

from tests.faults.reverse_proxies import NAMES, Balancer, haproxy, running
from tests.harness import NOVA, ROOT, ask
from tests.lifecycle.load import Ledger, load
from tests.lifecycle.processes import PATIENCE_S, Process, Replica, seen
from tests.ports import free_port
from tests.programs import debian

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

COMPOSE: Final = ROOT / "docker-compose.yml"
PROMETHEUS: Final = ROOT / "deploy" / "prometheus" / "prometheus.yml"
KEY: Final = "demo-key"
LIMITED_KEY: Final = "limited-key"
LIMITED: Final = 30
"""Requests of the caller who may ask ten times a minute: gateways that count alone would take them all."""
CALLERS: Final = 30
CHANGES: Final = {"GATEWAY_DRAIN__PROPAGATION_MS": "3000", "GATEWAY_REDIS__TIMEOUT_MS": "10000"}
"""What CI changes, beside HAProxy's probes: a restart takes 2 s less, and a Redis that is late on a busy
machine is not taken for one that is gone."""
ADDRESS: Final = re.compile(r"\b([a-z]+(?:-[0-9])?):([0-9]{4})\b")


def services() -> dict[str, Any]:
    """Return the services of docker-compose.yml."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


class Addresses:
    """Where each `name:port` of the containers is on this host."""

    def __init__(self) -> None:
        self._ports: dict[str, int] = {}

    def port(self, address: str) -> int:
        """Return the port that stands for this address."""
        return self._ports.setdefault(address, free_port())

    def told(self, text: str) -> str:
        """Return a text of the files with the addresses of this host."""
        return ADDRESS.sub(
            lambda found: f"127.0.0.1:{self.port(found[0])}" if found[1] in services() else found[0], text
        )


def environment(name: str, addresses: Addresses) -> dict[str, str]:
    """Return the environment of a gateway: that of the file, with the addresses of this host."""
    given = {key: addresses.told(str(value)) for key, value in services()[name]["environment"].items()}
    metrics = addresses.port(f"{name}:{given['GATEWAY_METRICS__PORT']}")
    return given | {
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_METRICS__HOST": "127.0.0.1",
        "GATEWAY_PORT": str(addresses.port(f"{name}:{given['GATEWAY_PORT']}")),
        "GATEWAY_METRICS__PORT": str(metrics),
    }


@dataclass(frozen=True, slots=True)
class Topology:
    """All that runs."""

    replicas: list[Replica]
    balancer: Balancer
    prometheus_url: str


@asynccontextmanager
async def running_topology(
    folder: Path, changes: Mapping[str, str], **balancing: str
) -> AsyncIterator[Topology]:
    """Run all services but Grafana.

    `changes` go into the environment of the gateways, `balancing` into that of HAProxy.
    """
    addresses = Addresses()
    async with AsyncExitStack() as stack:
        redis = addresses.port("redis:6379")
        command = [str(part) for part in services()["redis"]["command"]]
        own = ["--port", str(redis), "--bind", "127.0.0.1", "--dir", str(folder)]
        stack.enter_context(running([debian(command[0]), *command[1:], *own], (), {}))
        emulator = await _emulator(addresses)
        stack.push_async_callback(emulator.close)
        await _connected(redis)
        replicas = [Replica(name, environment(name, addresses) | dict(changes)) for name in NAMES]
        for replica in replicas:
            stack.push_async_callback(replica.close)
        await asyncio.gather(*(replica.start() for replica in replicas))
        balancer = stack.enter_context(haproxy([one.url for one in replicas], **balancing))
        port = free_port()
        stack.enter_context(running(_prometheus(addresses, balancer, port, folder), (), {}))
        yield Topology(replicas, balancer, f"http://127.0.0.1:{port}")


async def _emulator(addresses: Addresses) -> Process:
    service = services()["emulator"]
    python, dash_m, *module = service["entrypoint"]
    assert (python, dash_m) == ("python", "-m")
    here = ("--host=127.0.0.1", f"--port={addresses.port('emulator:9000')}")  # the last word counts
    process = await Process.start("emulator", *module, *service["command"], *here)
    await process.line("url")
    return process


def _prometheus(addresses: Addresses, balancer: Balancer, port: int, folder: Path) -> list[str]:
    text = PROMETHEUS.read_text().replace("haproxy:8404", balancer.operators_url.removeprefix("http://"))
    config = folder / "prometheus.yml"
    config.write_text(addresses.told(text))
    return [
        debian("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]


async def _connected(port: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


# ── what becomes of it ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Outcome:
    """What callers saw, how the gateways ended, and what Prometheus knows.

    `stranger` is the status of a request without a key; `limited` are those of the caller who asks too often,
    and `seconds` how long that took.
    """

    ledger: Ledger
    exit_codes: list[int]
    stranger: int
    limited: Counter[int]
    seconds: float
    scraped: dict[str, str]
    counted: float

    def figures(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "requests": self.ledger.requests,
            "whole": dict(self.ledger.whole),
            "served_by": dict(self.ledger.served_by),
            "failed": Counter(f"{one.kind}: {one.reason} ({one.server})" for one in self.ledger.failures),
            "exit_codes": Counter(map(str, self.exit_codes)),
            "status_without_key": self.stranger,
            "limited_caller": {str(status): count for status, count in self.limited.items()},
            "scraped": self.scraped,
            "counted_by_prometheus": self.counted,
        }


async def roll(
    folder: Path,
    *,
    rounds: int,
    callers: int = CALLERS,
    changes: Mapping[str, str] = CHANGES,
    **balancing: str,
) -> Outcome:
    """Run the topology, restart its gateways in turn, and return what became of the requests."""
    async with running_topology(folder, changes, **balancing) as topology:
        url, watched = topology.balancer.url, topology.balancer.operators_url
        async with load(url, callers, Authorization=f"Bearer {KEY}") as ledger:
            for _ in range(rounds):
                for replica in topology.replicas:
                    await replica.restart()
                    await seen(watched, replica.name, up=True)
        async with aiohttp.ClientSession() as session:
            stranger = await _status(session, url)
            started = time.monotonic()
            asking = (_status(session, url, LIMITED_KEY) for _ in range(LIMITED))
            limited = Counter(await asyncio.gather(*asking))
            seconds = time.monotonic() - started
            scraped, counted = await _scraped(session, topology.prometheus_url)
        codes = [code for replica in topology.replicas for code in replica.exit_codes]
    return Outcome(ledger, codes, stranger, limited, seconds, scraped, counted)


async def _status(session: aiohttp.ClientSession, url: str, key: str | None = None) -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with session.post(f"{url}/chat/completions", json=ask(model=NOVA), headers=headers) as response:
        await response.read()
        return response.status


async def _scraped(session: aiohttp.ClientSession, url: str) -> tuple[dict[str, str], float]:
    """Return how each target of Prometheus is once all are up, and how many requests it knows of."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with session.get(f"{url}/api/v1/targets") as response:
                targets = (await response.json())["data"]["activeTargets"]
            health = {one["labels"]["instance"]: one["health"] for one in targets}
            query = {"query": "sum(gateway_requests_total)"}
            async with session.get(f"{url}/api/v1/query", params=query) as response:
                result = (await response.json())["data"]["result"]
            if set(health.values()) == {"up"} and result:
                return health, float(result[0]["value"][1])
            await asyncio.sleep(0.1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it with the file's own drain and HAProxy's own probes; return 0 where no request failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.topology", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=CALLERS)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rolling = roll(
            Path(folder), rounds=options.rounds, callers=options.callers, changes={}, PROBE_INTERVAL="1s"
        )
        outcome = asyncio.run(rolling)
    sys.stdout.write(json.dumps(outcome.figures(), indent=2) + "\n")
    return 1 if outcome.ledger.failures or set(outcome.exit_codes) != {0} else 0


if __name__ == "__main__":
    sys.exit(main())
