"""Print the table of faults and phases as Markdown: `python -m tests.faults.table` writes it to TABLE.md.

It is made from the rules that the tests check; each cell names its test, and a test finds a stale file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.faults.matrix import FAULTS, PHASES, expected, name_of_test
from tests.harness import CLAUDE, NOVA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.matrix import Fault, Phase

TABLE: Final = Path(__file__).with_name("TABLE.md")
TEST: Final = "test_matrix.py"
MODELS: Final = {
    CLAUDE: "Claude, through InvokeModelWithResponseStream",
    NOVA: "Nova, through ConverseStream",
}
OPENING: Final = """\
# What a caller gets when something fails

Written by `python -m tests.faults.table` from the rules in [matrix.py](matrix.py). Every cell links to its
test and names it: the test provokes the cell in all four formats, directly and through the real nginx
with what it does by default and HAProxy as `deploy/` has it (Nova: directly), with retries off. What retries
heal, that is, what stands in the columns before *opening* and may pass, is in
[test_healed.py](test_healed.py).

| a cell says | NDJSON and SSE | bare text | unary |
|---|---|---|---|
| a number: **429** `upstream_throttled` | that HTTP status, an error object | the same | the same |
| **error** `upstream_throttled` | 200, what was good, one `error` last | the transfer breaks | its status |
| done | 200, one `done` last | 200 and a proper end | 200 |
| – | there can be no such cell: see below | | |

Never `done` for a fault, never an end without `done` or `error`. The log line of each failed request has the
same code, and as `phase` where it failed: `connect`, `head` (until a status comes), `first_byte`, `stream`.

Bare text has no room for an error, so its transfer breaks: a missing last chunk in HTTP/1.1, a reset in
HTTP/1.0, which is what nginx speaks to a gateway by default. Both proxies pass it on as a broken transfer.
Only where the gateway's process is killed can bare text look whole behind such an nginx; the other formats
then lack their terminal record.
"""


def markdown() -> str:
    """Return the whole file."""
    return (
        "\n".join([OPENING, *_phases(), *(line for model in MODELS for line in _of(model)), *_faults()])
        + "\n"
    )


def _phases() -> Iterator[str]:
    yield "| phase of Bedrock's answer | meaning |"
    yield "|---|---|"
    for phase in PHASES:
        yield f"| {_title(phase.name)} | {phase.meaning} |"


def _of(model: str) -> Iterator[str]:
    yield ""
    yield f"## {MODELS[model]}"
    yield ""
    yield "| fault | " + " | ".join(_title(phase.name) for phase in PHASES) + " |"
    yield "|---|" + "---|" * len(PHASES)
    for fault in FAULTS:
        cells = [_cell(fault, phase, model) for phase in PHASES]
        yield f"| {_title(fault.name)} | " + " | ".join(cells) + " |"


def _cell(fault: Fault, phase: Phase, model: str) -> str:
    due = expected(fault, phase, model)
    if due is None:
        return "–"
    if due.error is None:
        words = "done"
    elif due.begun:
        words = f"**error** `{due.error.code}`"
    else:
        words = f"**{due.error.status}** `{due.error.code}`"
    words += " or done" if due.or_whole else ""
    return f'[{words}]({TEST} "{name_of_test(fault, phase)}")'


def _faults() -> Iterator[str]:
    yield ""
    yield "## The faults"
    yield ""
    yield "| fault | meaning | why it cannot come before there is a connection |"
    yield "|---|---|---|"
    for fault in FAULTS:
        why = "" if fault.connect else fault.no_connect
        yield f"| {_title(fault.name)} | {fault.meaning} | {why} |"
    yield ""
    yield "ConverseStream has no `modelTimeoutException`. A frame that comes twice is not in the table:"
    yield "nothing tells it from a model that repeats itself, so it is told twice unless it breaks the order."


def _title(name: str) -> str:
    return name.replace("_", " ")


if __name__ == "__main__":
    TABLE.write_text(markdown())
