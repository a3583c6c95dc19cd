"""Programs that tests run: Debian's, and those that come in wheels of the dev environment."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.clients.packages import required

PLACES: Final = os.pathsep.join(
    [str(Path(sys.executable).parent), os.defpath, "/usr/sbin", "/usr/local/sbin"]
)
"""Debian keeps some where a user's PATH does not lead."""


def program(name: str, comes_from: str) -> str:
    """Return the path of a program; where it is missing CI fails, and others skip the test."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        missing = f"{name} is not installed: {comes_from}"
        assert not required(), missing
        pytest.skip(missing)
    return found


def debian(name: str, package: str | None = None) -> str:
    """Return the path of a program of Debian's; its package has the same name unless it is told."""
    return program(name, f"apt-get install {package or name}")
