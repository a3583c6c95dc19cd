"""Who gets what out of a quota, in virtual time: the same figures in every run."""

from __future__ import annotations

from gateway.emulator import Quota
from tests.quota.simulation import simulate

TOKENS_PER_MINUTE = 600_000


def test_twice_the_quota() -> None:
    """Plain clients are throttled again and again; the gateway never, and leaves nothing of the quota."""
    quota = Quota(tokens_per_minute=TOKENS_PER_MINUTE)
    results = {
        way: simulate(way, quota=quota, load=2.0, minutes=2, seed=1)
        for way in ("plain", "gateway", "possible")
    }

    assert results["plain"].throttled > 0.30
    assert results["gateway"].throttled == 0
    assert results["gateway"].used >= 0.95 * results["possible"].used
    # those have to reserve 64,000 at once: none is starved by smaller ones
    assert results["gateway"].unlimited >= 0.8 * results["possible"].unlimited > results["plain"].unlimited


def test_requests_are_counted_too() -> None:
    """A quota of requests that is the narrower one is used up as well, to the last."""
    quota = Quota(tokens_per_minute=10 * TOKENS_PER_MINUTE, requests_per_minute=150)
    result = simulate("gateway", quota=quota, load=0.2, minutes=2, seed=1)

    assert result.throttled == 0
    assert 0.95 * 300 <= result.admitted <= 301


def test_a_quota_that_nobody_knows() -> None:
    """AIMD finds it: throttled less than plain clients by far, and as much is used."""
    quota = Quota(tokens_per_minute=TOKENS_PER_MINUTE)
    result = simulate("without", quota=quota, load=2.0, minutes=1, seed=1)

    assert 0 < result.throttled < 0.20
    assert result.used > 0.90
