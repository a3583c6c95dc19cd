"""What is shown and what is kept: a table for people, JSON with every sample for machines."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from gateway import __version__
from tests.benchmarks.subjects import NAIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.cpu import Line
    from tests.benchmarks.measure import Result, Sample
    from tests.benchmarks.subjects import Cores

LIBRARIES = ("aiohttp", "aiobotocore", "botocore", "orjson", "pydantic", "structlog")
COLUMNS = f"{'':16}{'µs a request':>13}{'(quartiles)':>16}{'of naive':>10}"
COLUMNS += f"{'µs a delta':>13}{'(quartiles)':>16}{'of naive':>10}"


def table(results: Sequence[Result]) -> str:
    """Return the figures, the quartiles of the repetitions behind them, and the share of the naive loop's."""
    lines: list[str] = []
    yardsticks = {result.scenario: result.line for result in results if result.subject == NAIVE}
    scenarios = dict.fromkeys(result.scenario for result in results)
    for scenario in scenarios:
        lines += ["", scenario, COLUMNS]
        lines += [_row(result, yardsticks.get(scenario)) for result in results if result.scenario == scenario]
    return "\n".join(lines)


def _row(result: Result, yardstick: Line | None) -> str:
    middle = result.line
    cells = [f"  {result.subject:14}"]
    for axis, digits in ((0, 0), (1, 1)):
        low, _, high = quantiles([line[axis] for line in result.repetitions], method="inclusive")
        share = f"{middle[axis] / yardstick[axis]:.2f}" if yardstick else "–"
        spread = f"({low:.{digits}f}–{high:.{digits}f})"
        cells.append(f"{middle[axis]:>13.{digits}f}{spread:>16}{share:>10}")
    return "".join(cells)


def document(
    results: Sequence[Result], samples: Sequence[Sample], cores: Cores, notes: Sequence[str]
) -> dict[str, Any]:
    """Return all of it as JSON: the machine, the versions, the date, the figures and every sample."""
    return {
        "unit": "CPU µs (user and system) of the subject's process",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "subject_core": cores.subject,
            "other_core": cores.others,
            "cpu": _cpu_model(),
            "kernel": f"{platform.system()} {platform.release()}",
            "load_average": os.getloadavg(),
        },
        "versions": {
            "gateway": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
        "notes": list(notes),
        "results": [
            {
                "scenario": result.scenario,
                "subject": result.subject,
                **result.line._asdict(),
                "repetitions": [line._asdict() for line in result.repetitions],
            }
            for result in results
        ],
        "samples": [asdict(sample) for sample in samples],
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
