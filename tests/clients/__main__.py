"""`python -m tests.clients`: install the JavaScript clients, or run all and write the table of what works."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.clients import packages, table

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked and return the exit code: 1 where it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("action", choices=["install", "table"])
    action = parser.parse_args(arguments).action
    if action == "table":
        wrong = table.make()
        sys.stderr.writelines(f"not in the table, which stays as it was: {cell}\n" for cell in wrong)
        return 1 if wrong else 0
    try:
        packages.install()
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"not installed: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
