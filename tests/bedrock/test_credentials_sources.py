"""Where credentials come from: every source of the default chain, and roles, against emulated endpoints."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.credentials import (
    AioDeferredRefreshableCredentials,
    AioRefreshableCredentials,
    create_credential_resolver,
)
from aiobotocore.session import get_session
from botocore.utils import ContainerMetadataFetcher
from pydantic import SecretStr

from gateway.bedrock.client import open_client
from gateway.bedrock.clocks import Clocks
from gateway.bedrock.credentials import BearerToken, StaticCredentials
from gateway.bedrock.credentials.chain import PRIVATE, DefaultChain
from gateway.bedrock.credentials.opening import MAX_SESSION_NAME, session_name, sts_client
from gateway.bedrock.credentials.refresher import RENEWAL_PAUSE_S, Refresher
from gateway.bedrock.credentials.source import Injected
from gateway.bedrock.sending import Message, send
from gateway.catalog.timeouts import GENERAL
from gateway.emulator import EmulatedMetadata, EmulatedSts, Emulator, EmulatorSettings, KeyRing, Role
from gateway.emulator.metadata import CONTAINER_PATH, INSTANCE_PRINCIPAL, TASK_PRINCIPAL
from gateway.errors import UpstreamDenied
from gateway.settings import AwsSettings, BedrockSettings, CredentialSettings, RoleSettings
from gateway.wire.sigv4 import Credentials
from tests.bedrock.posting import post
from tests.harness import lines

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.bedrock.client import BedrockClient

FIRST = "arn:aws:iam::111122223333:role/first"
SECOND = "arn:aws:iam::444455556666:role/second"
WEB = "arn:aws:iam::111122223333:role/pod"
ROLES = (
    Role(arn=FIRST, external_id="first-id"),
    Role(arn=SECOND, trusts=(FIRST,), external_id="second-id"),
    Role(arn="arn:aws:iam::111122223333:role/plain"),
    Role(arn="arn:aws:iam::111122223333:role/from-task", trusts=(TASK_PRINCIPAL,)),
    Role(arn=WEB, web_identity_token="the-token"),
)
USER = EmulatorSettings()
USER_KEYS: dict[str, Any] = {
    "access_key_id": SecretStr(USER.access_key_id),
    "secret_access_key": SecretStr(USER.secret_access_key),
}


@dataclass(frozen=True)
class World:
    """AWS, as far as it matters here."""

    keys: KeyRing
    sts: EmulatedSts
    metadata: EmulatedMetadata
    bedrock: Emulator

    def principal(self, credentials: Any) -> str:
        """Return whom the credentials speak for."""
        key = self.keys.find(credentials.access_key_id)
        assert key is not None
        return key.principal


@pytest.fixture(name="world")
async def _world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    keys = KeyRing()
    async with (
        EmulatedSts(keys, ROLES) as sts,
        EmulatedMetadata(keys) as metadata,
        Emulator(EmulatorSettings(), keys) as bedrock,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        yield World(keys, sts, metadata, bedrock)


@asynccontextmanager
async def opened(world: World, *roles: RoleSettings, **aws: Any) -> AsyncIterator[BedrockClient]:
    """Open a client with AWS's variables as the environment has them, or as they are given."""
    from_environment = AwsSettings.from_environment().model_dump(exclude_unset=True)
    settings = AwsSettings(**{**from_environment, "endpoint_url": world.bedrock.url, **aws})
    async with open_client(
        BedrockSettings(), settings, CredentialSettings(roles=roles), max_concurrency=5
    ) as client:
        yield client


async def status_of_a_call(client: BedrockClient) -> int:
    """Return what Bedrock answers."""
    response = await post(client, "amazon.titan-text-express-v1", b'{"inputText":"x"}')
    response.close()
    return response.status


# ── the default chain ─────────────────────────────────────────────────────────────────────────────────


async def test_static_keys(world: World) -> None:
    """Keys that were set are used as they are, without a task and without a question to anybody."""
    async with opened(world, **USER_KEYS) as client:
        status = await status_of_a_call(client)

    assert isinstance(client.credentials, StaticCredentials)
    assert await client.credentials.renew(await client.credentials.current()) is False
    assert (status, len(world.sts.calls)) == (200, 0)


def _profile(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    (folder / "config").write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_PROFILE", "team")


USER_LINES = f"aws_access_key_id = {USER.access_key_id}\naws_secret_access_key = {USER.secret_access_key}\n"


async def test_profile(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The keys of a profile never expire."""
    _profile(monkeypatch, tmp_path, f"[profile team]\n{USER_LINES}")

    async with opened(world) as client:
        status = await status_of_a_call(client)
        assert isinstance(client.credentials, Refresher)
        left = client.credentials.seconds_left

    assert (status, left) == (200, float("inf"))


async def test_keys_replaced_in_the_profile(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Keys that AWS no longer knows are read again: whoever rotated them wrote the new ones there."""
    _profile(
        monkeypatch, tmp_path, "[profile team]\naws_access_key_id = AKIAGONE\naws_secret_access_key = x\n"
    )

    async with opened(world) as client:
        gone = await client.credentials.current()
        _profile(monkeypatch, tmp_path, f"[profile team]\n{USER_LINES}")
        await asyncio.sleep(RENEWAL_PAUSE_S)  # no attempt is forced sooner
        message = Message("amazon.titan-text-express-v1", "invoke", b'{"inputText":"x"}')
        clocks = Clocks(BedrockSettings(), GENERAL, streaming=False)
        response = await send(client, message, clocks)
        response.close()
        clocks.close()
        new = await client.credentials.current()

    assert (response.status, gone == new) == (200, False)


async def test_base_credentials_rotate_under_a_role(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A role is assumed with what its source has now: STS's word that the old keys are stale has it asked."""
    lines = "[profile team]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n"
    first = world.keys.issue(TASK_PRINCIPAL, 3600)
    _profile(monkeypatch, tmp_path, lines.format(*_three(first)))
    arn = "arn:aws:iam::111122223333:role/from-task"

    async with opened(world, RoleSettings(role_arn=arn)) as client:
        rejected = await client.credentials.current()
        world.keys.revoke()
        second = world.keys.issue(TASK_PRINCIPAL, 3600)
        _profile(monkeypatch, tmp_path, lines.format(*_three(second)))
        await asyncio.sleep(RENEWAL_PAUSE_S)  # no attempt is forced sooner
        renewed = await client.credentials.renew(rejected)

    assert renewed


def _three(key: Any) -> tuple[str, str, str]:
    return key.access_key_id, key.secret_access_key, key.session_token


async def test_profile_with_a_role(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile with a role goes to STS by the SDK, in our region and with our patience."""
    _profile(
        monkeypatch,
        tmp_path,
        f"[profile team]\nrole_arn = {FIRST}\nexternal_id = first-id\nsource_profile = user\n"
        f"[profile user]\n{USER_LINES}",
    )

    async with EmulatedSts(world.keys, ROLES, EmulatorSettings(region="eu-west-1")) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        async with opened(world, region="eu-west-1") as client:
            principal = world.principal(await client.credentials.current())

    assert principal == FIRST
    assert sts.count("AssumeRole") == 1


async def test_process(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A credential process is run, and may not overlap itself."""
    key = world.keys.issue("someone", 3600)
    answer = {
        "Version": 1,
        "AccessKeyId": key.access_key_id,
        "SecretAccessKey": key.secret_access_key,
        "SessionToken": key.session_token,
        "Expiration": f"{key.expires:%Y-%m-%dT%H:%M:%SZ}",
    }
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    (tmp_path / "process.py").write_text("import sys; print(open(sys.argv[1]).read())")
    command = f"{sys.executable} {tmp_path / 'process.py'} {tmp_path / 'answer.json'}"
    _profile(monkeypatch, tmp_path, f"[profile team]\ncredential_process = {command}\n")

    chain = DefaultChain(get_session())
    before = (chain.name, chain.overlapping)
    async with opened(world) as client:
        status = await status_of_a_call(client)
    issued = await chain.issue()

    assert status == 200
    assert issued.expires == key.expires
    assert (before, (chain.name, chain.overlapping)) == (("default chain", False), ("custom-process", False))


async def test_web_identity(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """IRSA: AWS_ROLE_ARN belongs to web identity where a token file is set; the call is not signed."""
    token = tmp_path / "token"
    token.write_text("the-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", WEB)
    monkeypatch.setenv("AWS_ROLE_SESSION_NAME", "pod-7")

    async with opened(world) as client:
        status = await status_of_a_call(client)
        principal = world.principal(await client.credentials.current())

    [call] = world.sts.calls
    assert (status, principal) == (200, WEB)
    assert (call.action, call.access_key_id) == ("AssumeRoleWithWebIdentity", "")
    assert {name: call.parameters[name] for name in ("RoleArn", "RoleSessionName", "WebIdentityToken")} == {
        "RoleArn": WEB,
        "RoleSessionName": "pod-7",
        "WebIdentityToken": "the-token",
    }


async def test_web_identity_reads_the_token_again(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: io.StringIO
) -> None:
    """A token file that Kubernetes has replaced counts at the next attempt."""
    token = tmp_path / "token"
    token.write_text("an old token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", WEB)
    async with opened(world) as client:
        with pytest.raises(UpstreamDenied):
            await client.credentials.current()
        token.write_text("the-token")
        assert isinstance(client.credentials, Refresher)
        async with asyncio.timeout(60):
            while not client.credentials.renewals:  # an attempt with the old token may be under way still
                await client.credentials._round.wait()

        assert world.principal(await client.credentials.current()) == WEB

    assert "InvalidIdentityToken" in lines(log, "credentials_not_renewed")[0]["detail"]


@pytest.mark.parametrize("relative", [True, False])
async def test_container(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, relative: bool
) -> None:
    """ECS (relative) and EKS Pod Identity (full, with an authorization from a file)."""
    if relative:
        monkeypatch.setattr(
            ContainerMetadataFetcher, "IP_ADDRESS", world.metadata.url.removeprefix("http://")
        )
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", CONTAINER_PATH)
    else:
        world.metadata.authorization = "the pod's token"
        token = tmp_path / "token"
        token.write_text("the pod's token")
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", world.metadata.url + CONTAINER_PATH)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))

    async with opened(world) as client:
        status = await status_of_a_call(client)
        principal = world.principal(await client.credentials.current())

    assert (status, principal) == (200, TASK_PRINCIPAL)
    assert list(world.metadata.calls) == [f"GET {CONTAINER_PATH}"]


async def test_nothing_anywhere(world: World, log: io.StringIO) -> None:
    """Where no source of the chain has any, that is said."""
    async with opened(world) as client:
        with pytest.raises(UpstreamDenied):
            await client.credentials.current()

    # a slow start leaves time for a second attempt, which says the same
    assert {line["detail"] for line in lines(log, "credentials_not_renewed")} == {
        "no source of the default chain gave credentials"
    }


async def test_container_refuses(world: World, monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    """A wrong authorization is no credentials, and the log says what the endpoint said."""
    world.metadata.authorization = "the pod's token"
    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", world.metadata.url + CONTAINER_PATH)

    async with opened(world) as client:
        with pytest.raises(UpstreamDenied):
            await client.credentials.current()

    assert "401" in lines(log, "credentials_not_renewed")[0]["detail"]


async def test_instance(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """IMDS version 2: a session first, then the role, then its keys."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", world.metadata.url)

    async with opened(world) as client:
        status = await status_of_a_call(client)
        principal = world.principal(await client.credentials.current())

    path = "/latest/meta-data/iam/security-credentials/"
    assert (status, principal) == (200, INSTANCE_PRINCIPAL)
    assert list(world.metadata.calls) == [
        "PUT /latest/api/token",
        f"GET {path}",
        f"GET {path}emulated-instance",
    ]


@pytest.mark.parametrize(("set_to", "expected"), [(None, (2, 3)), ("7", (7, 7))])
def test_patience_with_the_instance(
    monkeypatch: pytest.MonkeyPatch, set_to: str | None, expected: tuple[int, int]
) -> None:
    """The SDK's one second and one attempt are too few; what the operator says counts."""
    if set_to is not None:
        monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", set_to)
        monkeypatch.setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", set_to)
    session = get_session()

    DefaultChain(session)

    assert (
        session.get_config_variable("metadata_service_timeout"),
        session.get_config_variable("metadata_service_num_attempts"),
    ) == expected


async def test_bearer() -> None:
    """A bearer token is its own source; there is no other, and it signs nothing."""
    token = BearerToken("t")

    assert await token.renew(token) is False
    with pytest.raises(TypeError):
        await Injected(token).get_frozen_credentials()


# ── roles ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_role_of_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_ROLE_ARN alone: this role, with the chain's credentials; its session is named for the replica."""
    arn = "arn:aws:iam::111122223333:role/plain"
    monkeypatch.setenv("AWS_ROLE_ARN", arn)

    async with opened(world, **USER_KEYS) as client:
        status = await status_of_a_call(client)
        principal = world.principal(await client.credentials.current())

    [call] = world.sts.calls
    assert (status, principal) == (200, arn)
    assert call.parameters == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": arn,
        "RoleSessionName": session_name(),
        "DurationSeconds": "3600",
    }


async def test_roles_across_two_accounts(world: World) -> None:
    """The first role assumes the second; each is asked for with its own external id, name and tags."""
    first = RoleSettings(role_arn=FIRST, external_id="first-id", session_name="hop", duration_s=7200)
    second = RoleSettings(role_arn=SECOND, external_id="second-id", duration_s=1800, tags={"team": "x"})

    async with opened(world, first, second, **USER_KEYS) as client:
        status = await status_of_a_call(client)
        principal = world.principal(await client.credentials.current())

    one, two = world.sts.calls
    assert (status, principal) == (200, SECOND)
    assert {**one.parameters} == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": FIRST,
        "RoleSessionName": "hop",
        "ExternalId": "first-id",
        "DurationSeconds": "7200",
    }
    assert {**two.parameters} == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": SECOND,
        "RoleSessionName": session_name(),
        "ExternalId": "second-id",
        "DurationSeconds": "1800",
        "Tags.member.1.Key": "team",
        "Tags.member.1.Value": "x",
    }
    assert world.principal(Credentials(two.access_key_id, "")) == FIRST


async def test_role_on_top_of_a_container(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a container has assumes a role, too."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", world.metadata.url + CONTAINER_PATH)
    arn = "arn:aws:iam::111122223333:role/from-task"

    async with opened(world, RoleSettings(role_arn=arn)) as client:
        assert world.principal(await client.credentials.current()) == arn


async def test_too_long_for_temporary_credentials(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only the running process can know is refused here, with the reason, before STS is asked."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", world.metadata.url + CONTAINER_PATH)
    arn = "arn:aws:iam::111122223333:role/from-task"

    async with opened(world, RoleSettings(role_arn=arn, duration_s=7200)) as client:
        with pytest.raises(UpstreamDenied) as caught:
            await client.credentials.current()

    assert caught.value.detail == (
        f"duration_s 7200 of {arn}: at most 3600, because the credentials that assume it are temporary "
        "(role chaining)"
    )
    assert not world.sts.calls


async def test_role_that_is_refused(world: World, log: io.StringIO) -> None:
    """STS's own words reach the log, with the account masked."""
    async with opened(world, RoleSettings(role_arn=FIRST, external_id="wrong-id"), **USER_KEYS) as client:
        with pytest.raises(UpstreamDenied):
            await client.credentials.current()

    said = lines(log, "credentials_not_renewed")[0]["detail"]
    assert said.startswith("AccessDenied: User: arn:aws:iam::************:user/emulator is not authorized")


async def test_sts_is_regional_and_not_waited_for_long() -> None:
    """STS is asked in our region, once, with 2 s to connect and 5 s to answer."""
    source = StaticCredentials(Credentials("a", "b"))
    async with sts_client(source, AwsSettings(**USER_KEYS), "eu-west-1") as sts:
        config = sts.meta.config

        assert sts.meta.endpoint_url == "https://sts.eu-west-1.amazonaws.com"
        assert (config.connect_timeout, config.read_timeout) == (2, 5)
        assert config.retries["total_max_attempts"] == 1


def test_session_name() -> None:
    """Within what STS takes, and it ends in the process."""
    assert len(session_name()) <= MAX_SESSION_NAME
    assert session_name().startswith("gw-")


async def test_slow_start(world: World, log: io.StringIO) -> None:
    """A start does not wait for ever."""
    await world.sts.switch("hanging")
    settings = AwsSettings(**USER_KEYS, endpoint_url=world.bedrock.url, sts_endpoint_url=world.sts.url)
    roles = CredentialSettings(
        roles=(RoleSettings(role_arn="arn:aws:iam::111122223333:role/plain"),), startup_timeout_ms=50
    )
    async with open_client(BedrockSettings(), settings, roles, max_concurrency=5) as client:
        with pytest.raises(UpstreamDenied) as caught:
            await client.credentials.current()

    assert caught.value.detail == "the first attempt has not ended"
    assert len(lines(log, "credentials_slow")) == 1


# ── the ground ────────────────────────────────────────────────────────────────────────────────────────


class TestGround:
    """What `credentials/` believes of aiobotocore."""

    def test_expiry(self) -> None:
        """Credentials that expire say when in `_expiry_time`, deferred ones once they were fetched."""
        assert PRIVATE == ("_expiry_time",)
        expires = datetime.now(UTC) + timedelta(hours=1)
        found = AioRefreshableCredentials("a", "s", "t", expires, lambda: None, "m")

        assert found._expiry_time == expires

    async def test_deferred_expiry(self) -> None:
        """A deferred source has no expiry before its first fetch."""
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)

        async def fetch() -> dict[str, str]:
            return {"access_key": "a", "secret_key": "s", "token": "t", "expiry_time": expires.isoformat()}

        found = AioDeferredRefreshableCredentials(fetch, "m")
        assert found._expiry_time is None
        await found.get_frozen_credentials()

        assert found._expiry_time == expires

    def test_a_resolver_is_made_anew(self) -> None:
        """`create_credential_resolver` keeps nothing in the session but its configuration."""
        assert next(iter(inspect.signature(create_credential_resolver).parameters)) == "session"
        session = get_session()

        assert create_credential_resolver(session) is not create_credential_resolver(session)

    async def test_the_provider_is_a_component(self) -> None:
        """A session loads its credentials from the component `credential_provider`, and clients read them."""
        session = get_session()
        injected = Injected(StaticCredentials(Credentials("a", "s", "t")))
        session.register_component("credential_provider", injected)

        assert await session.get_credentials() is injected
        frozen = await injected.get_frozen_credentials()
        assert (frozen.access_key, frozen.secret_key, frozen.token) == ("a", "s", "t")
        assert await injected.get_deferred_property("account_id")() is None
