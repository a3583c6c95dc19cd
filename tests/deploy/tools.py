"""What the tools say that judge the files of `deploy/`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from tests.programs import PLACES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE_S: Final = 120.0
"""Against hanging only."""


def judged(*command: str, cwd: Path | None = None, **environment: str) -> tuple[int, str]:
    """Run a tool, and return its exit code and all that it says."""
    given: Mapping[str, str] = {"PATH": PLACES, "HOME": "/nonexistent", **environment}
    done = subprocess.run(  # noqa: S603 - a tool of ours
        command, cwd=cwd, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    return done.returncode, done.stdout


def told(*command: str) -> str:
    """Run a tool that must succeed, and return its standard output."""
    done = subprocess.run(  # noqa: S603 - a tool of ours
        command, env={"PATH": PLACES, "HOME": "/nonexistent"}, capture_output=True, text=True,
        check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
