"""What a process and its living children have used: CPU time and memory, by the kernel's own account."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

_SCHEDULER_CLOCK = 2
_KIB = 1024


class Memory(NamedTuple):
    """In bytes: what is resident, and that with each shared page divided by those who share it."""

    rss: int
    pss: int


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that a process and its living children have used.

    This is the clock that `/proc/<pid>/stat` shows in ticks of 10 ms, read in nanoseconds: the id is what
    `clock_getcpuclockid(3)` computes.
    """
    return sum(time.clock_gettime((~one << 3) | _SCHEDULER_CLOCK) for one in _tree(pid))


def memory(pid: int) -> Memory:
    """Return what a process and its living children hold."""
    fields = [_rollup(one) for one in _tree(pid)]
    return Memory(rss=sum(one["Rss"] for one in fields) * _KIB, pss=sum(one["Pss"] for one in fields) * _KIB)


def _rollup(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(words.split()[0]) for name, _, words in (line.partition(":") for line in lines)}


def _tree(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [pid, *(one for child in children for one in _tree(child))]
