"""`python -m tests.simulation --seeds 1000`: many seeds of the simulation; the first that fails is told.

What fails once fails always: the seed decides everything.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from typing import Final

from tests.simulation.world import Mode, simulate

MODES: Final[tuple[Mode, ...]] = ("safety", "liveness")


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--mode", choices=MODES, help="default: both")
    options = parser.parse_args(arguments)
    coverage: Counter[tuple[str, str]] = Counter()
    started = time.monotonic()
    for seed in range(options.seed, options.seed + options.seeds):
        for mode in MODES if options.mode is None else (options.mode,):
            try:
                coverage += simulate(seed, mode)
            except BaseException:  # noqa: BLE001 - a deadlock too is a finding
                traceback.print_exc()
                print(f"\nagain: python -m tests.simulation --seeds 1 --seed {seed} --mode {mode}")  # noqa: T201
                return 1
    for (fault, end), count in sorted(coverage.items()):
        print(f"{count:8}  {fault:14} {end}")  # noqa: T201 - a command
    spent = time.monotonic() - started
    print(f"{options.seeds} seeds, {sum(coverage.values())} requests, {spent:.1f} s: no finding")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
