"""`python -m tests.benchmarks.inside REPORT serve ...`: the gateway's command line, measured from within.

SIGUSR2 lets it write REPORT: every callback of the event loop, and every collection of garbage, above half a
millisecond of CPU; and, by file, what was allocated since SIGUSR1 and is still there.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from gateway import cli

LEAST_S: Final = 0.000_5
"""CPU seconds below which a callback is nothing to tell of."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something during which the loop did nothing else, from a moment of `time.monotonic` on."""

    moment: float
    cpu_s: float
    what: str


class Watch:
    """Notes what the loop takes long for, by the CPU time of its thread."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._collecting = 0.0

    def install(self) -> None:
        """Watch the event loop and the collector from now on."""
        run = asyncio.Handle._run  # where every callback and every step of a task passes
        note = self._note

        def watched(handle: asyncio.Handle) -> None:
            moment, start = time.monotonic(), time.thread_time()
            run(handle)
            taken = time.thread_time() - start
            if taken >= LEAST_S:
                note(moment, taken, _name(handle))

        asyncio.Handle._run = watched  # type: ignore[assignment,method-assign]
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        now = time.thread_time()
        if phase == "start":
            self._collecting = now
        elif now - self._collecting >= LEAST_S:
            what = f"collection of generation {info['generation']}"
            self._note(time.monotonic(), now - self._collecting, what)

    def _note(self, moment: float, taken: float, what: str) -> None:
        self.steps.append(Step(moment, taken, what))


def _name(handle: Any) -> str:
    callback = handle._callback
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return f"task {getattr(owner.get_coro(), '__qualname__', owner.get_name())}"
    return str(getattr(callback, "__qualname__", callback))


def allocated() -> dict[str, int]:
    """Return the bytes that were allocated since tracing began and are still there, by file."""
    if not tracemalloc.is_tracing():
        return {}
    gc.collect()
    found = tracemalloc.take_snapshot().statistics("filename")
    return {statistic.traceback[0].filename: statistic.size for statistic in found}


def main() -> int:
    """Run the command line behind REPORT; return its exit code."""
    report, *arguments = sys.argv[1:]
    watch = Watch()

    def write(*_: object) -> None:
        document = {"steps": [asdict(step) for step in watch.steps], "allocated": allocated()}
        whole = Path(f"{report}.part")
        whole.write_bytes(orjson.dumps(document))
        whole.rename(report)

    signal.signal(signal.SIGUSR1, lambda *_: tracemalloc.start())
    signal.signal(signal.SIGUSR2, write)
    watch.install()
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
