"""`bedrock-gateway serve`: the gateway until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import structlog

from gateway import app, composition
from gateway.observability import logging
from gateway.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from collections.abc import Callable

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


class StopSignals:
    """SIGTERM and SIGINT of this process, from now on; made on the running loop."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[signal.Signals] = loop.create_future()
        """The first of them."""
        self.then: Callable[[], None] = lambda: None
        """What to do at each that follows."""
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take, number)

    def _take(self, number: signal.Signals) -> None:
        if self.first.done():
            self.then()
        else:
            self.first.set_result(number)


async def _serve(settings: Settings) -> None:
    stop = StopSignals()
    async with app.running(settings) as gateway:
        stop.then = gateway.hurry
        early = stop.first.done()  # nobody has been told yet that we are ready
        number = await stop.first
        # Ctrl-C is a person's, who waits for no load balancer
        await gateway.drain(propagation=number == signal.SIGTERM and not early)
    structlog.get_logger().info("stopped")
