"""Newline-delimited JSON: one record a line."""

from __future__ import annotations

from typing import Final

CONTENT_TYPE: Final = "application/x-ndjson"


def frame(record: bytes) -> bytes:
    """Return `record` as one line. It comes from `wire.json.dumps`, which leaves no line break in it."""
    return record + b"\n"
