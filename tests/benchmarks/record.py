"""A whole run as data: all that was measured, on what, and with which versions; JSON and back."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from gateway import __version__
from tests.benchmarks.first_byte import FirstByte
from tests.benchmarks.footprint import Footprint
from tests.benchmarks.measure import Sample
from tests.benchmarks.peers import VERSIONS
from tests.benchmarks.subjects import NGINX
from tests.benchmarks.sustained import Try

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.subjects import Cores

LIBRARIES = ("aiohttp", "aiobotocore", "botocore", "orjson", "pydantic", "structlog")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a run found. `about` are the date, the command, the machine, the versions and what to know."""

    about: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)
    first_bytes: list[FirstByte] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)

    def encode(self) -> bytes:
        """Return it as JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2) + b"\n"


def decode(data: bytes) -> Record:
    """Return the record that `encode` made JSON of."""
    document = orjson.loads(data)
    return Record(
        about=document["about"],
        samples=[Sample(**row) for row in document["samples"]],
        first_bytes=[FirstByte(**row) for row in document["first_bytes"]],
        tries=[Try(**row) for row in document["tries"]],
        footprints=[Footprint(**row) for row in document["footprints"]],
    )


def about(command: str, cores: Cores, names: Sequence[str], notes: Sequence[str]) -> dict[str, Any]:
    """Return the circumstances: everything that a reader needs to run it again, or to doubt it."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "unit": "CPU time is user and system, of the subject's process and its children",
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "subject_core": cores.subject,
            "other_core": cores.others,
            "kernel": f"{platform.system()} {platform.release()}",
        },
        "versions": {
            "gateway": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
            **({"nginx": _nginx()} if NGINX in names else {}),
            **{name: VERSIONS[name].split()[1] for name in names if name in VERSIONS},
        },
        "notes": list(notes),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _nginx() -> str:
    binary = shutil.which("nginx") or "nginx"
    said = subprocess.run((binary, "-v"), capture_output=True, text=True, check=True)  # noqa: S603 - found in PATH
    return said.stderr.strip().rpartition("/")[2]
