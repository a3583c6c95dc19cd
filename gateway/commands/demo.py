"""`bedrock-gateway demo`: emulator and gateway in one process, no AWS account."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from pydantic import SecretStr

from gateway import addresses, app
from gateway.commands import chat, serve
from gateway.emulator import Emulator, EmulatorSettings
from gateway.observability import logging
from gateway.settings import AwsSettings, ExplicitSettings, LogSettings, Settings, forget_environment

if TYPE_CHECKING:
    from gateway.app import Gateway

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PACE_MS = 40.0

GUIDE = """
The gateway listens on {url}, the emulator behind it on {emulator}. Paste into another terminal:

  curl -N {url}/chat/completions/stream -H 'Content-Type: application/json' \\
    -d '{{"model":"{model}","messages":[{{"role":"user","content":"Hello!"}}]}}'

  {program} chat --url {url} "Hello!"

Add -H 'Accept: text/event-stream' for SSE, 'Accept: text/plain' for bare text; POST to
{url}/chat/completions for one JSON answer. Ctrl-C stops.

One answer now, as NDJSON:

"""


def run(*, port: int, once: bool) -> int:
    """Serve the demo; with `once`, stop after the first answer. Return the exit code."""
    forget_environment()
    logging.configure(level="warning", json=not sys.stdout.isatty())
    try:
        return asyncio.run(_demo(port, once=once))
    except addresses.ListenError as error:
        serve.print_problems([f"{error}; choose another --port"])
        return serve.EXIT_UNAVAILABLE


async def _demo(port: int, *, once: bool) -> int:
    async with Emulator(EmulatorSettings(pace_ms=PACE_MS)) as emulator:
        settings = settings_for(emulator, port)
        try:
            return await _serve(settings, emulator, once=once)
        except addresses.ListenError:
            if not port:
                raise
            sys.stdout.write(f"Port {port} is in use: taking another.\n")
            return await _serve(settings.model_copy(update={"port": 0}), emulator, once=once)


async def _serve(settings: Settings, emulator: Emulator, *, once: bool) -> int:
    async with app.running(settings) as gateway:
        code = await _show(gateway, emulator)
        if not once:
            await serve.StopSignals().first
        return code


async def _show(gateway: Gateway, emulator: Emulator) -> int:
    program = sys.argv[0] if sys.argv[0].endswith("bedrock-gateway") else "python -m gateway"
    sys.stdout.write(GUIDE.format(url=gateway.url, emulator=emulator.url, model=MODEL, program=program))
    sys.stdout.flush()
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello! Who are you?"}]}
    return await chat.ask(gateway.url, body, raw=True)


def settings_for(emulator: Emulator, port: int) -> Settings:
    """Return settings that call this emulator and nothing of the operator's own AWS set-up."""
    keys = emulator.settings
    return ExplicitSettings(
        host="127.0.0.1",
        port=port,
        log=LogSettings(level="warning"),
        aws=AwsSettings(
            access_key_id=SecretStr(keys.access_key_id),
            secret_access_key=SecretStr(keys.secret_access_key),
            session_token=None,
            region=keys.region,
            endpoint_url=emulator.url,
        ),
    )
