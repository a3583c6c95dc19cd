"""What measures a delta measures the right thing. No figure is asserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from gateway.emulator.replay import split_frames
from tests.benchmarks import delta

if TYPE_CHECKING:
    from gateway.catalog.model import Family


@pytest.mark.parametrize(("family", "model"), delta.SUBJECTS)
async def test_a_delta_is_relayed_before_it_is_measured(family: Family, model: str) -> None:
    """Read whole or frame by frame, what is measured makes a record of each delta."""
    data = delta.answer_of(model, 20)
    whole = await delta.relay(family, delta.call_of(model), [data])
    singly = await delta.relay(family, delta.call_of(model), list(split_frames(data)))

    assert whole == singly
    assert [orjson.loads(line)["type"] for line in whole.splitlines()] == ["text_delta"] * 20


def test_what_a_delta_costs_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each way that an answer may come."""
    assert delta.main(["--quick"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["CPU", "claude", "converse"]
