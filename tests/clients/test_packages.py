"""The clients are what was locked, from wherever the installer takes it, and npm runs none of their code."""

from __future__ import annotations

import json
import re

from tests.clients import packages

MANIFEST = json.loads((packages.FOLDER / "package.json").read_text())


def test_direct_dependencies_are_exact() -> None:
    """No range is left to the day of the installation, and the lock has just these versions."""
    wanted: dict[str, str] = MANIFEST["dependencies"]

    assert [name for name, version in wanted.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []
    assert wanted.items() <= packages.npm_versions().items()


def test_the_lock_holds_hashes_and_names_no_place() -> None:
    """Each package has its hash; where it comes from is npm's own setting, and none has an install script."""
    locked = {path: entry for path, entry in packages.lock().items() if path}

    assert [path for path, entry in locked.items() if not entry["integrity"].startswith("sha512-")] == []
    assert [
        path for path, entry in locked.items() if {"resolved", "link", "hasInstallScript"} & set(entry)
    ] == []


def test_npm_is_told_so() -> None:
    """The settings that keep it so stand beside the lock, for whoever makes it anew."""
    settings = (packages.FOLDER / ".npmrc").read_text().splitlines()

    assert {"ignore-scripts=true", "omit-lockfile-registry-resolved=true", "save-exact=true"} <= set(settings)


def test_nothing_is_missing_where_all_is_required() -> None:
    """CI skips no client: the packages of npm are installed, as locked."""
    assert packages.installed() or not packages.required()
