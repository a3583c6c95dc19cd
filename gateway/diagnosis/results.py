"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was looked at. `message` is one line, `advice` what to do about it.

    `said` is what AWS or the system said, with account numbers masked; none of the three holds a secret.
    """

    name: str
    status: Status
    message: str
    advice: str = ""
    said: str = ""


def skipped(name: str, because: str) -> Result:
    """Return the result of a check that another makes pointless."""
    return Result(name, "skipped", f"not looked at, because of `{because}`")
