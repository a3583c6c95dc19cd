"""docker-compose.yml run as processes: three gateways behind HAProxy, restarted under load."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tests.deploy.topology import LIMITED, roll
from tests.faults.reverse_proxies import NAMES
from tests.lifecycle.load import KINDS

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_rolling_restart_of_the_topology(tmp_path: Path) -> None:
    """No request with the demo's key fails, limits hold for all gateways, and Prometheus sees them.

    With the file's own times, and for longer, it is a command: `python -m tests.deploy.topology`.
    """
    outcome = await roll(tmp_path, rounds=1)

    assert outcome.ledger.failures == []
    assert outcome.exit_codes == [0] * len(NAMES)
    assert all(outcome.ledger.whole[kind] for kind in KINDS)
    assert set(outcome.ledger.served_by) == set(NAMES)
    assert outcome.stranger == 401
    admitted = outcome.limited[200]
    assert outcome.limited == {200: admitted, 429: LIMITED - admitted}
    assert 10 <= admitted <= 10 + math.ceil(outcome.seconds / 6)  # every six seconds give one more
    assert len(outcome.scraped) == len(NAMES) + 1
    assert outcome.counted > 0
