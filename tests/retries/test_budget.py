"""The retry budget against a model that remembers everything."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.retries.budget import BudgetRules, RetryBudget


class BudgetMachine(RuleBasedStateMachine):
    """Requests begin, take retries and end in any order, at any time."""

    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.budget = RetryBudget(BudgetRules(), lambda: self.now)
        self.flying: dict[int, int] = {}
        self.ended: list[tuple[float, int]] = []
        self.number = 0

    def counted(self, memory: float) -> tuple[int, int]:
        """Return requests and retries that count if what ended is remembered for so many seconds."""
        recent = [retries for at, retries in self.ended if self.now - at <= memory]
        return len(self.flying) + len(recent), sum(self.flying.values()) + sum(recent)

    @rule(target=running)
    def begin(self) -> int:
        """A request comes."""
        self.budget.begin()
        self.number += 1
        self.flying[self.number] = 0
        return self.number

    @rule(request=running)
    def take(self, request: int) -> None:
        """It asks for a retry."""
        if request not in self.flying:
            return
        before = self.counted(12)[1]
        if self.budget.take():
            self.flying[request] += 1
            assert self.counted(9)[1] <= max(3, 0.2 * self.counted(12)[0])
        else:
            assert before + 1 > 3

    @rule(request=consumes(running))
    def end(self, request: int) -> None:
        """It ends."""
        self.budget.end(self.flying[request])
        self.ended.append((self.now, self.flying.pop(request)))

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @invariant()
    def never_below_what_flies(self) -> None:
        """What is in flight counts always, whatever is forgotten."""
        assert self.budget.requests >= len(self.flying)
        assert self.budget.retries >= sum(self.flying.values())


TestBudget = BudgetMachine.TestCase


def test_share() -> None:
    """A fifth of the requests, those in flight included, counted from their start."""
    budget = RetryBudget(BudgetRules(), lambda: 0.0)
    for _ in range(100):
        budget.begin()

    assert [budget.take() for _ in range(21)] == [True] * 20 + [False]
    budget.end(20)
    assert not budget.take()


def test_least() -> None:
    """A single request has three retries, and no fourth before they are forgotten."""
    now = [0.0]
    budget = RetryBudget(BudgetRules(), lambda: now[0])
    budget.begin()
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    budget.end(3)

    now[0] = 9.0
    budget.begin()
    assert not budget.take()
    now[0] = 12.0
    assert budget.take()
    assert (budget.requests, budget.retries) == (1, 1)


@pytest.mark.parametrize("rules", [BudgetRules(share=0.0, least=0)])
def test_none(rules: BudgetRules) -> None:
    """No budget, no retries."""
    budget = RetryBudget(rules, lambda: 0.0)
    budget.begin()

    assert not budget.take()
