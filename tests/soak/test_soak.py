"""The soaks, shortened: that they hold, and that they would notice."""

from __future__ import annotations

from tests.soak import disconnects, streams


async def test_disconnects() -> None:
    """Whoever leaves, wherever: everything is given back in time."""
    report = await disconnects.run(90, release_s=disconnects.PATIENCE_S)

    assert report["kept"], report
    assert report["released_upstream"] >= 30
    assert set(report["points"]) == set(disconnects.POINTS)


async def test_streams() -> None:
    """Every stream under every fault ends as it must, and nothing is left behind."""
    report = await streams.run(3, 20, clock_ms=5000)  # no good answer meets it on a busy machine

    assert report["kept"], report
    assert set(report["ended"]) == {"done", "error"}
    assert report["left"]
