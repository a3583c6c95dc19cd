"""One run: the parts that were asked for, one after the other, for the subjects that are there."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.benchmarks import first_byte, footprint, measure, scenarios, subjects, sustained
from tests.benchmarks.cpu import pinned
from tests.benchmarks.peers import LITELLM, PORTKEY
from tests.benchmarks.record import Record, about
from tests.benchmarks.subjects import BEFORE, GATEWAY, NAIVE, NGINX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.benchmarks.subjects import Cores, Starter

PARTS: Final = ("cpu", "first-byte", "sustained", "footprint")
MIN_REPETITIONS: Final = 3
_OWN: Final = (NAIVE, GATEWAY, NGINX, BEFORE)
"""Who is asked to hold a thousand streams, and timed: of the peers, a benchmark of hours would come of it."""
_QUICK_STEPS: Final = (200, 400, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. `scenario` is text in the names of the CPU scenarios; `repetitions` None: the usual."""

    starters: Mapping[str, Starter]
    parts: frozenset[str]
    scenario: str
    quick: bool
    repetitions: int | None
    command: str

    def times(self, usual: int) -> int:
        """Return how many repetitions."""
        return self.repetitions or (MIN_REPETITIONS if self.quick else usual)


async def run(plan: Plan, progress: Callable[[str], object]) -> Record:
    """Run it.

    Raises:
        StreamFailedError: a stream of a subject was not whole; no figure is worth anything then.
        StartError: a subject did not start.
    """
    cores = subjects.choose_cores()
    begun, busy = time.monotonic(), _machine_seconds()
    record = Record(about={})
    with pinned({cores.others}):
        if "footprint" in plan.parts:
            record.footprints.extend(await _footprints(plan, cores, progress))
        if plan.parts & {"cpu", "first-byte", "sustained"}:
            await _loads(plan, cores, record, progress)
    foreign = _machine_seconds() - busy - _own_seconds()
    record.about.update(about(plan.command, cores, list(plan.starters), _notes(plan, cores)))
    took = time.monotonic() - begun
    used = max(foreign, 0.0) / took
    record.about["notes"].append(
        f"It took {took / 60:.0f} minutes; other processes used {used:.0%} of a core meanwhile."
    )
    return record


async def _footprints(
    plan: Plan, cores: Cores, progress: Callable[[str], object]
) -> list[footprint.Footprint]:
    times = {name: plan.times(3) if name in _OWN else 1 for name in plan.starters}
    if plan.quick:
        times = dict.fromkeys(plan.starters, 1)
    streams = dict.fromkeys(_OWN, footprint.STREAMS)
    return await footprint.measure(plan.starters, cores, times, streams, progress)


async def _loads(plan: Plan, cores: Cores, record: Record, progress: Callable[[str], object]) -> None:
    async with subjects.started(list(plan.starters), cores, plan.starters) as (upstream, running):
        own = [subject for subject in running if subject.name in _OWN]
        if "cpu" in plan.parts:
            table = scenarios.QUICK if plan.quick else scenarios.DEFAULT
            chosen = [scenario for scenario in table if plan.scenario in scenario.name]
            samples = await measure.measure(upstream, running, chosen, plan.times(5), progress)
            record.samples.extend(samples)
        if "first-byte" in plan.parts:
            requests = 80 if plan.quick else 400
            seen = first_byte.measure(upstream, own, plan.times(3), requests, progress)
            record.first_bytes.extend(seen)
        if "sustained" in plan.parts:
            steps = _QUICK_STEPS if plan.quick else sustained.STEPS
            record.tries.extend(sustained.measure(upstream, own, steps, 2, progress))


def _notes(plan: Plan, cores: Cores) -> list[str]:
    notes = [f"Load average at the end: {', '.join(f'{load:.2f}' for load in os.getloadavg())}."]
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        notes.append("Everything ran with real-time priority (`chrt`), because others used the machine too.")
    if not cores.apart:
        notes.append("There is one core only: subject, emulator and callers shared it.")
    absent = [name for name in (NAIVE, GATEWAY, NGINX, LITELLM, PORTKEY) if name not in plan.starters]
    if absent:
        notes.append(f"Not measured, because not installed or not asked for: {', '.join(absent)}.")
    return notes


def _machine_seconds() -> float:
    """Return how long all cores together have worked."""
    with open("/proc/stat") as file:  # noqa: PTH123 - one line of it
        user, nice, system = map(int, file.readline().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Return how long we and all that we started and have seen end have worked."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
