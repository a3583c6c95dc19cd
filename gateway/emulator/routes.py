"""Which operation, and of which model, a path means."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from gateway.emulator.replay import OPERATIONS

_PATH: Final = re.compile(r"/model/(.+)/([a-z-]+)")
_GUARDRAIL_PATH: Final = re.compile(r"/guardrail/(.+)/version/([^/]+)/apply")

SERVED: Final = OPERATIONS | {"apply-guardrail", "rerank"}


def route(method: str, raw_path: str) -> tuple[str, str]:
    """Return operation and model id; a path that is neither of ours is its own operation, without a model."""
    if method != "POST":
        return raw_path, ""
    match = _PATH.fullmatch(raw_path)
    if match is not None and match[2] in OPERATIONS:
        return match[2], unquote(match[1])
    if raw_path == "/rerank":
        return "rerank", ""
    applied = _GUARDRAIL_PATH.fullmatch(raw_path)
    return (
        (raw_path, "")
        if applied is None
        else ("apply-guardrail", f"{unquote(applied[1])}/{unquote(applied[2])}")
    )
