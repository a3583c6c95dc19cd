"""What is counted: callers' own limits refuse at once, a lane's quota lets wait; both are settled by use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import pytest

from gateway.admission.aimd import Adaptive
from gateway.admission.caller import ANONYMOUS
from gateway.admission.demand import Ticket, Used
from gateway.admission.quotas import Quota, QuotaRule, Quotas
from gateway.errors import BudgetExhausted, InvalidRequest, Overloaded, RateLimited
from gateway.ledger.local import LocalLedger
from tests import virtual_clock
from tests.admission.asking import LANE, OTHER, Desk, call, caller, done, quotas, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from gateway.errors import GatewayError
    from gateway.ledger.charges import Order, Verdict

Scene: TypeAlias = "Callable[[], Coroutine[None, None, None]]"


async def refused(desk: Desk, kind: type[GatewayError], words: str, who: object = None) -> GatewayError:
    """Return the refusal of a request that leaves nothing behind."""
    with pytest.raises(kind, match=words) as caught:
        await desk.ask(who or caller(), call())  # type: ignore[arg-type]
    return caught.value


# ── callers ───────────────────────────────────────────────────────────────────────────────────────────


async def requests_a_minute() -> None:
    """They fill up continuously; one that is over counts all the same."""
    desk, team = Desk(), caller(requests_per_minute=2)
    for _ in range(2):
        (await desk.ask(team)).release()
    error = await refused(
        desk, RateLimited, r"'team' may send 2 requests a minute .*Come again in 30 s", team
    )
    assert (error.limit, error.retry_after) == ("requests_per_minute", 30)
    await desk.ask(caller("other", requests_per_minute=2))
    await asyncio.sleep(30)
    (await desk.ask(team)).release()


async def streams_at_a_time() -> None:
    """They come free with the slot, and with nothing else."""
    desk, team = Desk(), caller(max_streams=1)
    slot = await desk.ask(team)
    await refused(desk, RateLimited, r"may have 1 request at a time \(max_streams\), and has", team)
    slot.release()
    (await desk.ask(team)).release()
    assert desk.is_at_rest()


async def tokens_a_minute() -> None:
    """Reserved by `max_tokens`, settled by use: what was not written is free again, cache reads too."""
    desk, team = Desk(), caller(tokens_per_minute=300)
    slot = await desk.ask(team)
    await refused(desk, RateLimited, r"300 tokens a minute .* up to 200, and 100 are left", team)
    slot.used(Used(40, 60, 60, 0, None))
    slot.release()
    (await desk.ask(team)).release()
    (await desk.ask(team)).release()


async def a_request_that_never_fits() -> None:
    """It is told so, and what to do; coming again would not help."""
    desk = Desk()
    error = await refused(
        desk, InvalidRequest, "up to 200 tokens, and caller 'team' may use 150", caller(tokens_per_minute=150)
    )
    assert error.param == "max_tokens"
    poor = caller(budget_usd_per_month=0.001)
    error = await refused(desk, InvalidRequest, r"is 0\.001 USD a month .* up to 0\.0018 USD", poor)
    assert (error.limit, error.param) == ("budget_usd_per_month", "max_tokens")
    desk.limiter.put(quotas(tokens_per_minute=150))
    await refused(desk, InvalidRequest, "Bedrock's quota for this model is 150 a minute")
    assert desk.is_at_rest()


async def never_in_this_lane() -> None:
    """Who never fits in the one lane that is open waits for the other, and is not told to ask for less."""
    both = Quotas(
        [
            QuotaRule("*", ("here",), Quota(tokens_per_minute=150)),
            QuotaRule("*", ("there",), Quota(tokens_per_minute=300)),
        ]
    )
    desk = Desk(quotas=both)
    first = await desk.ask(ANONYMOUS, call(), call(target="there"))
    assert first.lane == OTHER
    waits = desk.later(ANONYMOUS, call(target="there"))
    await settle()
    moves = desk.later(ANONYMOUS, call(), call(target="there"))
    await settle()
    assert not moves.done()
    done(first, 0, 0)
    done(await waits, 0, 0)
    done(await moves, 0, 0)
    assert desk.is_at_rest()


async def a_quota_that_goes_meanwhile() -> None:
    """Quotas that are reloaded while the ledger is asked leave the refusal as it was."""

    class SlowLedger(LocalLedger):
        async def reserve(self, order: Order) -> Verdict:
            verdict = await super().reserve(order)
            desk.limiter.put(Quotas())
            return verdict

    ledger = SlowLedger(asyncio.get_running_loop().time)
    desk = Desk(ledger, quotas=quotas(tokens_per_minute=150))
    await refused(desk, InvalidRequest, "Bedrock's quota for this model is 150 a minute")
    assert desk.is_at_rest()


async def a_budget_of_the_day() -> None:
    """Reserved by the price of the longest answer, settled by what was paid; the next day is another."""
    desk, team = Desk(), caller(budget_usd_per_day=0.003, budget_usd_per_month=0.1)
    first = await desk.ask(team)  # 100 · 3 + 100 · 15 USD a million: 0.0018
    error = await refused(desk, BudgetExhausted, r"is 0\.003 USD a day .* up to 0\.0018 USD", team)
    assert error.retry_after == 6 * 3600
    done(first, 100, 10, 0.00045)
    second = await desk.ask(team)
    done(second, cost=0.0018)
    await refused(desk, BudgetExhausted, "a day", team)
    desk.today = desk.today.replace(day=22)
    await desk.ask(team)


async def a_budget_of_the_month() -> None:
    """It ends with the month."""
    desk, team = Desk(), caller(budget_usd_per_month=0.002)
    await desk.ask(team)
    error = await refused(desk, BudgetExhausted, r"a month \(budget_usd_per_month\)", team)
    assert error.retry_after == 9 * 86_400 + 6 * 3600


async def what_has_not_been_told() -> None:
    """An answer that broke off before its counters came has read its prompt, and is priced by it."""
    desk, team = Desk(), caller(tokens_per_minute=300, budget_usd_per_day=0.004)
    slot = await desk.ask(team)
    slot.used(Used(None, 30, None, None, None))  # 100 and 30 tokens, 0.00075 USD
    slot.release()
    await refused(desk, RateLimited, "tokens a minute", team)
    await asyncio.sleep(30)
    done(await desk.ask(team), 100, 100, 0.0018)  # 0.00255 now
    await asyncio.sleep(60)
    error = await refused(desk, BudgetExhausted, "USD a day", team)
    assert error.retryable is False


async def a_caller_without_limits() -> None:
    """Nothing is counted, and nothing of its call is looked at."""
    desk = Desk()
    slot = await desk.ask(caller(priority="critical"), call())
    assert (slot.counted, slot.reservation, desk.ledger.measures.leases) == (False, None, 0)
    slot.used(Used())
    slot.release()


async def refused_before_the_queue() -> None:
    """Whoever has used up its own waits for no slot, though all are taken."""
    desk, team = Desk(max_running=1), caller(requests_per_minute=1)
    slot = await desk.ask(ANONYMOUS)
    waiting = desk.later(team)
    await settle()
    await refused(desk, RateLimited, "1 request a minute", team)
    assert desk.limiter.waiting == 1
    slot.release()
    await settle()
    assert waiting.done()


# ── quotas ────────────────────────────────────────────────────────────────────────────────────────────


async def waiting_for_quota() -> None:
    """Who finds no room waits until there is some, and no longer; the ticket says how long it was to be."""
    desk = Desk(quotas=quotas(tokens_per_minute=300))
    await desk.ask(ANONYMOUS)
    ticket = Ticket(ANONYMOUS, [call()])
    slot = await desk.limiter.acquire([LANE], ticket=ticket)
    assert desk.limiter.now() == pytest.approx(20, abs=1)
    assert (slot.lane, desk.limiter.running, ticket.position) == (LANE, 2, 0)
    assert ticket.facts()["queue_position"] == 0


async def settled_with_the_burndown() -> None:
    """Output counts five times with this model, unless the settings know better."""
    desk = Desk(quotas=quotas(tokens_per_minute=600))
    done(await desk.ask(ANONYMOUS), 100, 80)  # 500 of 600
    later = desk.later(ANONYMOUS)
    await settle()
    assert not later.done()
    await later
    assert desk.limiter.now() == pytest.approx(10, abs=1)
    desk = Desk(quotas=quotas(tokens_per_minute=600, output_burndown=1))
    done(await desk.ask(ANONYMOUS), 100, 80)
    await desk.ask(ANONYMOUS)


async def what_comes_free_wakes() -> None:
    """A settlement gives back what was not used, and whose turn it is tries at once."""
    desk = Desk(quotas=quotas(tokens_per_minute=300))
    slot = await desk.ask(ANONYMOUS)
    later = desk.later(ANONYMOUS)
    await asyncio.sleep(1)
    done(slot, 10, 1)
    await settle()
    assert (later.done(), desk.limiter.now()) == (True, 1)


async def small_ones_do_not_pass() -> None:
    """A big request is not starved by those that would fit before it."""
    desk = Desk(quotas=quotas(tokens_per_minute=1_000))
    await desk.ask(ANONYMOUS, call(100, 700))
    big = desk.later(ANONYMOUS, call(100, 600))
    await asyncio.sleep(1)
    small = desk.later(ANONYMOUS, call(10, 10))
    await settle()
    assert (big.done(), small.done()) == (False, False)
    await big
    assert desk.limiter.now() == pytest.approx(30, abs=1)
    assert not small.done()
    await small


async def who_goes_opens_the_lane() -> None:
    """Cancelled or out of time, whoever stood first holds back nobody any more."""
    desk = Desk(quotas=quotas(tokens_per_minute=1_000), queue_timeout=5.0)
    await desk.ask(ANONYMOUS, call(100, 700))
    big, small = desk.later(ANONYMOUS, call(100, 800)), desk.later(ANONYMOUS, call(10, 10))
    await settle()
    big.cancel()
    await settle()
    assert small.done()
    another = desk.later(ANONYMOUS, call(100, 800))
    small = desk.later(ANONYMOUS, call(10, 10))
    await asyncio.sleep(5.1)
    assert (another.done(), small.done()) == (True, True)
    assert isinstance(another.exception(), Overloaded)


async def whose_moment_is_known_may_stay() -> None:
    """Who stands first is not sent away shortly before there is room; others are, and it is long before."""
    desk = Desk(quotas=quotas(tokens_per_minute=6_000), queue_timeout=5.0)
    await desk.ask(ANONYMOUS, call(100, 5_800))
    big = desk.later(ANONYMOUS, call(100, 800))
    await settle()
    small = desk.later(ANONYMOUS, call(10, 10))
    await big
    assert 5.0 < desk.limiter.now() < 10.0
    assert isinstance(small.exception(), Overloaded)
    bigger = desk.later(ANONYMOUS, call(100, 4_800))
    await asyncio.sleep(5.1)
    assert isinstance(bigger.exception(), Overloaded)


async def the_more_urgent_goes_first() -> None:
    """It need not wait until there is room for the batch before it."""
    desk = Desk(quotas=quotas(tokens_per_minute=1_000))
    await desk.ask(ANONYMOUS, call(100, 700))
    batch = desk.later(caller("batch", priority="batch"), call(100, 800))
    await settle()
    urgent = desk.later(caller("urgent", priority="critical"), call(10, 10))
    await settle()
    assert (batch.done(), urgent.done()) == (False, True)


async def another_lane_has_room() -> None:
    """A request goes where there is quota; at failover its reservation goes with it."""
    desk = Desk(quotas=quotas(tokens_per_minute=300))
    first = await desk.ask(ANONYMOUS, call(), call(target="there"))
    second = await desk.ask(ANONYMOUS, call(), call(target="there"))
    assert (first.lane, second.lane) == (LANE, OTHER)
    later = desk.later(ANONYMOUS, call(), call(target="there"))
    await settle()
    assert not later.done()
    done(second, 10, 10)
    await settle()
    assert (await later).lane == OTHER
    first.release()
    assert (await later).move(LANE)
    assert [lane.running for lane in desk.limiter.lanes] == [1, 0]
    (await desk.ask(ANONYMOUS, call(target="there"))).release()
    assert desk.limiter.now() == 0


async def how_much_is_free() -> None:
    """Of slots, of what throttles left, and of the quota: the least of them counts; closed, it is nothing."""
    desk = Desk(quotas=quotas(("here",), tokens_per_minute=1_000), adaptive=Adaptive())
    share = desk.limiter.free_share
    assert (share(LANE), share("nowhere/x")) == (1.0, 1.0)
    slot, other = await desk.ask(ANONYMOUS), await desk.ask(ANONYMOUS, call(target="there"))
    assert (share(LANE), share(OTHER)) == (0.8, 0.9)
    await asyncio.sleep(6)
    assert share(LANE) == pytest.approx(0.9)
    done(slot, 100, 180)
    assert share(LANE) == pytest.approx(0.1)
    other.throttled()
    assert share(OTHER) == 0.0
    waiting = desk.later(ANONYMOUS, call(100, 700))
    await settle()
    assert share(LANE) == 0.0
    waiting.cancel()
    await settle()
    assert share(LANE) == pytest.approx(0.1)


async def one_question_is_enough() -> None:
    """Who has reserved its own limits before the wait asks no more where the lane has no quota."""
    desk, team = Desk(quotas=quotas(("there",), tokens_per_minute=300), max_running=1), caller(max_streams=2)
    slot = await desk.ask(ANONYMOUS)
    later = desk.later(team, call(), call(target="there"))
    await settle()
    slot.release()
    second = await later
    assert (second.counted, len(desk.ledger._open)) == (True, 1)
    assert second.move(OTHER)
    assert desk.limiter.free_share(OTHER) == pytest.approx(0.0)
    second.release()
    assert desk.is_at_rest()


async def gone_at_the_hand_over() -> None:
    """Who leaves in the instant in which it is to try takes neither slot nor lane with it."""
    desk = Desk(quotas=quotas(tokens_per_minute=1_000), max_running=1)
    slot = await desk.ask(ANONYMOUS)
    first, second = desk.later(ANONYMOUS), desk.later(ANONYMOUS)
    await settle()
    slot.release()
    first.cancel()
    await settle()
    assert (first.cancelled(), second.done(), desk.limiter.running) == (True, True, 1)
    (await second).release()
    assert desk.is_at_rest()


async def moved_where_nothing_is_counted() -> None:
    """The quota of the lane that it left is free again."""
    desk, team = Desk(quotas=quotas(("here",), tokens_per_minute=300)), caller(max_streams=9)
    slot = await desk.ask(team, call(), call(target="there"))
    assert slot.move(OTHER)
    other = await desk.ask(ANONYMOUS, call())
    assert slot.move(LANE)  # at failover there is no waiting: it is charged, room or not
    other.release()
    slot.release()
    assert desk.is_at_rest()


async def requests_and_the_day() -> None:
    """The other quotas count as well."""
    desk = Desk(quotas=quotas(requests_per_minute=2))
    for _ in range(2):
        (await desk.ask(ANONYMOUS)).release()
    await desk.ask(ANONYMOUS)
    assert desk.limiter.now() == pytest.approx(30, abs=1)
    desk = Desk(quotas=quotas(tokens_per_day=86_400), queue_timeout=200.0)
    done(await desk.ask(ANONYMOUS, call(100, 86_300)), 100, 17_260)
    start = desk.limiter.now()
    await desk.ask(ANONYMOUS, call(60, 40))
    assert desk.limiter.now() - start == pytest.approx(100, abs=1)


async def an_embedding_of_many_calls() -> None:
    """It reserves for all of its calls with the first slot, and never more than there is of requests."""
    desk = Desk(quotas=quotas(requests_per_minute=3))
    vectors = [call() for _ in range(5)]
    slot = await desk.limiter.acquire([LANE], ticket=Ticket(ANONYMOUS, vectors[:1], vectors))
    slot.used(Used(10, 0, 0, 0, None))
    slot.release()
    await desk.ask(ANONYMOUS)
    assert desk.limiter.now() == pytest.approx(60, abs=1)


async def throttled_all_the_same() -> None:
    """Bedrock knows better: the lane rests for a moment, whatever comes free."""
    desk = Desk(quotas=quotas(tokens_per_minute=3_000))
    first, second = await desk.ask(ANONYMOUS), await desk.ask(ANONYMOUS)
    first.throttled()
    later = desk.later(ANONYMOUS)
    await settle()
    second.release()
    await settle()
    assert not later.done()
    await later
    assert desk.limiter.now() == pytest.approx(0.5)


async def learnt_from_answers() -> None:
    """Estimates of the input are corrected by what it was of late."""
    desk = Desk(quotas=quotas(tokens_per_minute=400))
    done(await desk.ask(ANONYMOUS, call(100, 100)), 200, 0)
    await asyncio.sleep(60)
    await desk.ask(ANONYMOUS, call(100, 100))
    await refused_for_now(desk, call(100, 0))


async def nothing_is_learnt_of_a_part() -> None:
    """An embedding of which some calls failed has used less than was reckoned for all of them."""
    desk = Desk(quotas=quotas(tokens_per_minute=400))
    slot = await desk.ask(ANONYMOUS, call(100, 100))
    slot.used(Used(10, 0, 0, 0, None, whole=False))
    slot.release()
    await asyncio.sleep(60)
    await desk.ask(ANONYMOUS, call(100, 100))
    await refused_for_now(desk, call(100, 100))


async def no_correction_shuts_out() -> None:
    """What fits as estimated is let in, however much more the last one took: it waits for all there is."""
    desk, team = Desk(quotas=quotas(tokens_per_minute=400)), caller(tokens_per_minute=400)
    done(await desk.ask(team, call(100, 100)), 400, 0)
    await asyncio.sleep(60)
    (await desk.ask(team, call(100, 100))).release()
    await refused(desk, InvalidRequest, "up to 200 tokens", caller(tokens_per_minute=100))


async def callers_are_reckoned_alike() -> None:
    """What was learnt of a model's tokens counts for the limits of callers too."""
    desk, team = Desk(), caller(tokens_per_minute=1_000)
    done(await desk.ask(team, call(100, 100)), 200, 0)
    await asyncio.sleep(60)
    slots = [await desk.ask(team, call(100, 100)) for _ in range(3)]
    await refused(desk, RateLimited, "up to 300, and 100 are left", team)
    for slot in slots:
        slot.release()


async def refused_for_now(desk: Desk, asked: object) -> None:
    """There is no room for this at present."""
    later = desk.later(ANONYMOUS, asked)  # type: ignore[arg-type]
    await settle()
    assert not later.done()
    later.cancel()


async def other_quotas() -> None:
    """They hold from now on, for whoever waits too."""
    desk = Desk(quotas=quotas(tokens_per_minute=300))
    slot = await desk.ask(ANONYMOUS)
    later = desk.later(ANONYMOUS)
    await settle()
    desk.limiter.put(quotas(tokens_per_minute=1_000))
    await settle()
    assert later.done()
    desk.limiter.put(Quotas())
    assert (await desk.ask(ANONYMOUS)).counted is False
    done(slot)


async def both_and_all_at_once() -> None:
    """A caller's limit that refuses takes nothing of the quota, and the wait for quota nothing twice."""
    desk, team = Desk(quotas=quotas(tokens_per_minute=300)), caller(requests_per_minute=2)
    slot = await desk.ask(team)
    later = desk.later(team)
    await settle()
    await refused(desk, RateLimited, "2 requests a minute", team)
    done(slot, 10, 1)
    done(await later, 10, 1)
    assert desk.is_at_rest()


async def a_full_queue() -> None:
    """Who cannot wait leaves nothing reserved, and the lane as it was."""
    desk = Desk(quotas=quotas(tokens_per_minute=300), max_waiting=0)
    slot = await desk.ask(ANONYMOUS)
    error = await refused(desk, Overloaded, "queue of 0 is full", ANONYMOUS)
    assert error.retry_after
    (await desk.ask(ANONYMOUS, call(10, 10))).release()
    slot.release()
    assert desk.is_at_rest()


async def a_slot_lacks_not_quota() -> None:
    """With all slots taken the quota is asked when one comes free, by whose turn it is."""
    desk = Desk(quotas=quotas(tokens_per_minute=300), max_running=1)
    slot = await desk.ask(ANONYMOUS)
    first, second = desk.later(ANONYMOUS), desk.later(ANONYMOUS, call(10, 10))
    await settle()
    assert len(desk.ledger._open) == 1
    slot.release()
    await settle()
    assert (first.done(), second.done()) == (True, False)
    done(await first, 200, 0)
    await settle()
    assert second.done()


SCENES: list[Scene] = [
    requests_a_minute,
    streams_at_a_time,
    tokens_a_minute,
    a_request_that_never_fits,
    never_in_this_lane,
    a_quota_that_goes_meanwhile,
    a_budget_of_the_day,
    a_budget_of_the_month,
    what_has_not_been_told,
    a_caller_without_limits,
    refused_before_the_queue,
    waiting_for_quota,
    settled_with_the_burndown,
    what_comes_free_wakes,
    small_ones_do_not_pass,
    whose_moment_is_known_may_stay,
    who_goes_opens_the_lane,
    the_more_urgent_goes_first,
    another_lane_has_room,
    one_question_is_enough,
    gone_at_the_hand_over,
    how_much_is_free,
    moved_where_nothing_is_counted,
    requests_and_the_day,
    an_embedding_of_many_calls,
    throttled_all_the_same,
    learnt_from_answers,
    nothing_is_learnt_of_a_part,
    no_correction_shuts_out,
    callers_are_reckoned_alike,
    other_quotas,
    both_and_all_at_once,
    a_full_queue,
    a_slot_lacks_not_quota,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(scene: Scene) -> None:
    """Each scene of the table holds; see its docstring."""
    virtual_clock.run(scene())
