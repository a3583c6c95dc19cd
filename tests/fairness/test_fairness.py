"""Callers have their share whatever others ask (reliability.md R37); deterministic, in virtual time."""

from __future__ import annotations

import pytest

from tests.fairness.figures import LEAST_INDEX, MOST_WAIT, SHARE, SHARE_TOLERANCE, jain, p95
from tests.fairness.simulation import QUEUE, Asker, run

ENOUGH = 1_200_000
"""Tokens a minute: as many requests of 1,000 as the slots take, 20 a second."""


@pytest.mark.parametrize("quota", [None, ENOUGH], ids=["slots", "quota"])
def test_a_loud_caller_costs_a_quiet_one_little(quota: int | None) -> None:
    """One asks a hundred times as much as the other, five times what there is: the quiet one waits no
    twice as long, and is never refused."""  # noqa: D205, D209 - one sentence
    quiet = Asker(rate=1.0)
    alone = run({"quiet": quiet}, tokens_per_minute=quota)
    beside = run({"quiet": quiet, "loud": Asker(rate=100.0)}, tokens_per_minute=quota)

    assert p95(beside.waits["quiet"]) <= MOST_WAIT * p95(alone.waits["quiet"])
    assert beside.refused["quiet"] == 0
    assert beside.refused["loud"] > QUEUE


@pytest.mark.parametrize("quota", [None, ENOUGH], ids=["slots", "quota"])
def test_ten_equal_callers(quota: int | None) -> None:
    """Each asks for a fifth of what there is: each gets a tenth."""
    outcome = run({f"caller-{number}": Asker(rate=4.0) for number in range(10)}, tokens_per_minute=quota)

    assert jain([*outcome.tokens.values()]) >= LEAST_INDEX
    assert len(outcome.tokens) == 10


def test_ten_callers_of_whom_some_are_loud() -> None:
    """Those who ask for three times as much get no more."""
    outcome = run({f"caller-{number}": Asker(rate=4.0 * (1 + 2 * (number % 2))) for number in range(10)})

    assert jain([*outcome.tokens.values()]) >= LEAST_INDEX


def test_requests_of_unequal_length() -> None:
    """The share is of tokens, not of requests."""
    short, long = Asker(rate=40.0, tokens=(500, 500)), Asker(rate=40.0, tokens=(2_000, 2_000))
    outcome = run({"short": short, "long": long}, tokens_per_minute=2 * ENOUGH)

    assert outcome.tokens["long"] / outcome.tokens["short"] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("quota", [None, ENOUGH], ids=["slots", "quota"])
def test_weights(quota: int | None) -> None:
    """A weight of 3 beside one of 1 is three times as much."""
    askers = {"big": Asker(rate=40.0, weight=3.0), "small": Asker(rate=40.0)}
    outcome = run(askers, tokens_per_minute=quota)

    assert outcome.tokens["big"] / outcome.tokens["small"] == pytest.approx(SHARE, rel=SHARE_TOLERANCE)


def test_jain() -> None:
    """The index says what it is to say."""
    assert jain([5.0] * 10) == 1.0
    assert jain([1.0] + [0.0] * 9) == pytest.approx(0.1)
    assert jain([0.0]) == 0.0
