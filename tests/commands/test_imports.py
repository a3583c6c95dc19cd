"""What each process loads: imports are most of a start, and most of an idle process's memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

EMULATOR = ("gateway.emulator", "gateway.diagnosis")
SDK = ("botocore", "aiobotocore", "aiohttp", "urllib3")
NOT_TO_SERVE = (
    *EMULATOR,
    "boto3",
    "rich",
    "better_exceptions",
    "multiprocessing",
    "unittest",
    "sqlite3",
    "redis",
    "jwt",
    "cryptography",
)

SERVE = "import gateway.app, gateway.commands.serve, gateway.bedrock.targets, gateway.bedrock.upstream"
SUPERVISE = "import gateway.commands.serve as serve; serve.composition.build_router(serve.load())"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import gateway.cli", (*NOT_TO_SERVE, *SDK, "asyncio", "pydantic", "structlog")),
        (SUPERVISE, (*NOT_TO_SERVE, *SDK)),
        (SERVE, NOT_TO_SERVE),
    ],
)
def test_no_process_loads_what_it_does_not_need(statement: str, absent: tuple[str, ...]) -> None:
    """The command line loads no command, a supervisor not the SDK, and what serves not the emulator."""
    left_out = "from gateway import footprint; footprint.leave_out()"  # as the command line does
    loaded = f"import sys; print(*[name for name in {absent!r} if sys.modules.get(name)])"
    asked = f"{left_out}; {statement}; {loaded}"

    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", asked],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},  # without the measuring of coverage, which imports for itself
    )

    assert done.stdout.split() == []
