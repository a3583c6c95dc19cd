"""What is counted of a request by the facts of its line, and that labels come from allow-lists."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gateway.errors import GatewayError, RateLimited, UpstreamThrottled
from gateway.observability.cells import Distribution
from gateway.observability.events import Events
from gateway.observability.families import Family, Histogram, of_events, of_requests
from gateway.observability.metrics import RequestMetrics
from gateway.observability.request_log import RequestLog
from gateway.retries.trail import Trail
from gateway.timing import Timing

STREAM = "/chat/completions/stream"
TOKENS = {"input_tokens": 9, "output_tokens": 40, "cache_read_tokens": 2, "cache_write_tokens": 1}


def request(**facts: Any) -> RequestLog:
    """Return the log of a good stream, with some facts changed."""
    log = RequestLog("req_1", "POST", STREAM, status=200)
    log.add(format="ndjson", model="m", queue_ms=1.0, first_byte_ms=300.0, total_ms=1_000.0, **facts)
    return log


def timing(seconds: float) -> Timing:
    """Return that of an answer which took so long from its first byte to its end."""
    return Timing(started=0.0, queued=0.0, admitted=0.0, answered=0.2, first_byte=0.3, ended=0.3 + seconds)


def made(*names: str) -> RequestMetrics:
    """Return metrics that know these models."""
    return RequestMetrics(
        lambda name: name if name in names else "other",
        frozenset({"ThrottlingException", "upstream_timeout"}),
    )


def values(metrics: RequestMetrics, name: str) -> dict[tuple[str, ...], float | Histogram]:
    """Return the samples of one family."""
    [family] = [family for family in of_requests(metrics) if family.name == name]
    return dict(family.samples)


def test_buckets_contain_their_bounds() -> None:
    """A value that is a bound is in the bucket below it, as Prometheus' `le` says; above all is +Inf."""
    distribution = Distribution((1, 2))
    for value in (0.5, 1, 1.5, 2, 3):
        distribution.observe(value)

    assert distribution.cumulative() == [2, 4, 5]
    assert distribution.total == 8
    joined = Distribution.joined([distribution, distribution])
    assert (joined.cumulative(), joined.total) == ([4, 8, 10], 16)


def test_pace_is_the_mean_of_a_whole_answer() -> None:
    """From the first bytes to the end by the tokens; of an answer that is not whole nothing is said."""
    metrics = made("m")
    metrics.ended(request(**TOKENS, usage_accuracy="final"), timing(2.0))
    metrics.ended(request(**TOKENS, usage_accuracy="final"), None)
    metrics.ended(request(output_tokens=1, usage_accuracy="final"), timing(2.0))
    failed = request(**TOKENS, usage_accuracy="estimated")
    failed.fail(UpstreamThrottled("no"))
    metrics.ended(failed, timing(2.0))
    metrics.ended(request(**TOKENS), Timing(started=0.0))

    [(_, pace)] = values(metrics, "gateway_time_per_output_token_seconds").items()
    assert isinstance(pace, Histogram)
    assert pace.cumulative[-1] == 1
    assert pace.total == pytest.approx(2.0 / 40)
    tokens = values(metrics, "gateway_tokens")
    assert tokens["m", "output", "final"] == 3 * 40 + 1
    assert tokens["m", "cache_write", "estimated"] == 1


def trail(*lanes: str, failed: tuple[str, ...] = (), answered: bool = False) -> Trail:
    """Return what was tried for one answer."""
    faults: list[GatewayError] = [UpstreamThrottled("no", upstream_code=code) for code in failed]
    return Trail(list(lanes), faults, answered)


def test_attempts_by_result() -> None:
    """What failed before the first event is told by a name we know; what told nothing was abandoned."""
    metrics = made("m")
    failed = ("ThrottlingException", "upstream_timeout", "a word of the far end")
    tried = request()
    tried.trail = trail("east/m", "east/m", "west/m", "west/n", failed=failed, answered=True)
    metrics.ended(tried, None)
    gone = RequestLog("req_2", "POST", STREAM)
    gone.add(model="m")
    gone.trail = trail("west/m")
    gone.leave("disconnected")
    metrics.ended(gone, None)

    assert values(metrics, "gateway_upstream_attempts") == {
        ("east", "ThrottlingException"): 1,
        ("east", "upstream_timeout"): 1,
        ("west", "other"): 1,
        ("west", "answered"): 1,
        ("west", "abandoned"): 1,
    }
    retries = {("call",): 1, ("target",): 1, ("model",): 1}
    assert values(metrics, "gateway_upstream_retries") == retries


def test_calls_side_by_side_are_no_retries_of_each_other() -> None:
    """Each part of a request has its own; a fault is that of the target which had it, in the line as well."""
    metrics = made("m")
    log, whole = request(), Trail()
    whole.join(trail("east/m", answered=True))
    whole.join(trail("west/m", "east/m", failed=("ThrottlingException",), answered=True))
    whole.join(trail("west/m", "west/m", failed=("ThrottlingException", "upstream_timeout")))
    log.fail(UpstreamThrottled("no"))
    log.trail = whole
    metrics.ended(log, None)

    assert values(metrics, "gateway_upstream_attempts") == {
        ("east", "answered"): 2,
        ("west", "ThrottlingException"): 2,
        ("west", "upstream_timeout"): 1,
    }
    assert values(metrics, "gateway_upstream_retries") == {("call",): 1, ("target",): 1, ("model",): 0}
    assert whole.facts() == {
        "attempts": 5,
        "target": "east",
        "targets": ["west/m", "west/m", "west/m", "east/m", "east/m"],
        "failed_with": ["ThrottlingException", "ThrottlingException", "upstream_timeout"],
    }


def test_cut_streams_and_what_has_no_handler() -> None:
    """A stream that the process's end cut is neither an error nor a caller's leaving."""
    metrics = made("m")
    cut = request()
    cut.leave("cut")
    metrics.ended(cut, None)
    metrics.ended(RequestLog("req_2", "BREW", "other", status=404), None)

    assert values(metrics, "gateway_streams")["m", "cut"] == 1
    assert values(metrics, "gateway_errors") == values(metrics, "gateway_client_disconnects") == {}
    assert values(metrics, "gateway_requests") == {
        (STREAM, "POST", "2xx", "cut"): 1,
        ("other", "other", "4xx", "ok"): 1,
    }


def test_a_held_line_is_counted_when_it_is_let_go() -> None:
    """Of an answer that is read on after its caller left, the observer hears when all is known, once."""
    metrics = made("m")
    log = request()
    log.hold()
    log.leave("disconnected")
    log.write(metrics, None)
    assert metrics.requests == {}
    log.add(**TOKENS, usage_accuracy="final")
    log.let_go()

    assert values(metrics, "gateway_tokens")["m", "output", "final"] == 40
    assert list(values(metrics, "gateway_requests").values()) == [1]


def test_new_names_of_models_keep_what_was_counted() -> None:
    """A reload may name models otherwise; counters go on from where they were."""
    metrics = made()
    metrics.ended(request(cost_usd=1.0, input_tokens=9), None)
    metrics.relabel(lambda _: "mine")
    metrics.ended(request(cost_usd=2.0, input_tokens=9), None)
    metrics.ended(request(cost_usd=2.0, input_tokens=9), None)

    assert values(metrics, "gateway_cost_usd") == {("other",): 1.0, ("mine",): 4.0}


def series(metrics: RequestMetrics) -> set[tuple[str, ...]]:
    """Return every series that a scrape would give."""
    return {(family.name, *labels) for family in of_requests(metrics) for labels, _ in family.samples}


def test_ten_thousand_models_make_no_series() -> None:
    """Whatever models and methods callers ask for, the series are those of the first of each kind (R60)."""
    rng = random.Random(60)  # noqa: S311 - a seed, not a secret
    metrics = made("m")

    def one() -> None:
        word = f"{rng.getrandbits(64):x}"
        log = RequestLog("req_1", rng.choice(("GET", word)), "other", status=404)
        log.add(model=rng.choice(("m", word)))
        log.trail = trail("default/m", failed=(word,))
        metrics.ended(log, None)

    for _ in range(50):
        one()
    before = series(metrics)
    for _ in range(10_000):
        one()

    assert series(metrics) == before
    assert len(metrics._by_id) <= 1_000


def test_callers_by_what_became_of_their_requests() -> None:
    """Each that is named has its own series; who has no name has none."""
    metrics = made("m")
    metrics.ended(request(caller="team-a", cost_usd=0.5, **TOKENS), timing(1))
    refused = request(caller="team-a")
    refused.fail(RateLimited("Too much."))
    left = request(caller="team-b")
    left.leave("disconnected")
    for log in (refused, left, request(**TOKENS)):
        metrics.ended(log, None)

    assert values(metrics, "gateway_caller_requests") == {
        ("team-a", "ok"): 1,
        ("team-a", "rate_limited"): 1,
        ("team-b", "disconnected"): 1,
    }
    assert values(metrics, "gateway_caller_tokens")["team-a", "output"] == 40
    assert values(metrics, "gateway_caller_tokens")["team-b", "output"] == 0
    assert values(metrics, "gateway_caller_cost_usd") == {("team-a",): 0.5, ("team-b",): 0.0}


def test_events() -> None:
    """Events are counted where they happen, drops by our own word."""
    events = Events(heartbeats=3, slow_readers=2)
    events.drop("a")
    events.drop("a")

    counted: dict[str, Family] = {family.name: family for family in of_events(events)}
    assert counted["gateway_heartbeats"].samples == [((), 3)]
    assert counted["gateway_slow_reader_aborts"].samples == [((), 2)]
    assert counted["gateway_connections_dropped"].samples == [(("a",), 2)]
