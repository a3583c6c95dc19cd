"""The tools that judge the files of `deploy/`: programs of Debian, and those of the dev environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.clients.packages import required

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACES: Final = os.pathsep.join([str(Path(sys.executable).parent), os.defpath, "/usr/sbin"])
PATIENCE_S: Final = 120.0
"""Against hanging only."""


def tool(name: str, comes_from: str) -> str:
    """Return the path of a program; where it is missing CI fails, and others skip the test."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        missing = f"{name} is not installed: {comes_from}"
        assert not required(), missing
        pytest.skip(missing)
    return found


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
