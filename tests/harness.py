"""A client of a running gateway, and how the tests find their data."""

from __future__ import annotations

import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import pytest
from pydantic import SecretStr

from gateway import app
from gateway.settings import AwsSettings, BedrockSettings, Settings

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from gateway.app import Gateway
    from gateway.emulator import Emulator

ROOT = Path(__file__).resolve().parent.parent

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-micro-v1:0"
TITAN = "amazon.titan-text-express-v1"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
NO_CONNECT_CLOCK = {"connect_timeout_ms": 60_000}
EVENT_LOOP = os.environ.get("TEST_EVENT_LOOP", "auto")
"""What tests run on, with the gateways in them and the processes they start: a `GATEWAY_EVENT_LOOP`."""
BOTH_LOOPS = ("asyncio", "uvloop")
on_both_loops = pytest.mark.asyncio(loop_factories=BOTH_LOOPS)
"""Marks a test of what an event loop decides: it runs on each that is installed."""
FAMILIES = (CLAUDE, NOVA, TITAN, LLAMA)


def ask(text: str = "Hello", model: str = CLAUDE, **fields: Any) -> dict[str, Any]:
    """Return a request body."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def text_of(records: list[dict[str, Any]]) -> str:
    """Return the text that a stream's records carry."""
    return "".join(record["text"] for record in records if record["type"] == "text_delta")


def lines(log: io.StringIO, event: str = "request") -> list[dict[str, Any]]:
    """Return the log lines of one kind."""
    parsed = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in parsed if line["event"] == event]


def shared(name: str, variable: str) -> Path:
    """Return a folder of test data beside the repository, or skip and say where it was looked for."""
    folder = Path(os.environ.get(variable, ROOT.parent / "shared" / name))
    if not folder.is_dir():
        pytest.skip(f"no {name}: neither {variable} nor ../shared/{name} is a folder")
    return folder


def settings_for(emulator: Emulator, **changes: Any) -> Settings:
    """Return the settings of a gateway in front of this emulator.

    The usual connect clock would strike on a machine that stands still for three seconds: it is off unless
    `bedrock` has one.
    """
    keys = emulator.settings
    bedrock = changes.pop("bedrock", {})
    if isinstance(bedrock, dict):
        bedrock = BedrockSettings.model_validate(NO_CONNECT_CLOCK | bedrock)
    return Settings(
        bedrock=bedrock,
        port=0,
        aws=AwsSettings(
            access_key_id=SecretStr(keys.access_key_id),
            secret_access_key=SecretStr(keys.secret_access_key),
            region=keys.region,
            endpoint_url=emulator.url,
        ),
        **changes,
    )


class Caller:
    """A client of one running gateway."""

    def __init__(self, gateway: Gateway, session: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.url = gateway.url
        self.session = session

    async def stream(
        self, body: dict[str, Any], **headers: str
    ) -> tuple[int, list[dict[str, Any]], Mapping[str, str]]:
        """POST to the stream and return status, records (or the one error object) and headers."""
        url = f"{self.url}/chat/completions/stream"
        async with self.session.post(url, json=body, headers=headers) as response:
            data = await response.read()
            records = [json.loads(line) for line in data.split(b"\n") if line]
            return response.status, records, response.headers

    async def complete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST to the unary route and return status and object."""
        async with self.session.post(f"{self.url}/chat/completions", json=body) as response:
            return response.status, await response.json()


class StartGateway(Protocol):
    """The `start` fixture."""

    def __call__(self, emulator: Emulator, **changes: Any) -> AbstractAsyncContextManager[Caller]:
        """Run a gateway in front of this emulator, with changed settings, and give a client of it."""


@asynccontextmanager
async def started(emulator: Emulator, **changes: Any) -> AsyncIterator[Caller]:
    """Run a gateway in front of this emulator, and give a client of it."""
    async with (
        app.running(settings_for(emulator, **changes)) as gateway,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        yield Caller(gateway, session)
