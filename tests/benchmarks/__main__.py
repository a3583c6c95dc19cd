"""`python -m tests.benchmarks`: what this gateway costs, beside others under equal load, in one run.

Subjects share one core, one at a time; the emulator and the callers share another. What decides is CPU time
and ratios within the run: the machine may be busy, and a figure is worth its range. LiteLLM and Portkey take
part once `python -m tests.benchmarks install` has installed them, outside the repository.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import peers, publication, report, run, subjects
from tests.benchmarks.load import StreamFailedError
from tests.comparison import packages
from tests.comparison.processes import StartError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = "python -m tests.benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and return the exit code: 1 if a stream failed, or a gateway could not be had or run."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments)
    try:
        if options.action == "install":
            peers.install(options.packages)
            return 0
        if options.action == "render":
            publication.render()
            return 0
        record = asyncio.run(run.run(_plan(options, arguments), _progress))
    except StreamFailedError as error:
        sys.stderr.write(f"a stream failed, so nothing was measured: {error}\n")
        return 1
    except (packages.PackageError, StartError, TimeoutError) as error:
        sys.stderr.write(f"no benchmark: {str(error) or 'a process took too long'}\n")
        return 1
    sys.stdout.write(report.markdown(record))
    sys.stdout.writelines(f"{note}\n" for note in record.about["notes"])
    if options.json is not None:
        options.json.write_bytes(record.encode())
    if options.publish:
        publication.publish(record)
    return 0


def _plan(options: argparse.Namespace, arguments: Sequence[str]) -> run.Plan:
    starters = {**subjects.available(options.against), **peers.installed(options.packages)}
    missing = set(options.subjects or ()) - set(starters)
    if missing:
        _parser().error(f"not installed: {', '.join(sorted(missing))}; see `{COMMAND} install`")
    return run.Plan(
        starters={name: start for name, start in starters.items() if name in (options.subjects or starters)},
        parts=frozenset(options.parts),
        scenario=options.scenario,
        quick=options.quick,
        repetitions=options.repetitions,
        command=_shown(arguments),
    )


def _shown(arguments: Sequence[str]) -> str:
    """Return the command without the folders of this machine."""
    words = [*COMMAND.split(), *arguments]
    places = {words.index(option) for option in ("--json", "--packages", "--against") if option in words}
    return shlex.join(word for at, word in enumerate(words) if at not in places and at - 1 not in places)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("action", nargs="?", choices=("run", "install", "render"), default="run")
    parser.add_argument(
        "--quick", action="store_true", help="fewer and shorter runs: two minutes, not twelve"
    )
    parser.add_argument("--parts", nargs="+", choices=run.PARTS, default=run.PARTS)
    parser.add_argument("--subjects", nargs="+", metavar="NAME", help="default: all that are installed")
    parser.add_argument(
        "--scenario", default="", metavar="TEXT", help="CPU scenarios with TEXT in their name"
    )
    parser.add_argument("--repetitions", type=int, choices=range(run.MIN_REPETITIONS, 100), metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured there")
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write RESULTS.md, its plot and its JSON; `render` does it anew",
    )
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="another commit's gateway takes part, as `before`"
    )
    parser.add_argument("--packages", type=Path, default=packages.default_folder(), metavar="FOLDER")
    return parser


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended too
    sys.exit(main())
