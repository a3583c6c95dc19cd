"""The processes: an emulator with a quota, and a gateway that knows it, or does not."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from gateway.emulator import EmulatorSettings
from tests.ports import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parent.parent.parent
START_TIMEOUT, STOP_TIMEOUT = 120.0, 30.0


@asynccontextmanager
async def emulator(quotas: dict[str, dict[str, Any]]) -> AsyncIterator[str]:
    """Run an emulator and give its URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.emulator", "--quotas", orjson.dumps(quotas).decode()),
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT):
            url = orjson.loads(await process.stdout.readline())["url"]
        yield url
    finally:
        await _end(process)


@asynccontextmanager
async def gateway(upstream: str, folder: Path, configuration: str) -> AsyncIterator[str]:
    """Run a gateway with this `gateway.toml`, which lies in `folder`, and give its URL."""
    keys = EmulatorSettings()
    port = free_port()
    file = folder / "gateway.toml"
    file.write_text(configuration, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve"),
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(ROOT),
            "AWS_ACCESS_KEY_ID": keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
            "AWS_REGION": keys.region,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": upstream,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "GATEWAY_CONFIG": str(file),
            "GATEWAY_PORT": str(port),
            "GATEWAY_DRAIN__PROPAGATION_MS": "0",
            "GATEWAY_DRAIN__DEADLINE_MS": "0",
        },
        cwd=folder,
        stdout=(folder / "gateway.log").open("wb"),
    )
    url = f"http://{HOST}:{port}"
    try:
        await _listening(url, process)
        yield url
    finally:
        await _end(process)


async def _listening(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_TIMEOUT), aiohttp.ClientSession() as session:
        while process.returncode is None:
            try:
                async with session.get(f"{url}/livez"):
                    return
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
    raise RuntimeError("the gateway ended before it listened; its complaint is above")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    async with asyncio.timeout(STOP_TIMEOUT):
        await process.wait()
