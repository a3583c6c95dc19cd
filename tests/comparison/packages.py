"""The other gateways, from their registries into a folder outside the repository, by the ordinary clients."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LITELLM = "1.106.2"
"""The newest whose requirements could all be installed when this table was last made."""
PORTKEY = "1.15.2"

_TIMEOUT_S = 1200
_COMPLETE = "complete"


class PackageError(Exception):
    """A package cannot be had; the message says which, and how its installer put it."""


def default_folder() -> Path:
    """Return where they are installed unless somebody says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bedrock-gateway-comparison"


def litellm_home(folder: Path, version: str = LITELLM) -> Path:
    """Return where LiteLLM is, or is to be."""
    return folder / f"litellm-{version}-python{sys.version_info[0]}.{sys.version_info[1]}"


def portkey_home(folder: Path, version: str = PORTKEY) -> Path:
    """Return where Portkey's gateway is, or is to be."""
    return folder / f"portkey-{version}"


def is_installed(home: Path) -> bool:
    """Return whether everything is there."""
    return (home / _COMPLETE).exists()


def litellm(folder: Path, version: str = LITELLM) -> Path:
    """Return the command of LiteLLM's proxy, in a virtual environment of its own, made if need be."""
    home = litellm_home(folder, version)
    python = home / "bin" / "python"
    steps = (
        (sys.executable, "-m", "venv", "--clear", str(home)),
        (str(python), "-m", "pip", "install", "--quiet", f"litellm[proxy]=={version}"),
    )
    install(home, f"LiteLLM {version}", steps)
    return home / "bin" / "litellm"


def frozen(command: Path) -> list[str]:
    """Return what is installed beside a command of a virtual environment, as `name==version`."""
    return _run((str(command.parent / "python"), "-m", "pip", "freeze"), "pip freeze").splitlines()


def portkey(folder: Path, version: str = PORTKEY) -> Path:
    """Return the script of Portkey's gateway, installed if need be."""
    home = portkey_home(folder, version)
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise PackageError(
            "Portkey's gateway needs node and npm, which are not installed: leave it out by `--peers litellm`"
        )
    package = f"@portkey-ai/gateway@{version}"
    step = (npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), package)
    home.mkdir(parents=True, exist_ok=True)
    install(home, f"Portkey's gateway {version}", (step,))
    return home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"


def install(home: Path, what: str, steps: Sequence[Sequence[str]]) -> None:
    """Run the steps, unless they have all been run before.

    Raises:
        PackageError: one of them failed, or took too long.
    """
    if is_installed(home):
        return
    for step in steps:
        _run(step, what)
    (home / _COMPLETE).touch()


def _run(step: Sequence[str], what: str) -> str:
    try:
        done = subprocess.run(step, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603 - our own commands
    except subprocess.TimeoutExpired as error:
        raise PackageError(f"{what} was not installed within {_TIMEOUT_S} s") from error
    if done.returncode:
        words = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise PackageError(f"{what} cannot be installed:\n{words}")
    return done.stdout
