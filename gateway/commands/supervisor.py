"""`serve --workers N`: one supervisor, N processes that serve from the same listening sockets.

The supervisor makes the sockets, and the workers inherit them: what waits in a socket is accepted by whoever
is there, so that a worker that ends loses nobody (with SO_REUSEPORT each would have a queue of its own, and
take it along). Workers are started by `exec`, never forked from a running loop. A socket pair ties each to
its supervisor: the worker says on it that it listens, and drains when it breaks, so that none is orphaned.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.settings import Settings

LISTENING: Final = b"listening\n"
"""What a worker says when it serves."""
RELOADED: Final = {True: b"reloaded\n", False: b"refused\n"}
"""What it says when it has read its settings again, and whether it took them."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
"""Before a worker that has ended by itself is started again: twice as long each time."""
STEADY_S: Final = 60.0
"""Who has lived so long has not crashed at its start: its next pause is the first again."""
MAX_BAD_STARTS: Final = 5
"""Ends in a row without one worker that ever listened, until the supervisor gives up."""
RELOAD_TIMEOUT_S: Final = 30.0
EXIT_CRASHING: Final = 70
"""`EX_SOFTWARE` of sysexits.h: the workers crash at their start."""
FATAL_CODES: Final = frozenset({69, 78})
"""Exit codes of a worker that starting again will not help: the address, the configuration."""


SHARED: Final = ("max_concurrency", "max_queue", "max_connections", "abandoned_max_answers")
"""Settings that count something: an operator means all workers together."""


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """Which of how many workers a process is, and the descriptors it has inherited."""

    number: int
    of: int
    control: int
    sockets: tuple[int, ...]

    def __str__(self) -> str:
        return ",".join(map(str, (self.number, self.of, self.control, *self.sockets)))

    @classmethod
    def parse(cls, text: str) -> WorkerPlace:
        """Read what `str` gives."""
        number, of, control, *sockets = map(int, text.split(","))
        return cls(number, of, control, tuple(sockets))

    def share(self, total: int) -> int:
        """Return this worker's part of a number that the operator means for all of them."""
        part, rest = divmod(total, self.of)
        return part + (self.number <= rest)

    def settings(self, settings: Settings) -> Settings:
        """Return the settings of this worker: its share of what is counted, its own port for metrics."""
        shares = {name: self.share(getattr(settings, name)) for name in SHARED}
        bodies = max(self.share(settings.max_bodies_bytes), settings.max_body_bytes)
        metrics = settings.metrics.of_worker(self.number)
        own = {"max_bodies_bytes": bodies, "metrics": metrics, "workers": self.of}
        return settings.model_copy(update={**shares, **own})


class Supervisor:
    """Starts workers, starts those again that end by themselves, and passes signals on."""

    def __init__(self, sockets: Sequence[socket.socket], workers: int) -> None:
        self._sockets = list(sockets)
        self._count = workers
        self._workers: dict[int, _Worker] = {}
        self._stopping = asyncio.Event()
        self._given_up = 0
        self._bad_starts = 0
        self._listened = False
        self._reloading = asyncio.Lock()

    async def run(self) -> int:
        """Supervise until a signal, or until the workers cannot start; return the exit code."""
        loop = asyncio.get_running_loop()
        for stop in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(stop, self._stop, stop)
        async with asyncio.TaskGroup() as group:
            loop.add_signal_handler(signal.SIGHUP, lambda: group.create_task(self._reload()))
            for number in range(1, self._count + 1):
                group.create_task(self._keep(number))
        structlog.get_logger().info("stopped", workers=self._count)
        return self._given_up

    def _stop(self, number: signal.Signals) -> None:
        """Pass the signal on; a second one hurries the workers."""
        structlog.get_logger().info("stopping", signal=number.name)
        self._end(number)

    def _end(self, number: signal.Signals) -> None:
        self._stopping.set()
        for one in self._sockets:
            one.close()  # or the kernel would take callers whom no worker accepts any more
        for worker in self._workers.values():
            worker.signal(number)

    async def _keep(self, number: int) -> None:
        """Keep one worker running."""
        pause = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._run(number)
            if self._stopping.is_set() or self._hopeless(code):
                return
            pause = FIRST_PAUSE_S if loop.time() - started > STEADY_S else pause
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _run(self, number: int) -> int:
        """Run one worker; return its exit code, `EXIT_CRASHING` where it could not even be started."""
        try:
            worker = await _Worker.start(number, self._count, self._sockets)
        except OSError as error:  # too many processes or files just now: the other workers serve on
            structlog.get_logger().error("worker_not_started", worker=number, reason=error.strerror)
            return EXIT_CRASHING
        self._workers[number] = worker
        if self._stopping.is_set():  # while it was being started
            worker.signal(signal.SIGTERM)
        code = await self._until_end(worker)
        del self._workers[number]
        if not self._stopping.is_set():
            structlog.get_logger().error("worker_ended", worker=number, pid=worker.pid, exit_code=code)
        return code

    async def _until_end(self, worker: _Worker) -> int:
        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(self._hear(worker))
            code = await worker.process.wait()
            await hearing  # to its last word
        worker.close()
        return code

    async def _hear(self, worker: _Worker) -> None:
        while word := await worker.hear():
            if word == LISTENING:
                self._listened = worker.listened = True
                structlog.get_logger().info("worker_listening", worker=worker.number, pid=worker.pid)
            else:
                worker.reloaded(took=word == RELOADED[True])

    def _hopeless(self, code: int) -> bool:
        """Give up where no worker has ever served, and none will."""
        if self._listened:
            return False
        self._bad_starts += 1
        if code not in FATAL_CODES and self._bad_starts < MAX_BAD_STARTS:
            return False
        self._given_up = code if code in FATAL_CODES else EXIT_CRASHING
        self._end(signal.SIGTERM)
        return True

    async def _reload(self) -> None:
        """Let the workers read their settings again, one after the other, until one refuses them."""
        async with self._reloading:
            for number in sorted(self._workers):
                worker = self._workers.get(number)
                if worker is None or not worker.listened:
                    continue
                if not await worker.reload():
                    structlog.get_logger().error("reload_stopped", worker=number)
                    return


class _Worker:
    """One worker process."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self.number = number
        self.process = process
        self.listened = False
        self._control = control
        self._buffer = b""
        self._answer: asyncio.Future[bool] | None = None

    @classmethod
    async def start(cls, number: int, of: int, sockets: Sequence[socket.socket]) -> _Worker:
        """Start the worker of this number.

        Raises:
            OSError: there is no process or no descriptor to be had.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        with theirs, ExitStack() as failed:
            failed.callback(ours.close)
            place = WorkerPlace(number, of, theirs.fileno(), tuple(one.fileno() for one in sockets))
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve", "--worker-place", str(place)),
                pass_fds=(place.control, *place.sockets),
                stdin=asyncio.subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the supervisor, which passes it on
            )
            failed.pop_all()
        return cls(number, process, ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def hear(self) -> bytes:
        """Return its next word; empty when it has ended."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._buffer:
            try:
                data = await loop.sock_recv(self._control, 1024)
            except ConnectionError:
                data = b""
            if not data:
                return b""
            self._buffer += data
        word, _, self._buffer = self._buffer.partition(b"\n")
        return word + b"\n"

    async def reload(self) -> bool:
        """Let it read its settings again; return whether it took them, True where it has ended meanwhile."""
        self._answer = asyncio.get_running_loop().create_future()
        self.signal(signal.SIGHUP)
        try:
            async with asyncio.timeout(RELOAD_TIMEOUT_S):
                return await self._answer
        except TimeoutError:
            return False
        finally:
            self._answer = None

    def reloaded(self, *, took: bool) -> None:
        """Its answer to SIGHUP has come."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(took)

    def close(self) -> None:
        """It has ended."""
        self.reloaded(took=True)
        self._control.close()
