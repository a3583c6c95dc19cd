"""An emulator for each test, and no trace of the machine's own AWS set-up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from gateway.emulator import Emulator, EmulatorSettings
from gateway.emulator.directives import defaults
from gateway.emulator.operations import Account, Asked, reply_to
from tests.emulator.asking import sdk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from gateway.emulator.delivery import Reply


@pytest.fixture(autouse=True)
def _no_aws_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable, file or instance role changes what the SDKs send."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(name="emulator")
async def _emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as running:
        yield running


@pytest.fixture(name="client")
def _client(emulator: Emulator) -> Iterator[Any]:
    """Boto3's client of the emulator; it blocks, so call it in a thread."""
    with sdk(emulator) as client:
        yield client


@pytest.fixture(name="reply")
def _reply() -> Callable[[str, str, Any], Reply]:
    """Ask without a socket: operation, model id and JSON in, the reply or a BedrockError out."""
    account = Account(usual=defaults(EmulatorSettings()), guardrails=EmulatorSettings().guardrails)

    def ask(operation: str, model: str, body: Any) -> Reply:
        return reply_to(Asked(operation, model, repr(body).encode()), body, account)

    return ask
