"""Every dialect that is measured answers what is measured; and what is published says what was found."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import dialects
from tests.benchmarks.load import StreamFailedError, crowd
from tests.benchmarks.scenarios import CLAUDE, LLAMA

if TYPE_CHECKING:
    from tests.harness import Caller


@pytest.mark.parametrize("model", [CLAUDE, LLAMA])
@pytest.mark.parametrize("name", dialects.APIS)
async def test_a_dialect_is_asked_and_its_answer_judged(name: str, model: str, caller: Caller) -> None:
    """The stream has all deltas and its end; one less, or no end, and there is no figure."""
    api = dialects.APIS[name]
    port = int(caller.url.rpartition(":")[2])
    request = api.request(model, "[[emulator deltas=7 frames_per_write=0]] Hello")

    def ask() -> bytes:
        with crowd() as callers:
            asked = callers.join(port, request, api.text, iter(range(1)))
            callers.run()
        return asked.answers[0].body

    body = await asyncio.to_thread(ask)

    api.check(body, 7)
    with pytest.raises(StreamFailedError):
        api.check(body, 8)
    with pytest.raises(StreamFailedError):
        api.check(body[: len(body) // 2], 7)


def test_what_is_published() -> None:
    """A row for each dialect, with the bar and whether it is met."""
    cost = dialects.Cost("whole", "Bedrock", 200.4, 1.234, 0.91, 1.02, 1.0)
    told = {
        "date": "2026-11-21",
        "machine": {"cores": 2, "cpu": "a CPU"},
        "versions": {"gateway": "1", "python": "3"},
    }

    page = dialects.published([cost], told)

    assert not cost.met
    assert "| whole | Bedrock | 200 | 0.91 | 1.23 | 1.02 | 1.0 | **no** |" in page
    assert "2026-11-21, 2 × a CPU, gateway 1, python 3" in page
