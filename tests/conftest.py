"""What every test stands on: no developer's AWS set-up, a real emulator, a real gateway on a real socket."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from gateway import event_loop
from gateway.emulator import Emulator, EmulatorSettings
from gateway.observability import logging
from tests.harness import BOTH_LOOPS, EVENT_LOOP, Caller, StartGateway, started

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path

FOREIGN_PREFIXES = ("AWS_", "GATEWAY_", "BOTO_")
KEPT = frozenset({"GATEWAY_RECORDINGS", "GATEWAY_VECTORS"})
SECRETS = (EmulatorSettings().secret_access_key, "CANARY")
"""What no log line may hold: the key that requests are signed with, and what tests mark as secret."""
# A commit passes or fails, whenever it is run and however loaded the machine is: examples are the same each
# time, and none is judged by the clock. New ones are looked for with `pytest --hypothesis-profile=search`.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", settings.get_profile("search"), derandomize=True)
settings.load_profile("fixed")

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests on the loop that serves by default, or on those that they name."""
    marker = item.get_closest_marker("asyncio")
    if marker is None or "loop_factories" not in marker.kwargs:
        return {EVENT_LOOP: event_loop.factory(EVENT_LOOP)}
    found = {}
    for name in BOTH_LOOPS:
        with suppress(event_loop.MissingLoopError):  # the plugin then skips the test, and says so
            found[name] = event_loop.factory(name)
    return found


@pytest.fixture(autouse=True)
def _isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable, file, profile or instance role of the machine changes what a test sees."""
    for name in list(os.environ):
        if name.upper().startswith(FOREIGN_PREFIXES) and name not in KEPT:
            monkeypatch.delenv(name)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    nowhere = tmp_path / "no-aws"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """The JSON log of the code under test, at debug, away from the terminal.

    No test of the whole suite may leave a secret or a prompt that was marked as such in it (R54).
    """
    stream = io.StringIO()
    logging.configure(level="debug", json=True, stream=stream)
    yield stream
    logging.configure(level="error", json=True, stream=io.StringIO())
    told = [secret for secret in SECRETS if secret in stream.getvalue()]
    assert not told, f"the log tells {told}"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """A Bedrock of our own on loopback."""
    async with Emulator(EmulatorSettings()) as running:
        yield running


@pytest.fixture
def start() -> StartGateway:
    """How to run a gateway in front of an emulator with settings of its own."""
    return started


@pytest.fixture
async def caller(emulator: Emulator) -> AsyncIterator[Caller]:
    """A client of a gateway with default settings in front of the emulator."""
    async with started(emulator) as one:
        yield one
