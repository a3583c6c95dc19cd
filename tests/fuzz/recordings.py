"""Recordings as seeds: looked for beside the repository, none where they are absent, never copied into it."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


def recordings() -> Iterator[dict[str, Any]]:
    """Yield every recorded exchange."""
    folder = Path(os.environ.get("GATEWAY_RECORDINGS") or ROOT.parent / "shared" / "recordings")
    for file in sorted(folder.glob("*.json")):
        yield json.loads(file.read_bytes())


def streams() -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield every recorded event stream with its bytes."""
    for recording in recordings():
        if "response_base64" in recording and recording["operation"].endswith("stream"):
            yield recording, b64decode(recording["response_base64"])
