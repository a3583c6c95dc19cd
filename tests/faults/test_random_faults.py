"""A few seeds of the faults that chance finds, and that a lie would be noticed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults.hearing import Heard
from tests.faults.matrix import TEXT
from tests.faults.random_faults import lies, run_many

SEEDS = 48


async def test_no_caller_is_misled() -> None:
    """Whatever breaks on either side; and nothing is held when all are gone."""
    assert await run_many(range(SEEDS)) == []


def ndjson(*records: dict[str, Any]) -> bytes:
    """Return a body."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


START = {"type": "start"}
ALL = {"type": "text_delta", "text": TEXT}
DONE = {"type": "done"}
ERROR = {"type": "error", "error": {"code": "upstream_protocol"}}
THROTTLED = b'{"error": {"code": "upstream_throttled"}}'


@pytest.mark.parametrize(
    ("form", "heard", "lie"),
    [
        ("ndjson", Heard(200, ndjson(START, ALL, DONE), broken=False), ""),
        ("ndjson", Heard(200, ndjson(START, ERROR), broken=False), ""),
        ("ndjson", Heard(200, ndjson(START, ALL), broken=True), ""),
        ("ndjson", Heard(200, ndjson(START, ALL), broken=False), "terminal records []"),
        ("ndjson", Heard(200, ndjson(START, DONE, ERROR), broken=False), "terminal records"),
        ("sse", Heard(200, ndjson(START, DONE, ALL), broken=False), "terminal records"),
        ("ndjson", Heard(200, ndjson(START, DONE), broken=False), "a good end, and the text"),
        ("text", Heard(200, TEXT.encode(), broken=False), ""),
        ("text", Heard(200, TEXT[:4].encode(), broken=True), ""),
        ("text", Heard(200, TEXT[:4].encode(), broken=False), "a good end, and the text"),
        ("unary", Heard(200, b'{"message": {"content": ""}}', broken=False), "a good end, and the text"),
        ("unary", Heard(429, THROTTLED, broken=False), ""),
        ("unary", Heard(500, THROTTLED, broken=False), "500 with"),
    ],
)
def test_a_lie_is_noticed(form: str, heard: Heard, lie: str) -> None:
    """The judge of the random faults, judged."""
    found = lies(heard, form)

    assert [one.startswith(lie) for one in found] == ([True] if lie else [])
