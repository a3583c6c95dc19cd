"""`python -m tests.lifecycle.rolling`: a rolling restart behind a proxy under load, and what became of it.

Prints one JSON object. Each round restarts every gateway, one after the other: SIGTERM, its end, its start,
its readiness. With `--kills N` the gateways are then killed in turn with SIGKILL, N times. With `--nginx` the
proxy is nginx instead of HAProxy, and nothing is killed: nginx does not say whom it takes for usable.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.reverse_proxies import NAMES, nginx
from tests.lifecycle.load import Ledger, load, struck
from tests.lifecycle.processes import Replica, balanced, emulator, environment, seen
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

REPLICAS = 3
CALLERS = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the requests, of the restarts and of the kills."""

    rolling: Ledger
    killing: Ledger
    killed: list[str]
    exit_codes: list[int]
    seconds: float

    def figures(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "restarts": len(self.exit_codes),
            "exit_codes": Counter(map(str, self.exit_codes)),
            "rolling": _figures(self.rolling),
            "kills": len(self.killed),
            "killing": _figures(self.killing),
            "seconds": round(self.seconds, 1),
        }


def _figures(ledger: Ledger) -> dict[str, object]:
    return {
        "requests": ledger.requests,
        "whole": dict(ledger.whole),
        "served_by": dict(ledger.served_by),
        "failed": len(ledger.failures),
        "silent": len(ledger.silent),
        "reasons": Counter(f"{one.kind}: {one.reason} ({one.server})" for one in ledger.failures),
    }


async def roll(*, rounds: int, kills: int, callers: int = CALLERS) -> Outcome:
    """Restart and kill gateways behind HAProxy under load."""
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        replicas = await _started(stack)
        balancer = stack.enter_context(balanced(replicas))
        async with load(balancer.url, callers) as rolling:
            for _ in range(rounds):
                for replica in replicas:
                    await replica.restart()
                    await seen(balancer.operators_url, replica.name, up=True)
        killed = [replicas[number % REPLICAS] for number in range(kills)]
        async with load(balancer.url, callers) as killing:
            for replica in killed:
                killing.failures.append(await struck(balancer.url, replica.name, replica.kill))
                await seen(balancer.operators_url, replica.name, up=False)
                await replica.start()
                await seen(balancer.operators_url, replica.name, up=True)
        codes = [code for replica in replicas for code in replica.exit_codes]
        return Outcome(rolling, killing, [one.name for one in killed], codes, time.monotonic() - started)


async def _started(stack: AsyncExitStack) -> list[Replica]:
    bedrock = await stack.enter_async_context(emulator())
    replicas = [Replica(name, environment(bedrock, GATEWAY_PORT=str(free_port()))) for name in NAMES]
    for replica in replicas:
        stack.push_async_callback(replica.close)
    await asyncio.gather(*(replica.start() for replica in replicas))
    return replicas


async def roll_behind_nginx(folder: Path, *, rounds: int, callers: int = CALLERS) -> Outcome:
    """Restart gateways behind nginx under load.

    It learns that a gateway is there again when it tries, 2 s after the last refusal: the next gateway to be
    ended says only later that it is going, and listens for longer.
    """
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        replicas = await _started(stack)
        url = stack.enter_context(nginx([one.url for one in replicas], folder))
        async with load(url, callers) as rolling:
            for _ in range(rounds):
                for replica in replicas:
                    await replica.restart()
        codes = [code for replica in replicas for code in replica.exit_codes]
        return Outcome(rolling, Ledger(), [], codes, time.monotonic() - started)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, print the figures, and return 0 where no request failed in the restarts, and none silently."""
    parser = argparse.ArgumentParser(prog="python -m tests.lifecycle.rolling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--callers", type=int, default=CALLERS)
    parser.add_argument("--nginx", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rolling = (
            roll_behind_nginx(Path(folder), rounds=options.rounds, callers=options.callers)
            if options.nginx
            else roll(rounds=options.rounds, kills=options.kills, callers=options.callers)
        )
        outcome = asyncio.run(rolling)
    sys.stdout.write(json.dumps(outcome.figures(), indent=2) + "\n")
    return 1 if outcome.rolling.failures or outcome.killing.silent else 0


if __name__ == "__main__":
    sys.exit(main())
