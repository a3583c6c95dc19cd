"""A rolling restart behind the real HAProxy, and what callers see of a process that is killed (R47, R48)."""

from __future__ import annotations

from tests.lifecycle.load import KINDS
from tests.lifecycle.rolling import REPLICAS, roll


async def test_rolling_restart_and_a_kill() -> None:
    """Restarts fail nobody; a kill is told to everybody whom it concerns, and concerns nobody else.

    Twenty rounds are a command: `python -m tests.lifecycle.rolling`.
    """
    outcome = await roll(rounds=1, kills=1)

    assert outcome.rolling.failures == []
    assert outcome.exit_codes == [0] * REPLICAS
    assert all(outcome.rolling.whole[kind] for kind in KINDS)
    assert len(outcome.rolling.served_by) == REPLICAS
    assert outcome.killing.silent == []
    assert outcome.killing.failures
    assert {failure.server for failure in outcome.killing.failures} <= {*outcome.killed, None}
