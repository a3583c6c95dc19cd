"""The circuit breaker as a state machine, and its bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.retries.breaker import Breaker, BreakerRules, Breakers

RULES = BreakerRules()


class Clock:
    """A clock that is set by hand, and dice that always show the same."""

    def __init__(self) -> None:
        self.now = 0.0
        self.dice = 0.0

    def time(self) -> float:
        """Return what the clock says."""
        return self.now

    def random(self) -> float:
        """Return what the dice say."""
        return self.dice


class BreakerMachine(RuleBasedStateMachine):
    """Calls enter and end in any order, at any time; a second account of the truth is kept."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(RULES, self.clock.time, self.clock.random)
        self.opened_at: float | None = None
        self.probe: int | None = None
        self.told: list[tuple[float, bool]] = []

    @rule(target=calls)
    def enter(self) -> tuple[int | None, bool]:
        """A call wants to go."""
        before, would_let = self.breaker.state, self.breaker.would_let()
        era = self.breaker.enter()
        assert (era is not None) == would_let
        if before == "closed":
            assert era is not None
        elif before == "probing":
            assert era is None, "a second probe"
        else:
            assert self.opened_at is not None
            if era is None:
                assert self.clock.now < self.opened_at + 60
            else:
                assert self.clock.now >= self.opened_at + 5 * 0.75
                self.probe = era
        return era, era is not None and before == "open"

    def settle(self, call: tuple[int | None, bool], how: str) -> None:
        """A call ends."""
        era, _ = call
        if era is None:
            return
        state, was_probe = self.breaker.state, era == self.probe
        of_this_era = era == self.breaker.era
        getattr(self.breaker, how)(era)
        if was_probe:
            self.probe = None
            assert state == "probing"
            assert self.breaker.state == ("closed" if how == "succeeded" else "open")
            self.opened_at = self.clock.now if how == "failed" else self.opened_at
            self.told.clear()
        elif state != "closed":
            assert self.breaker.state == state, "a call from before the opening decides nothing"
        elif of_this_era and how != "abandoned":
            self.told.append((self.clock.now, how == "failed"))
            self.check()

    def check(self) -> None:
        """It opens by the ratio of what was told in the window."""
        if self.breaker.state == "open":
            assert len(self.told) >= 10, "opened by too few"
            self.opened_at = self.clock.now
            self.told.clear()
            return
        recent = [failed for at, failed in self.told if self.clock.now - at < 27]
        all_of_it = [failed for at, failed in self.told if self.clock.now - at <= 30]
        if recent and recent[-1] and recent == all_of_it and len(recent) >= 10:
            assert sum(recent) < len(recent) / 2, "should have opened"

    @rule(call=consumes(calls))
    def succeed(self, call: tuple[int | None, bool]) -> None:
        """It was answered."""
        self.settle(call, "succeeded")

    @rule(call=consumes(calls))
    def fail(self, call: tuple[int | None, bool]) -> None:
        """It failed."""
        self.settle(call, "failed")

    @rule(call=consumes(calls))
    def abandon(self, call: tuple[int | None, bool]) -> None:
        """Its caller left."""
        self.settle(call, "abandoned")

    @rule(count=st.integers(5, 15))
    def fail_often(self, count: int) -> None:
        """A bad stretch: without it no machine would ever find the breaker open."""
        for _ in range(count):
            era = self.breaker.enter()
            if era is None:
                return
            if self.breaker.state == "probing":
                self.probe = era
            self.settle((era, False), "failed")

    @rule(seconds=st.sampled_from([0.5, 4.0, 5.0, 40.0, 100.0]), dice=st.sampled_from([0.0, 0.5, 1.0]))
    def wait(self, seconds: float, dice: float) -> None:
        """Time passes."""
        self.clock.now += seconds
        self.clock.dice = dice

    @invariant()
    def one_probe(self) -> None:
        """Probing and a probe under way are the same thing."""
        assert (self.breaker.state == "probing") == (self.probe is not None)


TestBreaker = BreakerMachine.TestCase


def _fail(breaker: Breaker, count: int) -> None:
    for _ in range(count):
        era = breaker.enter()
        assert era is not None
        breaker.failed(era)


def test_ratio_and_volume() -> None:
    """Nine failures say nothing; ten of twenty open it, nine of nineteen do not."""
    clock = Clock()
    few = Breaker(RULES, clock.time, clock.random)
    _fail(few, 9)
    assert few.state == "closed"

    half = Breaker(RULES, clock.time, clock.random)
    for _ in range(10):
        half.succeeded(half.era)
    _fail(half, 9)
    assert half.state == "closed"
    _fail(half, 1)
    assert not half.would_let()


def test_five_connections_in_a_row() -> None:
    """After any amount of good traffic five that could not be made open it; one that could begins anew."""
    clock = Clock()
    breaker = Breaker(RULES, clock.time, clock.random)
    for _ in range(1000):
        breaker.succeeded(breaker.era)
    for unsent in (*[True] * 4, False, *[True] * 4):
        breaker.failed(breaker.era, unsent=unsent)
    breaker.succeeded(breaker.era)
    for _ in range(4):
        breaker.failed(breaker.era, unsent=True)
    assert breaker.state == "closed"

    breaker.failed(breaker.era, unsent=True)
    assert not breaker.would_let()


def test_what_is_old_does_not_count() -> None:
    """Failures leave the window after thirty seconds."""
    clock = Clock()
    breaker = Breaker(RULES, clock.time, clock.random)
    _fail(breaker, 9)
    clock.now = 31.0
    _fail(breaker, 9)

    assert breaker.state == "closed"


@pytest.mark.parametrize(("dice", "times"), [(0.0, [5, 10, 20, 40, 60, 60]), (1.0, [3.75, 7.5, 15, 30, 45])])
def test_it_opens_for_longer_each_time(dice: float, times: list[float]) -> None:
    """Twice as long after each probe that fails, up to a minute; jitter only shortens."""
    clock = Clock()
    clock.dice = dice
    breaker = Breaker(RULES, clock.time, clock.random)
    _fail(breaker, 10)
    for time in times:
        assert breaker.until - clock.now == pytest.approx(time)
        clock.now = breaker.until
        _fail(breaker, 1)


def test_success_of_the_probe() -> None:
    """It closes, forgets how often it had opened, and begins to count anew."""
    clock = Clock()
    breaker = Breaker(RULES, clock.time, clock.random)
    _fail(breaker, 10)
    clock.now = 5.0
    _fail(breaker, 1)
    clock.now = 15.0
    probe = breaker.enter()
    assert probe is not None
    breaker.succeeded(probe)
    assert breaker.state == "closed"
    _fail(breaker, 9)
    assert breaker.state == "closed"
    _fail(breaker, 1)

    assert breaker.until == 20.0


def test_memory_is_bounded() -> None:
    """Model ids come from callers: breakers of lanes that nobody uses are forgotten, open ones last."""
    clock = Clock()
    breakers = Breakers(RULES, clock.time, clock.random)
    _fail(breakers.of("bad"), 10)
    for number in range(20_000):
        breakers.of(f"lane {number}").enter()
        assert len(breakers) <= 513
    assert not breakers.would_let("bad")
    assert breakers.would_let("never seen")
    assert (breakers.opens_in("bad"), breakers.opens_in("never seen")) == (5.0, 0.0)
    assert breakers.states()["bad"] == "open"

    clock.now = 100.0
    for number in range(600):
        breakers.of(f"other {number}")
    assert "bad" not in breakers.states()
