"""`python -m tests.fuzz TARGET…`: look for inputs that break a law, for a bounded time (reliability.md R68).

With atheris in the environment the search is guided by what an input covers; without it, mutations are blind.
The exit code is 1 after a finding, whose input is written to a file.
"""

from __future__ import annotations

import argparse
import importlib
import io
import subprocess
import sys
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fuzz.engine import Budget, CaseError, attempt, blind, minimised, written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.fuzz.target import Target

MODULES = {
    "eventstream": "tests.fuzz.eventstream",
    "readers": "tests.fuzz.readers",
    "requests": "tests.fuzz.requests",
    "encoders": "tests.fuzz.encoders",
    "http": "tests.fuzz.http",
    "http1": "tests.fuzz.http1",
}
DEFAULT_SECONDS = 60.0
FOLDER = Path("build") / "fuzz"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz, and return the exit code: 1 after a finding."""
    options = _parser().parse_args(arguments)
    names = list(MODULES) if "all" in options.target else options.target
    if len(names) > 1:
        return max([_in_its_own_process(name, options) for name in names])
    atheris = None if options.blind or options.input else _atheris()
    with (
        nullcontext() if atheris is None else atheris.instrument_imports(include=["gateway"]),
        redirect_stderr(io.StringIO()),  # it names every module
    ):
        target: Target = importlib.import_module(MODULES[names[0]]).TARGET
    with target.opened() as run:
        if options.input is not None:
            return _again(target, run, options)
        return _fuzz(target, run, options, atheris)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="+", choices=[*MODULES, "all"])
    time = parser.add_mutually_exclusive_group()
    time.add_argument("--seconds", type=float, help=f"wall time; {DEFAULT_SECONDS:g} if no bound is given")
    time.add_argument("--cpu-seconds", type=float)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blind", action="store_true", help="do not use atheris")
    parser.add_argument("--no-recordings", action="store_true", help="begin with the repository's data only")
    parser.add_argument("--input", type=Path, help="run this file once, instead of looking for others")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where corpus and findings go")
    return parser


def _atheris() -> Any:
    try:
        return importlib.import_module("atheris")
    except ModuleNotFoundError:
        sys.stderr.write("atheris is not installed, so the search is blind (CONTRIBUTING.md says more)\n")
        return None


def _fuzz(target: Target, run: Callable[[bytes], None], options: argparse.Namespace, atheris: Any) -> int:
    wall = DEFAULT_SECONDS if options.seconds is None and options.cpu_seconds is None else options.seconds
    budget = Budget(seconds=wall, cpu_seconds=options.cpu_seconds)
    seeds = [*target.kept(), *target.seeds()]
    seeds += [] if options.no_recordings else target.recorded()
    folder = options.folder.absolute() / target.name
    if atheris is not None:
        from tests.fuzz.coverage_guided import guided  # noqa: PLC0415 - only where atheris is

        guided(atheris, target, run, seeds, options.seed, budget, folder)
    try:
        executions = blind(target, run, seeds, options.seed, budget)
    except CaseError as case:
        sys.stdout.write(written(minimised(run, case), target.name, options.seed, folder))
        return 1
    sys.stdout.write(
        f"{target.name}: no finding in {executions} executions, {budget.used()}, seed {options.seed}; blind\n"
    )
    return 0


def _again(target: Target, run: Callable[[bytes], None], options: argparse.Namespace) -> int:
    try:
        attempt(run, options.input.read_bytes())
    except CaseError as case:
        sys.stdout.write(written(case, target.name, options.seed, options.folder / target.name))
        return 1
    sys.stdout.write(f"{target.name}: {options.input} breaks no law\n")
    return 0


def _in_its_own_process(name: str, options: argparse.Namespace) -> int:
    """Run one target; libFuzzer can be had once per process."""
    command = [sys.executable, "-m", "tests.fuzz", name, "--seed", str(options.seed)]
    command += ["--folder", str(options.folder)]
    for flag in ("seconds", "cpu_seconds"):
        if getattr(options, flag) is not None:
            command += [f"--{flag.replace('_', '-')}", str(getattr(options, flag))]
    command += [
        f"--{flag.replace('_', '-')}" for flag in ("blind", "no_recordings") if getattr(options, flag)
    ]
    return min(1, subprocess.run(command, check=False).returncode)  # noqa: S603 - ourselves


if __name__ == "__main__":
    sys.exit(main())
