"""The ledger of one process: what fits, when it fits again, and that nothing is kept for ever."""

from __future__ import annotations

import math

import pytest

from gateway.ledger.charges import Charge, Full, Granted, Order, Refused
from gateway.ledger.local import HELD_WAIT_S, LocalLedger


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="ledger")
def _ledger(clock: Clock) -> LocalLedger:
    return LocalLedger(clock)


def rate(amount: int, limit: int = 60, key: str = "tokens", period_s: float = 60.0) -> Charge:
    """Return a charge of what refills."""
    return Charge("rate", key, limit, amount, period_s)


def held(limit: int = 2, key: str = "streams") -> Charge:
    """Return a charge of something that is given back."""
    return Charge("held", key, limit, 1)


def spent(amount: int, limit: int = 100, period_s: float = 600.0) -> Charge:
    """Return a charge of a budget."""
    return Charge("spent", "budget/2026-11-21", limit, amount, period_s)


def granted(ledger: LocalLedger, *common: Charge) -> Granted:
    """Reserve what fits."""
    verdict = ledger.decide(Order("team", common))
    assert isinstance(verdict, Granted)
    return verdict


def refused(ledger: LocalLedger, *common: Charge) -> Refused:
    """Ask for what does not fit."""
    verdict = ledger.decide(Order("team", common))
    assert isinstance(verdict, Refused)
    return verdict


async def test_a_rate_refills_continuously(ledger: LocalLedger, clock: Clock) -> None:
    """A full bucket says to the microsecond when there is room again, and then there is."""
    await ledger.open()
    assert isinstance(await ledger.reserve(Order("", (rate(60),))), Granted)
    assert refused(ledger, rate(1)) == Refused(rate(1), 1.0)
    clock.now += 0.999_999
    assert refused(ledger, rate(1)).wait_s == 0.000_001
    clock.now += 0.000_001
    granted(ledger, rate(1))
    assert refused(ledger, rate(30)).wait_s == 30.0
    assert (ledger.state, ledger.measures.leases) == ("local", 0)
    await ledger.aclose()


def test_nothing_drifts(ledger: LocalLedger, clock: Clock) -> None:
    """A million touches between refills take nothing of the refill."""
    granted(ledger, rate(7, 7, period_s=61.0))
    for _ in range(10_000):
        clock.now += 0.000_871_4
        refused(ledger, rate(7, 7, period_s=61.0))
    assert refused(ledger, rate(7, 7, period_s=61.0)).wait_s == pytest.approx(61 - 8.714, abs=0.000_002)


def test_all_or_nothing(ledger: LocalLedger) -> None:
    """One charge that does not fit keeps the others from being charged; the longest wait is told."""
    granted(ledger, rate(59), held(1))

    assert refused(ledger, held(1), rate(31)) == Refused(rate(31), 30.0)
    assert refused(ledger, rate(1), held(1)) == Refused(held(1), HELD_WAIT_S)
    assert refused(ledger, rate(61)).wait_s == math.inf
    granted(ledger, rate(1))


def test_the_first_alternative_that_fits(ledger: LocalLedger) -> None:
    """Alternatives are tried in order; where none has room, the first to have it says when."""
    lanes = ((rate(40, key="east"),), (rate(40, 120, key="west"),))
    order = Order("team", (rate(1),), lanes)

    found = [ledger.decide(order) for _ in range(5)]

    assert [verdict.alternative for verdict in found if isinstance(verdict, Granted)] == [0, 1, 1, 1]
    assert found[-1] == Full(20.0)
    never = ledger.decide(Order("team", (), ((rate(61),),)))
    assert never == Full(math.inf)
    assert isinstance(ledger.decide(Order("team", (rate(56),))), Granted)


def test_settled_with_what_was_used(ledger: LocalLedger, clock: Clock) -> None:
    """What was reserved and not used is there again, what was used beyond it is owed; once."""
    grant = granted(ledger, rate(60), held(1), spent(90)).grant
    assert ledger.measures.leases == 1
    told: list[str] = []
    ledger.on_room(lambda: told.append("room"))

    ledger.settle(grant, [10, 1, 30], [])
    ledger.settle(grant, [0, 0, 0], [])

    assert (told, ledger.measures.leases) == (["room"], 0)
    assert refused(ledger, rate(51)).wait_s == 1.0
    assert refused(ledger, spent(71)).wait_s == 600.0
    second = granted(ledger, rate(50), held(1), spent(70)).grant
    ledger.settle(second, [110, 1, 70], [])
    assert refused(ledger, rate(1)).wait_s == 61.0
    clock.now += 61
    granted(ledger, rate(1))


def test_moved_to_another_lane(ledger: LocalLedger) -> None:
    """A call that goes elsewhere is counted there, whether there is room or not, and not here any more."""
    east, west = (rate(60, key="east"),), (rate(60, key="west"),)
    first = granted(ledger, *west)
    verdict = ledger.decide(Order("team", (), (east,)))
    assert isinstance(verdict, Granted)

    moved = ledger.move(verdict.grant, west)

    assert moved.lane == west
    granted(ledger, *east)
    assert refused(ledger, rate(1, key="west")).wait_s == 61.0
    ledger.settle(moved, [], [0])
    assert refused(ledger, rate(1, key="west")).wait_s == 1.0
    ledger.settle(first.grant, [60], [])
    assert ledger.move(moved, east).lane == east
    granted(ledger, rate(0, key="east"))


def test_a_share(clock: Clock) -> None:
    """Each unit counts once for each replica; a thing at rest may be owed, or nobody would ever get it."""
    ledger = LocalLedger(clock, share=4)
    found = [
        sum(isinstance(ledger.decide(Order("", (charge,))), Granted) for _ in range(100))
        for charge in (rate(1, 63), held(11), held(2, "few"), spent(1, 103))
    ]
    assert found == [15, 2, 1, 25]
    large = rate(40, key="large")
    granted(ledger, large)
    assert refused(ledger, large).wait_s == 160.0
    clock.now += 160
    granted(ledger, large)


def test_a_limit_that_changes(ledger: LocalLedger, clock: Clock) -> None:
    """What was used stays used when the limit, the period or the fineness of the count changes."""
    granted(ledger, rate(60))
    assert refused(ledger, rate(61, 120)).wait_s == 0.5
    assert refused(ledger, rate(10**12 - 1, 10**12)).wait_s == pytest.approx(59 / 10**12 * 60, abs=0.1)
    assert refused(ledger, rate(61, 120)).wait_s == 0.5
    clock.now += 0.5
    granted(ledger, rate(61, 120))


def test_a_clock_that_goes_back(ledger: LocalLedger, clock: Clock) -> None:
    """A bucket drains on from where the clock went to."""
    granted(ledger, rate(60))
    clock.now -= 500
    refused(ledger, rate(1))
    clock.now += 1
    granted(ledger, rate(1))


def test_what_is_at_rest_is_forgotten(ledger: LocalLedger, clock: Clock) -> None:
    """However many keys there have been, only those in use are kept; those in use are all kept."""
    for number in range(5_000):
        granted(ledger, rate(60, key=f"{number}"), Charge("spent", f"{number}", 10, 1, 30.0))
        clock.now += 1
    kept = granted(ledger, rate(60, key="kept")).grant

    assert len(ledger._rates) + len(ledger._spent) < 1100
    assert kept.common[0].key == "kept"
    assert refused(ledger, rate(1, key="kept")).wait_s == 1.0
