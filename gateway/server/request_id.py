"""The id that names one request in answers and logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = "X-Request-Id"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def new_request_id() -> str:
    """Return a fresh id."""
    return new_id("req")


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the caller's id where it is well formed, else a fresh one (reliability.md R59)."""
    given = headers.get(HEADER)
    return given if given and WELL_FORMED.fullmatch(given) else new_request_id()
