"""`bedrock-gateway serve`: the gateway until SIGTERM or SIGINT, in one process or in several."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING

import structlog

from gateway import addresses, authentication, composition, event_loop, footprint
from gateway.commands.supervisor import LISTENING, RELOADED, Supervisor, WorkerPlace
from gateway.observability import logging
from gateway.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.app import Gateway

EXIT_CONFIG = 78
"""`EX_CONFIG` of sysexits.h: the configuration is wrong, a restart will not help."""
EXIT_UNAVAILABLE = 69
"""`EX_UNAVAILABLE`: the address cannot be listened on."""
LOADING = (10_000, 50, 1_000)
"""Thresholds of the collector: young garbage is looked for, for without that imports take 1 MB more."""


def run(*, workers: int | None = None, place: str | None = None) -> int:
    """Serve with the settings of the environment; return the exit code.

    `workers` is how many processes serve, where it is not the settings' number; `place` is what a supervisor
    tells its worker.
    """
    worker = None if place is None else WorkerPlace.parse(place)
    try:
        settings = load()
    except SettingsError as error:
        print_problems(error.problems)
        return EXIT_CONFIG
    configure_logging(settings, worker)
    count = settings.workers if workers is None else workers
    try:
        make_loop = _loop_factory(settings)
        if worker is None:
            authentication.check_openness(settings)
        if worker is None and count > 1:
            return asyncio.run(_supervise(settings, count))
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(_serve(_own(settings, worker), worker))
    except composition.StartError as error:
        print_problems(error.problems)
        return EXIT_CONFIG
    except addresses.ListenError as error:
        print_problems([str(error)])
        return EXIT_UNAVAILABLE
    return 0


def _own(settings: Settings, worker: WorkerPlace | None) -> Settings:
    """Return what this process serves with: a worker its share; who has no supervisor is the only one."""
    return settings.model_copy(update={"workers": 1}) if worker is None else worker.settings(settings)


def _loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        return event_loop.factory(settings.event_loop)
    except event_loop.MissingLoopError as error:
        raise composition.StartError([str(error)]) from error


def print_problems(problems: list[str]) -> None:
    """Say on stderr why there will be no start."""
    sys.stderr.write("bedrock-gateway cannot start:\n")
    for problem in problems:
        sys.stderr.write(f"  - {problem}\n")


def configure_logging(settings: Settings, worker: WorkerPlace | None = None) -> None:
    """Set up the log as the settings say."""
    pretty = settings.log.format == "console" or (settings.log.format == "auto" and sys.stdout.isatty())
    logging.configure(
        level=settings.log.level, json=not pretty, worker=None if worker is None else worker.number
    )


class StopSignals:
    """SIGTERM and SIGINT of this process, from now on; made on the running loop."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[signal.Signals] = loop.create_future()
        """The first of them."""
        self.then: Callable[[], None] = lambda: None
        """What to do at each that follows."""
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.take, number)

    def take(self, number: signal.Signals) -> None:
        """Do what the signal asks for."""
        if self.first.done():
            self.then()
        else:
            self.first.set_result(number)


@contextmanager
def _loading() -> Iterator[None]:
    """Import what stays: the collector looks for garbage in it once, and never again.

    Else it would look many times meanwhile, and each time that it does while we serve, all streams stand
    still for 35 ms.
    """
    usual = gc.get_threshold()
    gc.set_threshold(*LOADING)
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*usual)


async def _serve(settings: Settings, worker: WorkerPlace | None = None) -> None:
    with _loading():
        footprint.let_go()
        from gateway import app  # noqa: PLC0415 - a supervisor does without: 30 MB, and most of its start
    stop = StopSignals()
    reload = asyncio.Event()  # from the first moment on: by default SIGHUP ends a process
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.set)
    async with AsyncExitStack() as stack:
        control = None if worker is None else stack.enter_context(_control(worker, stop))
        sockets = None if worker is None else [socket.socket(fileno=one) for one in worker.sockets]
        gateway = await stack.enter_async_context(app.running(settings, sockets))
        if control is not None:
            control.send(LISTENING)
        stop.then = gateway.hurry
        stack.enter_context(_reloading(reload, gateway, worker, control))
        early = stop.first.done()  # nobody has been told yet that we are ready
        number = await stop.first
        # Ctrl-C is a person's, who waits for no load balancer
        await gateway.drain(propagation=number == signal.SIGTERM and not early)
    structlog.get_logger().info("stopped")


@contextmanager
def _reloading(
    wanted: asyncio.Event, gateway: Gateway, worker: WorkerPlace | None, control: socket.socket | None
) -> Iterator[None]:
    """Read the settings again whenever it is wanted, one reading after the other."""

    async def reload() -> None:
        while await wanted.wait():
            wanted.clear()
            took = await _reload(gateway, worker)
            if control is not None:
                control.send(RELOADED[took])

    task = asyncio.get_running_loop().create_task(reload())
    try:
        yield
    finally:
        task.cancel()


async def _reload(gateway: Gateway, worker: WorkerPlace | None) -> bool:
    """Put the settings of the file in force; where they cannot work, say why and keep those there are."""
    try:
        settings = await asyncio.to_thread(load)  # a file system may hang
        await gateway.reload(_own(settings, worker))
    except (SettingsError, composition.StartError) as error:
        structlog.get_logger().error("reload_refused", problems=error.problems)
        return False
    except Exception as error:  # noqa: BLE001 - a defect in one reading must not end all later ones
        structlog.get_logger().error("defect", task="reload", exc_info=error)
        return False
    configure_logging(settings, worker)
    return True


@contextmanager
def _control(worker: WorkerPlace, stop: StopSignals) -> Iterator[socket.socket]:
    """Drain when the supervisor is gone: nobody would start us again, or end us."""
    loop = asyncio.get_running_loop()
    with socket.socket(fileno=worker.control) as control:
        control.setblocking(False)  # noqa: FBT003 - the standard library's own signature

        def lost() -> None:
            loop.remove_reader(control)  # it never says anything: this is its end
            structlog.get_logger().error("supervisor_lost")
            stop.take(signal.SIGTERM)

        loop.add_reader(control, lost)
        try:
            yield control
        finally:
            loop.remove_reader(control)


async def _supervise(settings: Settings, workers: int) -> int:
    """Run the workers.

    Raises:
        StartError: the settings cannot work, which no worker need be started for.
        ListenError: an address cannot be listened on.
    """
    composition.build_router(settings)
    if workers > settings.max_concurrency:
        raise composition.StartError(
            [f"workers (GATEWAY_WORKERS): {workers} processes cannot share max_concurrency, which is less"]
        )
    for number in range(1, workers + 1):  # a worker that cannot have its port would be started for ever
        for one in addresses.listen_privately(settings.metrics.of_worker(number)):
            one.close()
    return await Supervisor(addresses.listen(settings), workers).run()
