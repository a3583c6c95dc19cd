"""What the process holds at a moment: what a leak would show in."""

from __future__ import annotations

import asyncio
import gc
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.app import Gateway

PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True, slots=True)
class Holdings:
    """Counts of one moment; `rss_kib` is the whole process's."""

    slots: int
    waiting: int
    upstream: int
    """Connections taken out of the pool."""
    idle: int
    """Connections in the pool that wait for use; each has a task at the emulator's end."""
    tasks: int
    descriptors: int
    rss_kib: int

    def settled(self, before: Holdings) -> bool:
        """Whether nothing is held that was not held before; a pool may keep idle connections."""
        held = (self.slots, self.waiting, self.upstream)
        return held == (0, 0, 0) and self.tasks - self.idle <= before.tasks - before.idle

    def report(self) -> dict[str, Any]:
        """Return it for a report."""
        return asdict(self)


def holdings(gateway: Gateway) -> Holdings:
    """Return what is held now."""
    https = [target.client.pool._http for target in gateway.targets.values()]
    connectors = [session.connector for http in https for session in http._sessions.values()]
    return Holdings(
        slots=gateway.limiter.running,
        waiting=gateway.limiter.waiting,
        upstream=sum(len(connector._acquired) for connector in connectors),
        idle=sum(len(idle) for connector in connectors for idle in connector._conns.values()),
        tasks=len(asyncio.all_tasks()),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        rss_kib=int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KIB,
    )


async def at_rest(gateway: Gateway, before: Holdings, seconds: float = 30.0) -> Holdings:
    """Return what is held once everything has been given back, or after so many seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not (now := holdings(gateway)).settled(before) and loop.time() < until:  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(0.02)
    gc.collect()
    return now
