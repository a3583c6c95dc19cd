"""`python -m gateway.openapi`: make `openapi.json` and `docs.html` anew, beside this file."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.openapi.document import document
from gateway.openapi.page import page


def files() -> dict[str, str]:
    """Return what the files are to hold, by name."""
    described = document()
    return {"openapi.json": json.dumps(described, indent=1) + "\n", "docs.html": page(described)}


if __name__ == "__main__":
    for name, text in files().items():
        (Path(__file__).parent / name).write_text(text)
