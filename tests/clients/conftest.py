"""What the tests of real clients stand on: one gateway for all, and no way out of this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients import packages, world
from tests.clients.drivers.javascript import PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clients.client import Client
    from tests.clients.world import World

FOREIGN_PREFIXES = ("OPENAI_", "ANTHROPIC_", "LANGCHAIN_", "LANGSMITH_", "OTEL_")


@pytest.fixture(name="_one_world", scope="session")
def _one_world() -> Iterator[World]:
    with world.running() as running:
        yield running
    PROCESS.close()


@pytest.fixture(name="world")
def _world(_one_world: World) -> World:
    """The one gateway of all tests, without what the test before may have left of a script."""
    _one_world.forget()
    return _one_world


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine changes what a client does, and none reports what it did."""
    for name in list(os.environ):
        if name.startswith(FOREIGN_PREFIXES):
            monkeypatch.delenv(name)
    for name in ("LANGCHAIN_TRACING_V2", "LANGSMITH_TRACING"):
        monkeypatch.setenv(name, "false")


@pytest.fixture(autouse=True)
def _nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client goes to another machine: none connects to one, and none looks a name up."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connect_here(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX or _is_local(address[0]), f"a client went for {address}"
        connect(self, address)

    def resolve_here(host: Any, *rest: Any, **named: Any) -> Any:
        assert _is_local(host), f"a client looked up {host}"
        return resolve(host, *rest, **named)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)


def _is_local(host: Any) -> bool:
    try:
        return host is None or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    """Skip where the client is not installed; fail where it must be."""
    client: Client | None = getattr(request.node, "callspec", None) and request.node.callspec.params.get(
        "client"
    )
    if client is None:
        return
    missing = packages.missing(client.packages, npm=client.npm)
    if missing and packages.required():
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
