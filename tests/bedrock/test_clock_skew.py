"""The clock beside AWS's: what is measured, when it is said, and which errors it explains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime
from typing import TYPE_CHECKING, Self

import pytest

from gateway.bedrock.clock_skew import ClockSkew
from gateway.emulator.authentication import utc_now
from gateway.errors import UpstreamDenied
from tests.harness import StartGateway, lines

if TYPE_CHECKING:
    import io

    from gateway.emulator import Emulator

HERE = datetime(2026, 1, 1, 12, tzinfo=UTC)


def date(ahead: float) -> str:
    """Return the `Date` of an AWS beside which our clock is so many seconds ahead."""
    return format_datetime(HERE - timedelta(seconds=ahead), usegmt=True)


def skews(ahead: list[float]) -> ClockSkew:
    """Return a measurement that has seen these skews, two seconds apart."""
    moments = iter(range(0, 2 * len(ahead) + 1, 2))
    skew = ClockSkew(lambda: float(next(moments)), lambda: HERE)
    for seconds in ahead:
        skew.observe(date(seconds))
    return skew


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        pytest.param([0, 1, -1, 60, -60], [], id="small"),
        pytest.param([0, 400, 401, 399], [("warning", 400)], id="once"),
        pytest.param([-90], [("warning", -90)], id="behind"),
        pytest.param([100, 161, 150], [("warning", 100), ("warning", 161)], id="again when it changes"),
        pytest.param(
            [100, 0, 1, 100], [("warning", 100), ("info", 0), ("warning", 100)], id="over, and back"
        ),
    ],
)
def test_alarm(ahead: list[float], said: list[tuple[str, float]], log: io.StringIO) -> None:
    """More than a minute is said once per change, and that it is over, too."""
    skew = skews(ahead)

    assert skew.seconds == ahead[-1]
    assert [(line["level"], line["seconds"]) for line in lines(log, "clock_skew")] == said


def test_measured_once_a_second() -> None:
    """A thousand answers a second do not cost a thousand parsings."""
    moments = iter([0.0, 0.5, 0.99, 1.0])
    skew = ClockSkew(lambda: next(moments), lambda: HERE)
    seen = []
    for ahead in (10, 20, 30, 40):
        skew.observe(date(ahead))
        seen.append(skew.seconds)

    assert seen == [10, 10, 10, 40]


@pytest.mark.parametrize("value", [None, "", "yesterday", "Thu, 99 Jan 2026 00:00:00 GMT"])
def test_no_date(value: str | None) -> None:
    """Without a date nothing is known, and nothing fails."""
    skew = ClockSkew(lambda: 0.0)
    skew.observe(value)

    assert skew.seconds == 0


def test_a_date_without_zone_is_utc() -> None:
    """RFC 5322's `-0000` is UTC of unknown place."""
    skew = ClockSkew(lambda: 0.0, lambda: HERE)
    skew.observe("Thu, 01 Jan 2026 11:59:00 -0000")

    assert skew.seconds == 60


@pytest.mark.parametrize(
    ("code", "detail", "explained"),
    [
        ("InvalidSignatureException", "Signature expired: a is now earlier than b - 5 min.", True),
        ("InvalidSignatureException", "Signature not yet current: a is still later than b.", True),
        ("SignatureDoesNotMatch", "Signature expired: a", True),
        ("RequestTimeTooSkewed", "The difference is too large.", True),
        ("RequestExpired", None, True),
        ("InvalidSignatureException", "The request signature we calculated does not match.", False),
        ("AccessDeniedException", "Signature expired", False),
    ],
)
def test_errors_are_explained(code: str, detail: str | None, *, explained: bool) -> None:
    """Errors that a wrong clock causes say how wrong it is; others stay as they are."""
    error = UpstreamDenied("m", detail=detail, upstream_code=code)
    skews([-400]).explain(error)

    words = "This host's clock is 400 s behind AWS's."
    assert error.detail == (f"{detail or ''} {words}".strip() if explained else detail)


class Later(datetime):
    """A `datetime` whose now is in ten minutes."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Return the wrong time."""
        return super().now(tz) + timedelta(minutes=10)


async def test_a_wrong_clock_is_named(
    monkeypatch: pytest.MonkeyPatch, start: StartGateway, emulator: Emulator, log: io.StringIO
) -> None:
    """Signatures of a clock that is ten minutes ahead are refused; the log line of the request says why."""
    async with start(emulator) as caller:
        monkeypatch.setattr("gateway.bedrock.client.datetime", Later)
        skew = caller.gateway.targets["default"].client.skew
        monkeypatch.setattr(skew, "_now", lambda: utc_now() + timedelta(minutes=10))
        status, _ = await caller.complete(
            {"model": "us.amazon.nova-micro-v1:0", "messages": [{"role": "user", "content": "Hi"}]}
        )
        seconds = caller.gateway.targets["default"].client.clock_skew_s

    [line] = lines(log)
    assert status == 502
    assert 590 <= seconds <= 610
    assert line["detail"].startswith("Signature not yet current: ")
    assert "s ahead of AWS's." in line["detail"]
    assert len(lines(log, "clock_skew")) == 1
