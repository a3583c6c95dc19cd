"""Several targets over real sockets: failover under load, other accounts, readiness, the check."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from pydantic import SecretStr

from gateway import app
from gateway.commands.check import _results
from gateway.composition import StartError
from gateway.diagnosis.examination import Plan
from gateway.emulator import EmulatedSts, Emulator, EmulatorSettings, KeyRing, Role
from gateway.settings import AwsSettings, Settings
from tests.harness import NOVA, Caller, ask, lines

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator
    from pathlib import Path

EMBEDDER = "amazon.titan-embed-text-v2:0"
ROLE = "arn:aws:iam::222233334444:role/other"
REGIONS = {"east": "us-east-1", "west": "us-west-2"}
WORKERS = 6


@asynccontextmanager
async def regions(**west: Any) -> AsyncIterator[dict[str, Emulator]]:
    """Run a Bedrock in each of two regions; `west` changes what the second trusts."""
    async with (
        Emulator(EmulatorSettings(region="us-east-1")) as east,
        Emulator(EmulatorSettings(region="us-west-2", **west)) as other,
    ):
        yield {"east": east, "west": other}


def settings_for(bedrocks: dict[str, Emulator], *, sts: str | None = None, **changes: Any) -> Settings:
    """Return settings with a target for each; `east` and `west` change what is said of that target."""
    known = bedrocks["east"].settings
    targets = {
        name: {"region": REGIONS[name], "endpoint_url": bedrock.url, **changes.pop(name, {})}
        for name, bedrock in bedrocks.items()
    }
    aws = AwsSettings(
        access_key_id=SecretStr(known.access_key_id),
        secret_access_key=SecretStr(known.secret_access_key),
        sts_endpoint_url=sts,
        region="us-east-1",
    )
    return Settings.model_validate({"port": 0, "targets": targets, "aws": aws, **changes})


@asynccontextmanager
async def gateway_of(settings: Settings) -> AsyncIterator[Caller]:
    """Run a gateway and give a client of it."""
    async with app.running(settings) as gateway, aiohttp.ClientSession() as session:
        yield Caller(gateway, session)


# ── failover ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_region_dies_under_load(log: io.StringIO) -> None:
    """Who had no byte yet is answered by the other region: nobody gets an error for the dead one."""
    async with regions() as bedrocks, gateway_of(settings_for(bedrocks)) as caller:
        refused: list[Any] = []

        async def ask_on(times: int) -> None:
            for _ in range(times):
                status, records, _ = await caller.stream(ask("[[emulator deltas=2]]", model=NOVA))
                if status != 200:
                    refused.append(records)

        await asyncio.gather(*(ask_on(12) for _ in range(WORKERS)))
        asked_before = [len(bedrock.calls) for bedrock in bedrocks.values()]
        load = asyncio.gather(*(ask_on(20) for _ in range(WORKERS)))
        await bedrocks["east"].close()
        await load

    assert refused == []
    assert asked_before == [WORKERS * 12, 0]
    assert len(bedrocks["west"].calls) >= WORKERS
    assert lines(log)[-1]["target"] == "west"
    assert lines(log, "listening")[0]["targets"] == [
        f"{name}: {REGIONS[name]} at {bedrock.url}" for name, bedrock in bedrocks.items()
    ]


async def test_a_wrong_request_is_wrong_though_a_region_is_dead() -> None:
    """What the living region refuses is told, not that the other is dead: to try again would not help."""
    async with regions() as bedrocks:
        settings = settings_for(bedrocks)
        await bedrocks["east"].close()
        async with gateway_of(settings) as caller:
            status, answer = await caller.complete(ask("[[emulator error=ValidationException]]", model=NOVA))

    assert (status, answer["error"]["code"]) == (400, "invalid_request")


async def test_a_model_has_another_name_in_the_other_region() -> None:
    """Failover goes to the id of that target, though it differs from the first one's."""
    places = ["east", {"target": "west", "model": "amazon.nova-micro-v1:0"}]
    async with regions() as bedrocks:
        settings = settings_for(bedrocks, models={NOVA: {"targets": places}})
        async with gateway_of(settings) as caller:
            await bedrocks["east"].close()
            status, answer = await caller.complete(ask(model=NOVA))

    assert (status, answer["model"]) == (200, "amazon.nova-micro-v1:0")


async def test_no_fallback_means_the_first_target_alone() -> None:
    """A caller who wants an answer of the first place or none gets that."""
    async with regions() as bedrocks, gateway_of(settings_for(bedrocks)) as caller:
        await bedrocks["east"].close()
        status, _, _ = await caller.stream(ask(model=NOVA), **{"X-No-Fallback": "true"})

    assert (status, len(bedrocks["west"].calls)) == (503, 0)


@pytest.mark.parametrize(("value", "status"), [("true", 503), ("false", 200), ("perhaps", 400)])
async def test_no_fallback_holds_for_embeddings(value: str, status: int) -> None:
    """They are asked at the first place or not at all, too."""
    body = {"model": EMBEDDER, "input": ["a", "b"]}
    async with regions() as bedrocks, gateway_of(settings_for(bedrocks)) as caller:
        await bedrocks["east"].close()
        headers = {"X-No-Fallback": value}
        async with caller.session.post(f"{caller.url}/embeddings", json=body, headers=headers) as response:
            actual = response.status

    assert (actual, len(bedrocks["west"].calls)) == (status, 2 if status == 200 else 0)


async def test_embeddings_fail_over() -> None:
    """Vectors come from the other region, in the order of the inputs."""
    body = {"model": EMBEDDER, "input": ["a", "b", "c"]}
    async with regions() as bedrocks, gateway_of(settings_for(bedrocks)) as caller:
        async with caller.session.post(f"{caller.url}/embeddings", json=body) as response:
            before = (await response.json())["data"]
        await bedrocks["east"].close()
        async with caller.session.post(f"{caller.url}/embeddings", json=body) as response:
            status, after = response.status, (await response.json())["data"]

    assert (status, after) == (200, before)
    assert [len(bedrock.calls) for bedrock in bedrocks.values()] == [3, 3]


async def test_a_resolver_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connect clock covers it, and what never left goes to the other region."""
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def silent(host: Any, *rest: Any, **options: Any) -> Any:
        if host == "bedrock.invalid":
            await asyncio.Event().wait()
        return await resolve(host, *rest, **options)

    monkeypatch.setattr(loop, "getaddrinfo", silent)
    nowhere = {"endpoint_url": "http://bedrock.invalid:9"}
    clocks = {"connect_timeout_ms": 1000, "first_byte_timeout_ms": 20_000}
    async with regions() as bedrocks:
        settings = settings_for(bedrocks, east=nowhere, bedrock=clocks)
        async with gateway_of(settings) as caller:
            status, _ = await caller.complete(ask(model=NOVA))

    assert (status, len(bedrocks["west"].calls)) == (200, 1)


async def test_a_region_without_the_right_to_the_model() -> None:
    """Every request is answered by the other region: no budget is for what the first refuses at once."""
    refusing = EmulatorSettings(refusals={NOVA: ("AccessDeniedException", "no access")})
    async with (
        Emulator(refusing) as east,
        Emulator(EmulatorSettings(region="us-west-2")) as west,
        gateway_of(settings_for({"east": east, "west": west})) as caller,
    ):
        answers = [await caller.stream(ask("[[emulator deltas=2]]", model=NOVA)) for _ in range(12)]

    assert [status for status, _, _ in answers] == [200] * 12


async def test_a_target_whose_credentials_cannot_be_had() -> None:
    """It costs nobody an answer, and its circuit breaker nothing: with credentials it is well at once."""
    async with regions() as bedrocks:
        role = {"roles": [{"role_arn": ROLE}]}
        start = {"startup_timeout_ms": 100}
        settings = settings_for(bedrocks, sts="http://127.0.0.1:9", east=role, credentials=start)
        async with gateway_of(settings) as caller:
            answers = [await caller.stream(ask("[[emulator deltas=2]]", model=NOVA)) for _ in range(12)]
            states = caller.gateway.retries.breakers.states()

    assert [status for status, _, _ in answers] == [200] * 12
    assert set(states.values()) == {"closed"}


# ── accounts ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_target_in_another_account() -> None:
    """Its role is assumed for it alone; the first target keeps the keys of the process."""
    keys = KeyRing()
    async with AsyncExitStack() as stack:
        sts = await stack.enter_async_context(EmulatedSts(keys, (Role(arn=ROLE, external_id="customer-7"),)))
        east = await stack.enter_async_context(Emulator(EmulatorSettings()))
        trusted = EmulatorSettings(region="us-west-2", access_key_id="AKIANOBODY0000000000")
        west = await stack.enter_async_context(Emulator(trusted, keys))
        role = {"role_arn": ROLE, "external_id": "customer-7"}
        settings = settings_for({"east": east, "west": west}, sts=sts.url, west={"roles": [role]})
        caller = await stack.enter_async_context(gateway_of(settings))
        first, _ = await caller.complete(ask(model=NOVA))
        await east.close()
        second, _ = await caller.complete(ask(model=NOVA))
        used = await caller.gateway.targets["west"].client.credentials.current()

    assert (first, second) == (200, 200)
    assert [call.status for call in west.calls] == [200]
    issued = keys.find(getattr(used, "access_key_id", ""))
    assert issued is not None
    assert issued.principal == ROLE


async def test_a_target_with_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The keys of its profile sign, though the environment has others."""
    file = tmp_path / "credentials"
    file.write_text("[other]\naws_access_key_id=AKIAOTHER00000000000\naws_secret_access_key=other\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY0000000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:9")
    trusted = {"access_key_id": "AKIAOTHER00000000000", "secret_access_key": "other"}
    async with regions(**trusted) as bedrocks:
        settings = settings_for(bedrocks, west={"profile": "other"}, models={NOVA: {"targets": ["west"]}})
        async with gateway_of(settings) as caller:
            status, _ = await caller.complete(ask(model=NOVA))

    assert status == 200


async def test_targets_that_differ_in_nothing_share_a_client() -> None:
    """One pool, one set of credentials; the quota lanes stay apart."""
    async with regions() as bedrocks:
        same = {"region": "us-east-1", "endpoint_url": bedrocks["east"].url}
        settings = settings_for(bedrocks, west=same)
        async with gateway_of(settings) as caller:
            targets = caller.gateway.targets

    assert targets["east"].client is targets["west"].client


# ── start and readiness ───────────────────────────────────────────────────────────────────────────────


async def _ready(caller: Caller) -> tuple[int, list[str], list[str]]:
    async with caller.session.get(f"{caller.url}/readyz") as response:
        answer = await response.json()
        return response.status, answer["problems"], answer["unusable_targets"]


async def test_ready_while_one_target_has_credentials(log: io.StringIO) -> None:
    """A target whose credentials fail stops neither the start nor the others; the probe names it."""
    async with EmulatedSts(KeyRing(), ()) as sts, regions() as bedrocks:
        role = {"roles": [{"role_arn": ROLE}]}
        one = settings_for(bedrocks, sts=sts.url, west=role)
        async with gateway_of(one) as caller:
            half = await _ready(caller)
            status, _ = await caller.complete(ask(model=NOVA))
        async with gateway_of(settings_for(bedrocks, sts=sts.url, east=role, west=role)) as caller:
            none = await _ready(caller)

    assert (half, status) == ((200, [], ["west"]), 200)
    assert none == (503, ["no AWS credentials"], ["east", "west"])
    assert lines(log, "credentials")[0]["target"] == "west"


async def test_a_profile_that_is_not_there_stops_the_start() -> None:
    """A broken configuration is told with the target's name, all of them at once, and leaves nothing open."""
    async with regions() as bedrocks:
        settings = settings_for(bedrocks, west={"profile": "nobody"}, east={"profile": "neither"})
        with pytest.raises(StartError) as caught:
            async with app.running(settings):
                pass

    assert caught.value.problems == [
        "targets.east: The config profile (neither) could not be found",
        "targets.west: The config profile (nobody) could not be found",
    ]


# ── the check ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_check_examines_each_target(tmp_path: Path) -> None:
    """Every check has the target's name; a model is asked where requests would ask it."""
    async with EmulatedSts(KeyRing(), ()) as sts, regions() as bedrocks:
        known = bedrocks["east"].settings
        (tmp_path / "gateway.toml").write_text(
            f"""
            [targets.east]
            region = "us-east-1"
            endpoint_url = "{bedrocks["east"].url}"
            [targets.west]
            region = "us-west-2"
            endpoint_url = "{bedrocks["west"].url}"
            [targets.broken]
            region = "eu-west-1"
            profile = "nobody"
            [models."{NOVA}"]
            targets = ["east", "west"]
            fallback_models = ["amazon.nova-lite-v1:0"]
            [models."{EMBEDDER}"]
            targets = ["west"]
            [models."amazon.nova-lite-v1:0"]
            targets = ["east"]
            """
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", known.access_key_id)
            patch.setenv("AWS_SECRET_ACCESS_KEY", known.secret_access_key)
            patch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
            patch.setenv("AWS_REGION", "us-east-1")
            found = {result.name: result for result in await _results(Plan())}

    models = [name for name in found if "model " in name]
    assert models == [
        f"east: model {NOVA}",
        "east: model amazon.nova-lite-v1:0",
        f"west: model {NOVA}",
        f"west: model {EMBEDDER}",
    ]
    assert {found[name].status for name in models} == {"ok"}
    assert (found["broken: credentials"].status, found["broken: models"].status) == ("fail", "skipped")
    assert "region us-west-2" in found["west: endpoint"].message
    assert json.dumps([result.message for result in found.values()]).count("AWS_REGION is not set") == 0
