"""`python -m tests.comparison`: this gateway and others, the same streams with the same faults, one table.

LiteLLM and Portkey are installed, pinned, into a folder of their own outside the repository, by pip and npm
as they are set up here, and run with an environment in which nothing of this machine's is left. Takes about
ten minutes: most of it is waiting for retries, and for calls that nobody ended.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import orjson

from tests.comparison import packages, report
from tests.comparison.processes import StartError
from tests.comparison.run import compare
from tests.comparison.scenarios import SCENARIOS
from tests.comparison.subjects import Gateway, LiteLlm, Portkey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.comparison.subjects import Peer

HERE = Path(__file__).resolve().parent
TABLE = HERE / "TABLE.md"
TRANSCRIPTS = HERE / "transcripts.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, write both files, and return the exit code: 1 where a gateway could not be had or run."""
    options = _parser().parse_args(arguments)
    if not options.render:
        try:
            document = _run(options)
        except (packages.PackageError, StartError, TimeoutError) as error:
            sys.stderr.write(f"no comparison: {str(error) or 'it took too long'}\n")
            return 1
        options.json.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    table = report.table(orjson.loads(options.json.read_bytes()))
    options.table.write_text(table)
    sys.stdout.write(table)
    return 0


def _run(options: argparse.Namespace) -> dict[str, Any]:
    """Return the document of a run.

    Raises:
        PackageError: a gateway cannot be had.
        StartError: one did not start.
        TimeoutError: it takes too long.
    """
    options.packages.mkdir(parents=True, exist_ok=True)
    peers: list[Peer] = [Gateway()]
    versions = {"python": platform.python_version()}
    more = {}
    if "litellm" in options.peers:
        command = packages.litellm(options.packages, options.litellm)
        peers.append(LiteLlm(command))
        versions["LiteLLM"] = options.litellm
        more["litellm_environment"] = packages.frozen(command)
    if "portkey" in options.peers:
        peers.append(Portkey(packages.portkey(options.packages)))
        versions["Portkey"] = packages.PORTKEY
    scenarios = [scenario for scenario in SCENARIOS if options.only in scenario.name]
    with TemporaryDirectory(prefix="gateway-comparison-") as scratch:
        cells = asyncio.run(compare(peers, scenarios, Path(scratch), _progress))
    return report.document(cells, peers, versions, hidden=str(options.packages), **more)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=report.COMMAND, description=__doc__)
    parser.add_argument("--peers", nargs="*", choices=("litellm", "portkey"), default=["litellm", "portkey"])
    parser.add_argument("--litellm", default=packages.LITELLM, metavar="VERSION", help="default %(default)s")
    parser.add_argument(
        "--packages",
        type=Path,
        default=packages.default_folder(),
        metavar="FOLDER",
        help="where they are installed",
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="rows with TEXT in their name")
    parser.add_argument(
        "--render", action="store_true", help="run nothing: make the table from the transcripts"
    )
    parser.add_argument("--table", type=Path, default=TABLE, metavar="FILE")
    parser.add_argument("--json", type=Path, default=TRANSCRIPTS, metavar="FILE")
    return parser


def _progress(line: str) -> None:
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {line}\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended too
    sys.exit(main())
