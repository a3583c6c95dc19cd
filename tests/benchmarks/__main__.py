"""`python -m tests.benchmarks`: what a request and a delta cost in CPU time, beside others under equal load.

Subjects share one core, one at a time; the emulator and the callers share another. Wall time decides
nothing here: the machine may be busy, and a figure is worth its range.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from tests.benchmarks import report, scenarios, subjects
from tests.benchmarks.cpu import pinned
from tests.benchmarks.load import StreamFailedError
from tests.benchmarks.measure import measure, results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.measure import Sample
    from tests.benchmarks.scenarios import Scenario

MIN_REPETITIONS = 3
REPETITIONS = 7


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and return the exit code: 1 if a stream failed."""
    options = _parser().parse_args(arguments)
    repetitions = options.repetitions or (MIN_REPETITIONS if options.quick else REPETITIONS)
    if repetitions < MIN_REPETITIONS:
        _parser().error(f"a median takes {MIN_REPETITIONS} repetitions at least")
    cores = subjects.choose_cores()
    names = [name for name in subjects.STARTERS if name != subjects.NGINX or subjects.nginx_binary()]
    notes = _notes(cores, names)
    table = scenarios.QUICK if options.quick else scenarios.DEFAULT
    try:
        samples = asyncio.run(_samples(names, table, cores, repetitions))
    except StreamFailedError as error:
        sys.stderr.write(f"a stream failed, so nothing was measured: {error}\n")
        return 1
    figures = results(samples)
    sys.stdout.write(f"{report.table(figures)}\n\n")
    sys.stdout.writelines(f"{note}\n" for note in notes)
    if options.json is not None:
        document = report.document(figures, samples, cores, notes)
        options.json.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, for a first look")
    parser.add_argument("--repetitions", type=int, help=f"default {REPETITIONS}, quick {MIN_REPETITIONS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    return parser


async def _samples(
    names: Sequence[str], table: Sequence[Scenario], cores: subjects.Cores, repetitions: int
) -> list[Sample]:
    with pinned({cores.others}):
        async with subjects.started(names, cores) as running:
            return await measure(running, table, repetitions, _progress)


def _notes(cores: subjects.Cores, names: Sequence[str]) -> list[str]:
    notes = [f"Load average at the start: {', '.join(f'{load:.2f}' for load in os.getloadavg())}."]
    if not cores.apart:
        notes.append("There is one core only: subject, emulator and callers shared it.")
    if subjects.NGINX not in names:
        notes.append("nginx is not installed (no such binary in PATH), so it was left out.")
    return notes


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
