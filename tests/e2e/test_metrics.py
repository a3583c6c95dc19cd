"""Metrics over real sockets: what each outcome moves, and what none of them can make more."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from pydantic import SecretStr

from gateway import addresses, app
from gateway.settings import (
    AwsSettings,
    BedrockSettings,
    BreakerSettings,
    CredentialSettings,
    DrainSettings,
    MetricsSettings,
    RetrySettings,
    RoleSettings,
    Settings,
)
from tests.e2e.test_targets import gateway_of, regions, settings_for
from tests.harness import LLAMA, NOVA, Caller, StartGateway, ask
from tests.raw import connected, exchanged, post
from tests.scraping import OPENMETRICS, moves, scrape
from tests.soak.credentials import EXTERNAL_ID, ROLE, stage

if TYPE_CHECKING:
    from gateway.emulator import Emulator

METRICS = MetricsSettings(port=0)
QUICK = RetrySettings(backoff_ms=1, max_backoff_ms=2)
TITAN = "amazon.titan-embed-text-v2:0"
LABEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
"""What every id of this model is called."""
STREAM = "method=POST,outcome={},route=/chat/completions/stream,status={}"
LONG = "[[emulator deltas=4900 pace_ms=20]]"


def requests(outcome: str, status: str = "2xx") -> str:
    """Return the series of requests for a stream."""
    return f"gateway_requests_total{{{STREAM.format(outcome, status)}}}"


def streams(end: str) -> str:
    """Return the series of the ends of streams."""
    return f"gateway_streams_total{{end={end},model={LABEL}}}"


def attempts(result: str, target: str = "default") -> str:
    """Return the series of calls to Bedrock."""
    return f"gateway_upstream_attempts_total{{result={result},target={target}}}"


def errors(code: str, phase: str) -> str:
    """Return the series of errors."""
    return f"gateway_errors_total{{code={code},phase={phase}}}"


@dataclass(frozen=True)
class Scenario:
    """What happens to the stream that is asked for, and the counters that move: by 1, or as `more` says."""

    script: str
    moved: tuple[str, ...]
    more: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


SCENARIOS = {
    "ok": Scenario("", (requests("ok"), streams("done"), attempts("answered"))),
    "a wrong parameter": Scenario(
        "error=ValidationException",
        (requests("error", "4xx"), errors("invalid_request", "head"), attempts("ValidationException")),
    ),
    "throttled once": Scenario(
        "error=ThrottlingException",
        (
            *(requests("ok"), streams("done"), attempts("answered"), attempts("ThrottlingException")),
            "gateway_upstream_retries_total{to=call}",
        ),
    ),
    "throttled for good": Scenario(
        "error=ThrottlingException",
        (requests("error", "4xx"), errors("upstream_throttled", "head"), attempts("ThrottlingException")),
        settings={"retries": RetrySettings(max_attempts=1)},
    ),
    "an error in the stream": Scenario(
        "exception=modelStreamErrorException after=4 frames_per_write=1 pace_ms=5",
        (requests("error"), streams("error"), errors("upstream_failed", "stream"), attempts("answered")),
    ),
    "a reset in the stream": Scenario(
        "reset=4 frames_per_write=1 pace_ms=5",
        (requests("error"), streams("error"), errors("upstream_protocol", "stream"), attempts("answered")),
    ),
    "silence": Scenario(
        "deltas=2 first_byte_ms=400",
        (requests("ok"), streams("done"), attempts("answered")),
        {"gateway_heartbeats_total": 1},
        {"heartbeat_grace_ms": 100, "heartbeat_interval_ms": 60_000},
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_an_outcome_moves(emulator: Emulator, start: StartGateway, name: str) -> None:
    """Each outcome moves its counters and no others."""
    scenario = SCENARIOS[name]
    async with start(emulator, metrics=METRICS, **{"retries": QUICK, **scenario.settings}) as caller:
        emulator.script(scenario.script, "")
        async with moves(caller.gateway.metrics_url) as moved:
            await caller.stream(ask("Hello"))

    assert moved.counted == {**dict.fromkeys(scenario.moved, 1.0), **scenario.more}


async def test_what_a_good_stream_tells(emulator: Emulator, start: StartGateway) -> None:
    """Tokens, cost, first byte, pace, queue wait and duration are those of the answer."""
    async with start(emulator, metrics=METRICS) as caller, moves(caller.gateway.metrics_url) as moved:
        _, records, _ = await caller.stream(ask("[[emulator deltas=5 pace_ms=20]]"))

    usage = records[-1]["usage"]
    for kind in ("input", "output"):
        series = f"gateway_tokens_total{{accuracy=final,kind={kind},model={LABEL}}}"
        assert moved.all[series] == usage[f"{kind}_tokens"]
    assert moved.total("gateway_cost_usd_total") == pytest.approx(records[-1]["cost_usd"])
    for name in ("time_to_first_byte", "time_per_output_token", "queue_wait"):
        assert moved.all[f"gateway_{name}_seconds_count{{model={LABEL}}}"] == 1
    first_byte = moved.all[f"gateway_time_to_first_byte_seconds_sum{{model={LABEL}}}"]
    assert first_byte == pytest.approx(records[-1]["timing"]["first_byte_ms"] / 1000, abs=1e-6)
    per_token = moved.all[f"gateway_time_per_output_token_seconds_sum{{model={LABEL}}}"]
    duration = moved.all["gateway_request_duration_seconds_sum{outcome=ok,route=/chat/completions/stream}"]
    assert first_byte < first_byte + per_token * usage["output_tokens"] <= duration


async def test_a_caller_who_leaves(emulator: Emulator, start: StartGateway) -> None:
    """A stream that loses its caller is told apart from one that fails, and where it was."""
    async with start(emulator, metrics=METRICS) as caller, moves(caller.gateway.metrics_url) as moved:
        await _leave(caller)

    left = "gateway_client_disconnects_total{phase=stream}"
    ours = (requests("disconnected"), streams("client_gone"), attempts("answered"), left)
    assert moved.counted == dict.fromkeys(ours, 1.0)


async def test_a_drained_answer_is_counted_when_its_tokens_are_known(
    emulator: Emulator, start: StartGateway
) -> None:
    """Who left is counted once, behind the answer that is read on, with tokens that are exact."""
    async with (
        start(emulator, metrics=METRICS, on_disconnect="drain") as caller,
        moves(caller.gateway.metrics_url) as moved,
    ):
        await _leave(caller, "[[emulator deltas=12 pace_ms=20]]")

    assert moved.counted[requests("disconnected")] == 1
    assert moved.all[f"gateway_tokens_total{{accuracy=final,kind=output,model={LABEL}}}"] > 0


async def _leave(caller: Caller, text: str = LONG) -> None:
    url = f"{caller.url}/chat/completions/stream"
    async with caller.session.post(url, json=ask(text)) as response:
        for _ in range(3):
            await response.content.readline()
        response.close()


async def test_a_caller_who_does_not_read(emulator: Emulator, start: StartGateway) -> None:
    """The abort of a slow reader is counted where it happens."""
    async with (
        start(emulator, metrics=METRICS, write_timeout_ms=100) as caller,
        moves(caller.gateway.metrics_url) as moved,
        connected(caller.url, receive_buffer=4096) as raw,
    ):
        await raw.send(post(ask("[[emulator deltas=4900 delta_chars=2000]]", model=LLAMA)))
        await moved.wait(1)

    assert moved.counted["gateway_slow_reader_aborts_total"] == 1
    assert moved.counted[requests("disconnected")] == 1


async def test_what_never_reaches_a_handler(emulator: Emulator, start: StartGateway) -> None:
    """Requests that are no HTTP, and connections that are dropped, are counted too."""
    async with start(emulator, metrics=METRICS) as caller, moves(caller.gateway.metrics_url) as moved:
        await exchanged(caller.url, b"GET / HTTP/9.9\r\nbroken\r\n\r\n")
        async with connected(caller.url) as raw:
            await raw.send(post(ask("[[emulator first_byte_ms=60000]]")))
            await emulator.wait_active(1)
            await raw.send(post(ask()) * 9)
            await raw.rest()
        await moved.wait(2)

    malformed = "gateway_requests_total{method=other,outcome=error,route=malformed,status=4xx}"
    assert moved.counted[malformed] == 1
    assert moved.counted[errors("invalid_request", "connection")] == 1
    assert moved.counted["gateway_connections_dropped_total{reason=requests behind an unanswered one}"] == 1


async def test_failover_and_open_breakers() -> None:
    """A dead region: the attempts of both targets, the change between them, and the breaker that opens."""
    async with regions() as bedrocks:
        settings = settings_for(bedrocks, metrics=METRICS, breaker=BreakerSettings(failed_connections=2))
        await bedrocks["east"].close()
        async with gateway_of(settings) as caller:
            async with moves(caller.gateway.metrics_url, requests=4) as moved:
                for _ in range(4):
                    status, _, _ = await caller.stream(ask(model=NOVA))
                    assert status == 200
            samples = await scrape(str(caller.gateway.metrics_url))

    assert samples["gateway_credentials_seconds_left{target=west}"] == float("inf")
    assert moved.counted[attempts("upstream_unavailable", "east")] == 2
    assert moved.counted[attempts("answered", "west")] == 4
    assert moved.counted["gateway_upstream_retries_total{to=target}"] == 2
    place = "model=amazon.nova-micro-v1:0,state={},target=east"
    assert moved.all[f"gateway_breaker_state{{{place.format('open')}}}"] == 1


async def test_each_call_of_an_embedding_is_one_of_its_own(emulator: Emulator, start: StartGateway) -> None:
    """Calls side by side are no retries of each other: one is retried, and counted as that, whoever fails."""
    async with start(emulator, metrics=METRICS, retries=QUICK) as caller:
        emulator.script("error=ThrottlingException")
        async with moves(caller.gateway.metrics_url) as moved:
            body = {"model": TITAN, "input": [f"text {n}" for n in range(4)]}
            await caller.session.post(f"{caller.url}/embeddings", json=body)
        async with moves(caller.gateway.metrics_url) as failed:
            body["input"] = [*(f"text {n}" for n in range(9)), "[[emulator error=ValidationException]]"]
            await caller.session.post(f"{caller.url}/embeddings", json=body)

    told = {series: count for series, count in moved.counted.items() if "upstream" in series}
    assert told == {
        attempts("answered"): 4,
        attempts("ThrottlingException"): 1,
        "gateway_upstream_retries_total{to=call}": 1,
    }
    assert failed.counted[attempts("answered")] > 0, "what was answered stays so, whatever fails beside it"
    assert failed.counted[attempts("ValidationException")] == 1
    assert failed.total("gateway_upstream_retries_total") == 0


async def test_what_is_under_way(emulator: Emulator, start: StartGateway) -> None:
    """Slots, queue, lanes and connections are those of the moment; so is the limit that follows throttles."""
    async with start(
        emulator, metrics=METRICS, max_concurrency=9, retries=RetrySettings(max_attempts=1)
    ) as caller:
        url = str(caller.gateway.metrics_url)
        await caller.stream(ask("[[emulator error=ThrottlingException]]"))
        holder = asyncio.create_task(caller.stream(ask("[[emulator first_byte_ms=60000]]")))
        await emulator.wait_active(1)
        waiter = asyncio.create_task(caller.stream(ask("[[emulator first_byte_ms=60000]]")))
        async with asyncio.timeout(60):
            while caller.gateway.limiter.waiting == 0:  # noqa: ASYNC110 - another task's doing
                await asyncio.sleep(0.005)
        samples = await scrape(url)
        for task in (holder, waiter):
            task.cancel()
        await asyncio.gather(holder, waiter, return_exceptions=True)

    lane = f"{{model={LABEL},target=default}}"
    expected = {
        "gateway_slots_in_use": 1, "gateway_slots": 9, "gateway_queue_depth": 1, "gateway_queue_limit": 100,
        f"gateway_lane_running{lane}": 1, f"gateway_lane_waiting{lane}": 1, f"gateway_lane_limit{lane}": 1,
        "gateway_requests_in_progress": 2, "gateway_ready": 1, "gateway_draining": 0,
        "gateway_connections_limit": 2000, "gateway_connections_surplus": 0, "gateway_config_generation": 1,
        "gateway_retry_budget_limit": 3, "gateway_abandoned_answers": 0,
    }  # fmt: skip
    assert {series: samples[series] for series in expected} == expected
    assert samples["gateway_connections"] >= 2
    assert samples["gateway_body_bytes"] > 0
    assert samples["gateway_tasks"] >= 3


async def test_the_drain_is_seen_to_its_end(emulator: Emulator, start: StartGateway) -> None:
    """The private port answers while the process drains; whoever is interrupted is an error of ours."""
    patient = DrainSettings(propagation_ms=60_000, deadline_ms=60_000, grace_ms=200_000)
    async with start(emulator, metrics=METRICS, drain=patient) as caller:
        stream = asyncio.create_task(caller.stream(ask(LONG)))
        await emulator.wait_active(1)
        async with moves(caller.gateway.metrics_url) as moved:
            drain = asyncio.create_task(caller.gateway.drain())
            await asyncio.sleep(0)
            samples = await scrape(str(caller.gateway.metrics_url))
            caller.gateway.hurry()
            await drain
            await caller.gateway._lasting.drain.end(caller.gateway.serving)
            _, records, _ = await stream

    assert (samples["gateway_draining"], samples["gateway_ready"]) == (1, 0)
    assert records[-1]["error"]["code"] == "server_shutdown"
    assert moved.counted[errors("server_shutdown", "stream")] == 1
    assert moved.counted[streams("error")] == 1


async def test_a_reload_resets_nothing(emulator: Emulator, start: StartGateway) -> None:
    """Counters are the process's: new settings count on, by new names of models where they say so."""
    from tests.harness import settings_for as harness_settings  # noqa: PLC0415 - two fixtures of one name

    custom = "imported.my-model-v1"
    async with start(emulator, metrics=METRICS) as caller:
        url = str(caller.gateway.metrics_url)
        async with moves(url, requests=2):
            await caller.stream(ask())
            await caller.complete(ask(model=custom))
        changed = harness_settings(
            emulator, metrics=METRICS, max_queue=7, models={custom: {"on_demand": True}}
        )
        await caller.gateway.reload(changed)
        async with moves(url, requests=2) as moved:
            await caller.stream(ask())
            await caller.complete(ask(model=custom))
        samples = await scrape(url)

    assert samples[requests("ok")] == 2
    assert (samples["gateway_config_generation"], samples["gateway_queue_limit"]) == (2, 7)
    assert "gateway_queue_wait_seconds_count{model=other}" in samples
    assert moved.all[f"gateway_queue_wait_seconds_count{{model={custom}}}"] == 1


async def test_callers_make_no_series(emulator: Emulator, start: StartGateway) -> None:
    """Random models, paths, methods and headers add nothing once one of each kind has been there (R60)."""
    rng = random.Random(60)  # noqa: S311 - a seed, not a secret

    async def ask_at_random(caller: Caller) -> None:
        word = f"{rng.getrandbits(64):x}"
        model = rng.choice(
            (
                f"acme.{word}",
                f"us.acme.{word}-v1:0",
                f"arn:aws:bedrock:us-east-1:{rng.randrange(10**12):012}:imported-model/{word}",
            )
        )
        headers = {"Authorization": f"Bearer {word}", "X-Api-Key": word, "X-Request-Id": word}
        await caller.complete(ask("[[emulator deltas=1]]", model=model))
        async with caller.session.request(
            rng.choice(("GET", "PUT", word.upper())), f"{caller.url}/{word}?{word}=1", headers=headers
        ):
            pass

    async with start(emulator, metrics=METRICS) as caller:
        url = str(caller.gateway.metrics_url)
        async with moves(url, requests=40):
            for _ in range(20):
                await ask_at_random(caller)
        before = (await scrape(url)).keys()
        async with moves(url, requests=400) as moved:
            for _ in range(200):
                await ask_at_random(caller)
        after = (await scrape(url)).keys()

    assert after == before
    assert moved.all["gateway_queue_wait_seconds_count{model=other}"] > 0


async def test_credentials_and_their_source_changed() -> None:
    """Renewals are counted by target, and go on from there when a reload brings a new source."""
    async with stage(3600.0) as on, aiohttp.ClientSession() as session:
        settings = Settings(
            port=0,
            metrics=METRICS,
            aws=AwsSettings(
                access_key_id=SecretStr(on.bedrock.settings.access_key_id),
                secret_access_key=SecretStr(on.bedrock.settings.secret_access_key),
                region=on.bedrock.settings.region,
                endpoint_url=on.bedrock.url,
                sts_endpoint_url=on.sts.url,
            ),
            credentials=CredentialSettings(roles=(RoleSettings(role_arn=ROLE, external_id=EXTERNAL_ID),)),
        )
        async with app.running(settings) as gateway:
            caller = Caller(gateway, session)
            await caller.stream(ask(model=NOVA))
            before = await scrape(str(gateway.metrics_url))
            other = settings.model_copy(update={"bedrock": BedrockSettings(connect_timeout_ms=2_999)})
            await gateway.reload(other)
            after = await scrape(str(gateway.metrics_url))

    renewals, left = "gateway_credentials_renewals_total{target=default}", "gateway_credentials_seconds_left"
    assert (before[renewals], after[renewals]) == (1, 2)
    assert 0 < before[f"{left}{{target=default}}"] < 3600
    assert before["gateway_credentials_failures_total{target=default}"] == 0
    pool = "gateway_upstream_connections{{state={},target=default}}"
    assert [before[pool.format(state)] for state in ("in_use", "idle")] == [0, 1]
    assert [after[pool.format(state)] for state in ("in_use", "idle")] == [0, 0]


# ── the private port ──────────────────────────────────────────────────────────────────────────────────


async def test_both_forms_are_the_same(emulator: Emulator, start: StartGateway) -> None:
    """Prometheus' text and OpenMetrics, each by its own parser, tell the same series."""
    async with start(emulator, metrics=METRICS) as caller:
        async with moves(caller.gateway.metrics_url):
            await caller.stream(ask())
        url = str(caller.gateway.metrics_url)
        text, openmetrics = await scrape(url), await scrape(url, OPENMETRICS)

    assert text.keys() == openmetrics.keys()
    assert {"process_resident_memory_bytes", "process_open_fds"} <= text.keys()
    assert any(series.startswith("gateway_build_info{") for series in text)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/metrics", 405)])
async def test_nothing_else_is_there(
    emulator: Emulator, start: StartGateway, method: str, path: str, status: int
) -> None:
    """The private port has one path."""
    async with start(emulator, metrics=METRICS) as caller, aiohttp.ClientSession() as session:
        url = str(caller.gateway.metrics_url).removesuffix("/metrics") + path
        async with session.request(method, url) as response:
            assert response.status == status
            assert response.headers["Server"] == "bedrock-gateway"


async def test_the_public_port_has_no_metrics(emulator: Emulator, start: StartGateway) -> None:
    """Callers find nothing at /metrics, and by default nothing is measured (R60)."""
    async with (
        start(emulator, metrics=METRICS) as caller,
        caller.session.get(f"{caller.url}/metrics") as answer,
    ):
        assert answer.status == 404
    async with start(emulator) as caller:
        assert caller.gateway.metrics_url is None
        assert caller.gateway.serving.dispatcher.services.observer is None


async def test_scrapes_side_by_side(emulator: Emulator, start: StartGateway) -> None:
    """Many scrapers at once are answered, one after the other."""
    async with start(emulator, metrics=METRICS) as caller:
        url = str(caller.gateway.metrics_url)
        answers = await asyncio.gather(*(scrape(url) for _ in range(12)))

    assert all("gateway_ready" in samples for samples in answers)


async def test_a_port_that_is_taken(emulator: Emulator, start: StartGateway) -> None:
    """The start fails, and says which setting to change."""
    async with start(emulator, metrics=METRICS) as caller:
        port = int(str(caller.gateway.metrics_url).split(":")[2].partition("/")[0])
        with pytest.raises(
            addresses.ListenError, match=r"metrics on 127.0.0.1:\d+ \(.*METRICS__PORT.*already in use"
        ):
            async with start(emulator, metrics=MetricsSettings(port=port)):
                pass
