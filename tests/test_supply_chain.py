"""What is installed is what was locked, and nothing of it runs unasked (reliability.md R63)."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


def _locked(lock: str) -> dict[str, str]:
    """Return the versions that a lock pins for this Python, by package."""
    pins = {}
    for line in (ROOT / lock).read_text().splitlines():
        if not line.startswith((" ", "#")) and line.strip():
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate():
                pins[requirement.name] = str(requirement.specifier).removeprefix("==")
    return pins


@pytest.mark.parametrize("name", sorted(_locked("requirements.lock")))
def test_installed_as_locked(name: str) -> None:
    """The running version of every dependency is the one whose hash the lock holds."""
    assert metadata.version(name) == _locked("requirements.lock")[name]


@pytest.mark.parametrize("name", sorted(_locked("requirements.lock")))
def test_no_dependency_runs_at_start_up(name: str) -> None:
    """No dependency of production brings a `.pth` file: Python runs those at every start (litellm #24518)."""
    files = metadata.files(name) or []

    assert files, "the record of what was installed is missing"
    assert [str(file) for file in files if re.search(r"\.pth$", str(file))] == []
