"""`bedrock-gateway serve`: the gateway until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import signal
import sys

import structlog

from gateway import app, composition
from gateway.observability import logging
from gateway.settings import Settings, SettingsError, load

EXIT_CONFIG = 78
"""`EX_CONFIG` of sysexits.h: the configuration is wrong, a restart will not help."""
EXIT_UNAVAILABLE = 69
"""`EX_UNAVAILABLE`: the address cannot be listened on."""


def run() -> int:
    """Serve with the settings of the environment; return the exit code."""
    try:
        settings = load()
    except SettingsError as error:
        print_problems(error.problems)
        return EXIT_CONFIG
    configure_logging(settings)
    try:
        asyncio.run(_serve(settings))
    except composition.StartError as error:
        print_problems(error.problems)
        return EXIT_CONFIG
    except app.ListenError as error:
        print_problems([str(error)])
        return EXIT_UNAVAILABLE
    return 0


def print_problems(problems: list[str]) -> None:
    """Say on stderr why there will be no start."""
    sys.stderr.write("bedrock-gateway cannot start:\n")
    for problem in problems:
        sys.stderr.write(f"  - {problem}\n")


def configure_logging(settings: Settings) -> None:
    """Set up the log as the settings say."""
    pretty = settings.log.format == "console" or (settings.log.format == "auto" and sys.stdout.isatty())
    logging.configure(level=settings.log.level, json=not pretty)


async def until_signal() -> None:
    """Wait for SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def _serve(settings: Settings) -> None:
    async with app.running(settings):
        await until_signal()
    structlog.get_logger().info("stopped")
