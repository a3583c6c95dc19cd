"""`python -m tests.overload.far_end`: an emulator whose capacity nobody is told, in a process of its own.

SIGUSR1 moves the capacity on to the next one; SIGTERM ends it. It says where it listens in one line of JSON,
and in another, at the end, what it saw.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
from collections import Counter
from typing import Any

import orjson

from gateway.emulator import Emulator


def say(record: dict[str, Any]) -> None:
    """Write a line of JSON at once."""
    sys.stdout.write(orjson.dumps(record).decode() + "\n")
    sys.stdout.flush()


class Watch:
    """Moves the capacity, and looks at what is in use ten times a second."""

    def __init__(self, emulator: Emulator, capacities: list[int]) -> None:
        self._emulator = emulator
        self._left = capacities
        self.phases: list[dict[str, Any]] = []
        self.ended = asyncio.Event()
        self.move()

    def move(self) -> None:
        """Go on to the next capacity, if there is one."""
        if self._left:
            self._emulator.capacity.limit = self._left.pop(0)
            self.phases.append({"capacity": self._emulator.capacity.limit, "taken": []})

    async def look(self) -> None:
        """Take samples until the end."""
        while not self.ended.is_set():
            if self.phases:
                self.phases[-1]["taken"].append(self._emulator.capacity.taken)
            await asyncio.sleep(0.1)

    def account(self) -> dict[str, Any]:
        """Return what was seen; `used` is the mean share of a capacity in the second half of its time."""
        outcomes = Counter(
            "throttled" if call.status == 429 else call.outcome for call in self._emulator.calls
        )
        phases = [
            {
                "capacity": phase["capacity"],
                "used": round(
                    statistics.fmean(phase["taken"][len(phase["taken"]) // 2 :]) / phase["capacity"], 3
                ),
            }
            for phase in self.phases
        ]
        return {"calls": dict(outcomes), "peak": self._emulator.peak_active, "phases": phases}


async def main(capacities: list[int]) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    async with Emulator() as emulator:
        watch = Watch(emulator, capacities)
        loop.add_signal_handler(signal.SIGTERM, watch.ended.set)
        loop.add_signal_handler(signal.SIGUSR1, watch.move)
        say({"url": emulator.url})
        await watch.look()
        await asyncio.sleep(0.5)  # what the gateway broke off has come to its end here
        say(watch.account())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.overload.far_end", description=__doc__)
    parser.add_argument("capacities", type=int, nargs="*", help="calls at once; none for any number")
    asyncio.run(main(parser.parse_args().capacities))
