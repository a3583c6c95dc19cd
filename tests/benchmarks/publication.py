"""What is published beside this module: RESULTS.md and its plot, made from results.json and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks import plot, report
from tests.benchmarks.record import decode

if TYPE_CHECKING:
    from tests.benchmarks.record import Record

HERE: Final = Path(__file__).resolve().parent
JSON: Final = HERE / "results.json"
TABLE: Final = HERE / "RESULTS.md"
PLOT: Final = HERE / "results.svg"
OPENING: Final = """\
# What the gateway costs

Written by `python -m tests.benchmarks --publish` from [results.json](results.json), which has every sample.

![CPU time of a request and of a delta](results.svg)

"""
CLOSING: Final = """\
## How it is measured

- **CPU time**, user and system, of the subject's process and its children. A scenario is run with answers of
  different lengths; the line of least (relative) squares through the medians gives *a request* and *a delta*.
  Subjects take turns within each repetition, and another one begins each time.
- Subjects run on one core, one at a time; emulator and callers on another. Every stream is read to its end
  and checked: one that is not whole fails the run.
- **naive** is [what one writes first](naive.py) with aiohttp and aiobotocore: the SDK's event iterator, one
  write an event, and no admission, deadlines, log or validation. **nginx** passes Bedrock's bytes and does
  not translate. **gateway** has its full feature set on and its defaults but for `max_concurrency` 2000.
  LiteLLM and Portkey are configured as in [the comparison](../comparison/TABLE.md), and asked by Converse.
- **before**, where it is in the tables, is the gateway of another commit (`--against`), under the same load.
- The peers are warmed up as well: Portkey by 3,000 requests, after which its compiler has done its work.
- **Paced** scenarios run at 50 streams (5 ms: 20; one with 4). *Reads a delta* near 1 says that callers got
  each delta by itself, so nothing was put together on the way to them. What does depend on the number of
  streams is how many sockets one turn of the event loop finds ready, which makes many streams cheaper than
  few for everybody: that is what the row with 4 streams is for. What a *request* costs is only the
  intercept there, a small part of long runs on a noisy clock, and may even be negative: take it from the
  rows in one write.
- **Time to the first text** is wall time on the callers' clock; what is added is against asking the emulator
  directly in the same repetition. One caller asks at random moments while 31 others stream.
- **Sustained** is the largest number of streams at which every frame of two answers a stream arrives, and
  nobody waits longer than 200 ms for anything, the first byte included; each step may be tried twice.
- **1,000 open streams** say something each second; memory is that of the process tree over idle, before its
  first request.
"""


def publish(record: Record) -> None:
    """Keep the record, and write what is made from it."""
    JSON.write_bytes(record.encode())
    render()


def render() -> None:
    """Write what is made from the record that is kept."""
    record = decode(JSON.read_bytes())
    TABLE.write_text(markdown(record))
    PLOT.write_text(plot.svg(record))


def markdown(record: Record) -> str:
    """Return RESULTS.md."""
    machine, versions = record.about["machine"], record.about["versions"]
    lines = [
        OPENING,
        f"- date: {record.about['date']}",
        f"- command: `{record.about['command']}`",
        f"- machine: {machine['cores']} × {machine['cpu']}, {machine['kernel']}",
        f"- the subject on core {machine['subject_core']}, all else on core {machine['other_core']}",
        f"- versions: {', '.join(f'{name} {number}' for name, number in versions.items())}",
        *(f"- {note}" for note in record.about["notes"]),
        "",
        report.markdown(record),
        CLOSING,
    ]
    return "\n".join(lines)
