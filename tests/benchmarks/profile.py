"""`python -m tests.benchmarks.profile FILE --us 233`: what py-spy saw, in µs of a request for each part.

    py-spy record --rate 1000 --format raw --pid PID --duration 20 --output FILE

of a gateway under a load of short streams; `--us` is what a request of that load costs by `tests.benchmarks`.
A sample belongs to the innermost function of ours. py-spy stops a process most easily at its system calls:
the parts that make them look larger than they are.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

PARTS: Final = (
    ("the caller: request, answer, their sockets", r"gateway/(server/(?!completions|formats)|tcp)"),
    ("body to request, records to bytes", r"gateway/(wire/(json|ndjson|sse)|dialects/|server/formats)"),
    (
        "request to Bedrock's body",
        r"gateway/(bedrock/routing|catalog/defaults|codecs/(turns|par|.*_request|blocks))",
    ),
    (
        "the call: signature, pool, socket, head, clocks",
        r"gateway/(bedrock/(?!reader|usual)|wire/(sigv4|http1)|deadline)",
    ),
    ("frames and events of the answer", r"gateway/(bedrock/(reader|usual)|wire/eventstream|codecs/|domain)"),
    ("admission, retries, breaker", r"gateway/(admission|retries|upstream)"),
    (
        "the pipeline's shell, times, cost, ids",
        r"gateway/(pipeline|timing|ids|catalog|server/completions|completion)",
    ),
    ("the log line and the metrics", r"gateway/(observability|monitoring)"),
)
"""Name and the files of each part; the first that fits counts."""
LOOP: Final = "asyncio and aiohttp, outside of ours: the loop, epoll, the parser, reads"
_OURS: Final = re.compile(r"\((gateway/[^:)]+)")


def parts(stacks: Iterable[str], us: float) -> list[tuple[str, float]]:
    """Return the µs of a request for each part, the largest first; `stacks` are py-spy's raw lines."""
    counts: Counter[str] = Counter()
    for line in stacks:
        stack, _, samples = line.rpartition(" ")
        if "(threading.py" not in stack:  # threads that wait are counted as if they ran
            counts[_part(stack)] += int(samples)
    whole = counts.total()
    return [(name, us * count / whole) for name, count in counts.most_common()]


def _part(stack: str) -> str:
    ours = [
        path
        for path in _OURS.findall(stack)
        if not path.startswith(("gateway/commands", "gateway/cli", "gateway/__"))
    ]
    if not ours:
        return LOOP
    return next((name for name, files in PARTS if re.match(files, ours[-1])), ours[-1])


def main(arguments: list[str] | None = None) -> int:
    """Print a row of Markdown for each part."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.profile", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--us", type=float, required=True, help="what a request costs")
    options = parser.parse_args(arguments)
    for name, cost in parts(options.file.read_text().splitlines(), options.us):
        sys.stdout.write(f"| {name} | {cost:.0f} |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
