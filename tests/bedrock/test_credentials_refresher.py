"""The refresher on a virtual clock: when it renews, what an outage costs, and who cannot disturb it."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest

from gateway.bedrock.credentials.refresher import ISSUE_TIMEOUT_S, MAX_OVERLAP, Refresher, described
from gateway.bedrock.credentials.sessions import CallerSession
from gateway.bedrock.credentials.source import Issued
from gateway.bedrock.credentials.supervision import supervised
from gateway.errors import GatewayError, UpstreamDenied, UpstreamUnavailable
from gateway.wire.sigv4 import Credentials
from tests import virtual_clock
from tests.harness import lines

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def now() -> datetime:
    """Return the virtual time as a date."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def middle(low: float, high: float) -> float:
    """Stand for randomness where a test wants exact moments."""
    return (low + high) / 2


class FakeSts:
    """An issuer whose outages a test plans: `down` are pairs of seconds, `how` is what a call does in one."""

    name = "the fake"

    def __init__(
        self,
        life: float | None = 3600.0,
        down: tuple[tuple[float, float], ...] = (),
        how: str = "fails",
        latency: float = 0.0,
    ) -> None:
        self.overlapping = True
        self.calls: list[float] = []
        self.running = 0
        self.most = 0
        self._life, self._down, self._how, self._latency = life, down, how, latency

    async def issue(self) -> Issued:
        """Return keys that are numbered by the calls."""
        at = asyncio.get_running_loop().time()
        self.calls.append(at)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if any(start <= at < end for start, end in self._down):
                await asyncio.sleep(5.0 if self._how == "hangs" else 0.0)
                raise RuntimeError("no answer")
            await asyncio.sleep(self._latency)
        finally:
            self.running -= 1
        expires = None if self._life is None else now() + timedelta(seconds=self._life)
        return Issued(Credentials(f"ASIA{len(self.calls)}", "secret"), expires)


def watch(
    sts: FakeSts, seconds: float, uniform: Callable[[float, float], float] = middle
) -> list[tuple[float, str]]:
    """Ask for the credentials ten times a second; return what changed when: a key id or an error's code."""

    async def main() -> list[tuple[float, str]]:
        refresher = Refresher(sts, now=now, uniform=uniform)
        seen: list[tuple[float, str]] = []
        async with supervised("credentials", refresher.run):
            await refresher.first_round()
            for tick in count():
                if tick / 10 >= seconds:
                    return seen
                await asyncio.sleep(tick / 10 - asyncio.get_running_loop().time())
                try:
                    state = (await refresher.current()).access_key_id
                except GatewayError as error:
                    state = error.code
                if not seen or seen[-1][1] != state:
                    seen.append((tick / 10, state))
        raise AssertionError("the count does not end")

    return virtual_clock.run(main())


def live(sts: FakeSts, seconds: float, uniform: Callable[[float, float], float] = middle) -> None:
    """Let a refresher run for a while."""

    async def main() -> None:
        async with supervised("credentials", Refresher(sts, now=now, uniform=uniform).run):
            await asyncio.sleep(seconds)

    virtual_clock.run(main())


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        pytest.param(3600.0, [0.0, 2700.0, 5400.0], id="an hour"),
        pytest.param(3.0, [0.0, 2.25, 4.5], id="three seconds"),
        pytest.param(None, [0.0], id="for ever"),
    ],
)
def test_renewed_at_three_quarters(life: float | None, expected: list[float]) -> None:
    """One call at each three quarters of a life; none for what never expires."""
    sts = FakeSts(life)

    live(sts, 5500.0 if life is None or life > 10 else 5.0)

    assert sts.calls == expected


@pytest.mark.parametrize(("edge", "at"), [(0, 0.75 * 0.9 * 3600), (1, 0.75 * 1.1 * 3600)])
def test_jitter(edge: int, at: float) -> None:
    """The moment is spread by a tenth either way."""
    sts = FakeSts()

    live(sts, at + 1, uniform=lambda *bounds: bounds[edge])

    assert sts.calls == [0.0, pytest.approx(at)]


def test_replicas_do_not_march_in_step() -> None:
    """Eight replicas that start together renew at eight moments, spread over minutes."""
    moments = []
    chance = random.Random(8)  # noqa: S311 - a seed, no secret: of all draws, one in 200 has a pair
    for _ in range(8):
        sts = FakeSts()
        live(sts, 3000.0, uniform=chance.uniform)
        moments.append(round(sts.calls[1], 1))

    assert len(set(moments)) == 8
    assert all(2430 <= moment <= 2970 for moment in moments)


@pytest.mark.parametrize("how", ["fails", "hangs"])
@pytest.mark.parametrize(("life", "margin"), [(3600.0, 30.0), (100.0, 10.0)])
def test_an_outage_is_sat_out(how: str, life: float, margin: float) -> None:
    """The last good credentials serve until just before they expire, and STS's return ends the outage."""
    back = life + 60
    sts = FakeSts(life, down=((life / 2, back),), how=how)

    seen = watch(sts, back + 10)

    assert seen[1] == (life - margin, "upstream_unavailable")
    assert [state for _, state in seen] == ["ASIA1", "upstream_unavailable", f"ASIA{len(sts.calls)}"]
    assert back <= seen[2][0] <= back + 2


def test_an_outage_before_expiry_is_not_seen() -> None:
    """Who comes back in time finds that nobody has noticed."""
    sts = FakeSts(3600.0, down=((2000.0, 3300.0),))

    seen = watch(sts, 3560.0)

    assert [state.startswith("ASIA") for _, state in seen] == [True, True]


@pytest.mark.parametrize(("how", "overlap"), [("fails", 1), ("hangs", MAX_OVERLAP)])
def test_calls_are_bounded(how: str, overlap: int) -> None:
    """Slow while the credentials hold, about one call a second once there is nothing to serve with."""
    sts = FakeSts(3600.0, down=((1000.0, 9000.0),), how=how)

    live(sts, 4600.0)

    calm = [at for at in sts.calls if 2700 <= at < 3560]
    urgent = [at for at in sts.calls if 3600 <= at < 4200]
    assert len(calm) < 50
    assert 400 <= len(urgent) <= 700
    assert sts.most <= overlap


def test_a_process_is_not_started_twice() -> None:
    """Where a call may not overlap, the next waits for the end of the one before."""
    sts = FakeSts(100.0, down=((50.0, 9000.0),), how="hangs")
    sts.overlapping = False

    watch(sts, 300.0)

    assert sts.most == 1


def test_never_issued(log: io.StringIO) -> None:
    """Before the first success there are no credentials, and the reason is said, ever more seldom."""
    sts = FakeSts(down=((0.0, 60.0),))

    seen = watch(sts, 65.0)

    assert [state for _, state in seen] == ["upstream_denied", f"ASIA{len(sts.calls)}"]
    said = lines(log, "credentials_not_renewed")
    assert [line["failures"] for line in said] == [1, 2, 4, 8, 16, 32, 64]
    assert {line["detail"] for line in said} == {"RuntimeError"}


def test_what_is_no_emergency() -> None:
    """Where nothing urges, attempts grow rarer while nothing is issued; who asks has one made at once."""
    sts = FakeSts(down=((0, 900),), how="hangs")

    async def main() -> None:
        refresher = Refresher(sts, urgent=False, now=now, uniform=middle)
        session = CallerSession(refresher)
        async with supervised("credentials", refresher.run):
            await asyncio.sleep(901)
            before = len(sts.calls)
            assert before < 50  # an emergency makes three times as many, several at a time
            with pytest.raises(UpstreamDenied):
                await session.current()
            await asyncio.sleep(0.1)
            assert len(sts.calls) == before + 1
            assert await session.current() == Credentials(f"ASIA{before + 1}", "secret")
            assert not refresher.wake()

    virtual_clock.run(main())
    assert sts.most == 1


def test_issued_too_late(log: io.StringIO) -> None:
    """Credentials that have expired already are not taken: the clock is named."""
    seen = watch(FakeSts(-1.0), 1.0)

    assert seen == [(0.0, "upstream_denied")]
    assert "clock" in lines(log, "credentials_not_renewed")[0]["detail"]


def test_an_issuer_that_never_returns_is_bounded() -> None:
    """Whatever the issuer's own clocks are, an attempt ends."""

    async def main() -> float:
        sts = FakeSts(latency=86_400.0)
        sts.overlapping = False
        refresher = Refresher(sts, now=now, uniform=middle)
        async with supervised("credentials", refresher.run):
            await refresher.first_round()
            return asyncio.get_running_loop().time()

    assert virtual_clock.run(main()) == ISSUE_TIMEOUT_S


# ── renewals that somebody asks for ───────────────────────────────────────────────────────────────────


def test_rejected_credentials_are_renewed_once_for_all() -> None:
    """A hundred callers whose keys were rejected share one attempt, and all get others."""

    async def main() -> tuple[list[bool], list[float], str]:
        sts = FakeSts(latency=0.5)
        refresher = Refresher(sts, now=now, uniform=middle)
        async with supervised("credentials", refresher.run):
            await refresher.first_round()
            rejected = await refresher.current()
            await asyncio.sleep(10.0)
            renewed = await asyncio.gather(*(refresher.renew(rejected) for _ in range(100)))
            late = await refresher.renew(rejected)
            return [*renewed, late], sts.calls, (await refresher.current()).access_key_id

    assert virtual_clock.run(main()) == ([True] * 101, [0.0, 10.5], "ASIA2")


def test_a_renewal_is_not_forced_again_at_once() -> None:
    """Fresh credentials that are rejected, too, do not turn each request into a call of STS."""

    async def main() -> tuple[bool, bool, int]:
        sts = FakeSts()
        refresher = Refresher(sts, now=now, uniform=middle)
        async with supervised("credentials", refresher.run):
            await refresher.first_round()
            at_once = await refresher.renew(await refresher.current())
            await asyncio.sleep(2.0)
            later = await refresher.renew(await refresher.current())
            return at_once, later, len(sts.calls)

    assert virtual_clock.run(main()) == (False, True, 2)


def test_who_leaves_does_not_take_the_renewal_along() -> None:
    """The caller that asked for a renewal goes; the one who stays gets it, from the same call."""

    async def main() -> tuple[bool, int]:
        sts = FakeSts(latency=1.0)
        refresher = Refresher(sts, now=now, uniform=middle)
        async with supervised("credentials", refresher.run):
            await refresher.first_round()
            rejected = await refresher.current()
            await asyncio.sleep(10.0)
            async with asyncio.TaskGroup() as group:
                leaver = group.create_task(refresher.renew(rejected))
                await asyncio.sleep(0.3)
                stayer = group.create_task(refresher.renew(rejected))
                await asyncio.sleep(0.3)
                leaver.cancel()
            return stayer.result(), len(sts.calls)

    assert virtual_clock.run(main()) == (True, 2)


def test_a_renewal_that_takes_too_long_is_given_up() -> None:
    """Without anybody who renews, whoever asks is told no."""

    async def main() -> tuple[bool, float]:
        refresher = Refresher(FakeSts(), now=now, uniform=middle)
        return await refresher.renew(Credentials("a", "b")), asyncio.get_running_loop().time()

    assert virtual_clock.run(main()) == (False, ISSUE_TIMEOUT_S)


# ── the supervisor, and words ─────────────────────────────────────────────────────────────────────────


def test_a_task_that_dies_is_logged_and_started_again(log: io.StringIO) -> None:
    """A defect ends one run, not the renewals; the end of the block ends the task."""

    async def main() -> list[float]:
        starts: list[float] = []

        async def work() -> None:
            starts.append(asyncio.get_running_loop().time())
            if len(starts) == 1:
                raise ZeroDivisionError
            await asyncio.Event().wait()

        async with supervised("the task", work):
            await asyncio.sleep(5.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return starts

    assert virtual_clock.run(main()) == [0.0, 1.0]
    assert [line["task"] for line in lines(log, "task_failed")] == ["the task"]


def test_what_went_wrong_is_described() -> None:
    """Ours by its detail, or else its message; others by kind only: their text may hold a secret."""
    assert described(UpstreamDenied("m", detail="d")) == "d"
    assert described(UpstreamUnavailable("m")) == "m"
    assert described(ValueError("secret")) == "ValueError"


def test_repr() -> None:
    """A refresher shows its name and its counts, no keys."""

    async def main() -> tuple[str, str]:
        refresher = Refresher(FakeSts(), now=now, uniform=middle)
        empty = f"{refresher.seconds_left:g}"
        async with supervised("credentials", refresher.run):
            await refresher.first_round()
            return empty, repr(refresher)

    assert virtual_clock.run(main()) == ("0", "<Refresher of the fake, 1 renewals, 0 failures>")
