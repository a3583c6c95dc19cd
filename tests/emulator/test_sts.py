"""The emulated STS and metadata endpoints, asked by boto3 and by hand; expiry as Bedrock enforces it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from gateway.emulator import EmulatedMetadata, EmulatedSts, Emulator, EmulatorSettings, KeyRing, Role
from gateway.emulator.keyring import stamp
from gateway.emulator.metadata import CONTAINER_PATH
from gateway.emulator.sts import USER
from tests.emulator.asking import TITAN, invoke, sdk, titan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.emulator.sts import Mode

ARN = "arn:aws:iam::111122223333:role/gateway"
CHAINED = "arn:aws:iam::444455556666:role/chained"
SHORT = "arn:aws:iam::111122223333:role/short"
WEB = "arn:aws:iam::111122223333:role/pod"
ROLES = (
    Role(arn=ARN, external_id="the-id"),
    Role(arn=CHAINED, trusts=(ARN,)),
    Role(arn=SHORT, max_seconds=3600),
    Role(arn=WEB, web_identity_token="the-token"),
)
NAMED: dict[str, Any] = {"RoleArn": ARN, "RoleSessionName": "me", "ExternalId": "the-id"}


@pytest.fixture(name="sts")
async def _sts() -> AsyncIterator[EmulatedSts]:
    async with EmulatedSts(KeyRing(), ROLES) as running:
        yield running


def keys_of(answer: dict[str, Any]) -> dict[str, str]:
    """Return what STS issued as boto3 wants it."""
    keys = answer["Credentials"]
    return {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }


async def ask(
    sts: EmulatedSts,
    operation: str,
    keys: dict[str, str] | None = None,
    *,
    patience: float = 30,
    **fields: Any,
) -> Any:
    """Call STS by boto3, with the static key unless others are given; `patience` in seconds."""
    known = EmulatorSettings()

    def call() -> Any:
        client = boto3.session.Session().client(
            "sts",
            endpoint_url=sts.url,
            region_name=known.region,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=patience, read_timeout=patience),
            **(
                keys
                or {
                    "aws_access_key_id": known.access_key_id,
                    "aws_secret_access_key": known.secret_access_key,
                }
            ),
        )
        try:
            return getattr(client, operation)(**fields)
        finally:
            client.close()

    return await asyncio.to_thread(call)


async def refusal(sts: EmulatedSts, operation: str, keys: dict[str, str] | None = None, **fields: Any) -> str:
    """Return code and message of the refusal."""
    with pytest.raises(ClientError) as caught:
        await ask(sts, operation, keys, **fields)
    problem = caught.value.response["Error"]
    return f"{problem['Code']}: {problem['Message']}"


async def test_assume_role(sts: EmulatedSts) -> None:
    """Who is trusted and knows the external id gets keys for the time asked, and STS knows them again."""
    before = datetime.now(UTC)
    answer = await ask(sts, "assume_role", **NAMED, DurationSeconds=1800)
    identity = await ask(sts, "get_caller_identity", keys_of(answer))
    user = await ask(sts, "get_caller_identity")

    expires = answer["Credentials"]["Expiration"]
    assert timedelta(seconds=1799) < expires - before < timedelta(seconds=1830)
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::111122223333:assumed-role/gateway/me"
    assert (identity["Arn"], identity["Account"]) == (ARN, "111122223333")
    assert (user["Arn"], user["Account"]) == (USER, "000000000000")
    assert [(call.action, call.status) for call in sts.calls] == [
        ("AssumeRole", 200),
        ("GetCallerIdentity", 200),
        ("GetCallerIdentity", 200),
    ]
    assert sts.count("GetCallerIdentity") == 2


async def test_web_identity(sts: EmulatedSts) -> None:
    """The token is the proof; nobody signs."""
    named: dict[str, Any] = {"RoleArn": WEB, "RoleSessionName": "pod"}
    answer = await ask(sts, "assume_role_with_web_identity", **named, WebIdentityToken="the-token")
    wrong = await refusal(sts, "assume_role_with_web_identity", **named, WebIdentityToken="another")
    other = {**named, "RoleArn": ARN}
    not_for_web = await refusal(sts, "assume_role_with_web_identity", **other, WebIdentityToken="the-token")

    assert answer["AssumedRoleUser"]["Arn"].endswith("/pod/pod")
    assert wrong.startswith("InvalidIdentityToken: ")
    assert not_for_web.startswith("AccessDenied: ")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ExternalId": "wrong"}, "AccessDenied: User: arn:aws:iam::000000000000:user/emulator is not"),
        ({"RoleArn": CHAINED}, "AccessDenied: "),
        ({"RoleArn": "arn:aws:iam::111122223333:role/unknown"}, "AccessDenied: "),
        ({"DurationSeconds": 43_201}, "ValidationError: 1 validation error detected: Value at 'durationSec"),
    ],
)
async def test_refused(sts: EmulatedSts, changes: dict[str, Any], expected: str) -> None:
    """Strangers, wrong external ids, roles that trust others, sessions that are too long."""
    assert (await refusal(sts, "assume_role", **{**NAMED, **changes})).startswith(expected)


async def test_longer_than_the_role_allows(sts: EmulatedSts) -> None:
    """A role has a longest session of its own."""
    said = await refusal(sts, "assume_role", RoleArn=SHORT, RoleSessionName="me", DurationSeconds=7200)

    assert said == (
        "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    )


async def test_chained(sts: EmulatedSts) -> None:
    """A role that a role assumes: for an hour at most."""
    keys = keys_of(await ask(sts, "assume_role", **NAMED))
    named: dict[str, Any] = {"RoleArn": CHAINED, "RoleSessionName": "me"}
    answer = await ask(sts, "assume_role", keys, **named, DurationSeconds=3600)
    said = await refusal(sts, "assume_role", keys, **named, DurationSeconds=3601)

    assert answer["AssumedRoleUser"]["Arn"].startswith("arn:aws:sts::444455556666:")
    assert "1 hour session limit for roles assumed by role chaining" in said


async def test_strangers(sts: EmulatedSts) -> None:
    """Unknown keys, and keys that have expired."""
    unknown = {"aws_access_key_id": "AKIAUNKNOWN", "aws_secret_access_key": "s"}
    keys = keys_of(await ask(sts, "assume_role", **NAMED))
    sts._keys.revoke()

    assert (await refusal(sts, "get_caller_identity", unknown)).startswith("InvalidClientTokenId: ")
    assert (await refusal(sts, "get_caller_identity", keys)).startswith("ExpiredToken: ")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"ExternalId": "x"}, "externalId"),
        ({"DurationSeconds": "soon"}, "durationSeconds"),
        ({"RoleSessionName": ""}, "roleSessionName"),
        ({"Action": "GetFederationToken"}, "Could not find operation GetFederationToken"),
    ],
)
async def test_malformed(form: dict[str, str], expected: str) -> None:
    """What no SDK would send is refused by the name of the member."""
    fields = {"Action": "AssumeRole", **NAMED, **form}
    settings = EmulatorSettings(verify_signatures=False)
    async with (
        EmulatedSts(KeyRing(), ROLES, settings) as sts,
        aiohttp.ClientSession() as session,
        session.post(sts.url, data=fields) as response,
    ):
        text = await response.text()

    assert response.status == 400
    assert "<Type>Sender</Type>" in text
    assert expected in text


@pytest.mark.parametrize(("mode", "seen"), [("unavailable", [503]), ("hanging", [0]), ("refusing", [])])
async def test_outages(sts: EmulatedSts, mode: Mode, seen: list[int]) -> None:
    """Each kind of outage fails a call in its own way, and ends at the same address."""
    await sts.switch(mode)
    with pytest.raises((ClientError, BotoCoreError)):
        await ask(sts, "assume_role", patience=1, **NAMED)
    async with asyncio.timeout(60):
        while len(sts.calls) < len(seen):  # noqa: ASYNC110 - the server sees the end of a hung call in its own time
            await asyncio.sleep(0.01)
    statuses = [call.status for call in sts.calls]
    await sts.switch("healthy")
    await ask(sts, "assume_role", **NAMED)

    assert statuses == seen


async def test_bedrock_enforces_expiry() -> None:
    """Keys work with their own token until their time is over; then Bedrock says so."""
    time = [datetime.now(UTC)]
    keys = KeyRing(lifetime_s=1.0, now=lambda: time[0])
    async with EmulatedSts(keys, ROLES) as sts, Emulator(EmulatorSettings(), keys) as bedrock:
        issued = keys_of(await ask(sts, "assume_role", **NAMED))

        def call(**changes: str) -> str:
            with sdk(bedrock, **{**issued, **changes}) as client:
                try:
                    invoke(client, TITAN, titan())
                except ClientError as error:
                    return str(error.response["Error"]["Code"])
                return "good"

        young = await asyncio.to_thread(call)
        wrong = await asyncio.to_thread(call, aws_session_token="another")
        time[0] += timedelta(seconds=2)
        old = await asyncio.to_thread(call)

    assert (young, wrong, old) == ("good", "UnrecognizedClientException", "ExpiredTokenException")
    assert len(keys) == 1


def test_keys_are_not_kept_for_ever() -> None:
    """The oldest go first."""
    keys = KeyRing()
    first = keys.issue("someone", 1)
    for _ in range(10_000):
        keys.issue("someone", 1)

    assert len(keys) == 10_000
    assert keys.find(first.access_key_id) is None


def test_stamp() -> None:
    """As AWS writes it."""
    assert stamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", CONTAINER_PATH, 401),
        ("GET", "/latest/meta-data/iam/security-credentials/", 401),
        ("GET", "/latest/api/token", 404),
        ("POST", "/elsewhere", 404),
    ],
)
async def test_metadata_refuses(method: str, path: str, expected: int) -> None:
    """No keys without the authorization, none by version 1, nothing elsewhere."""
    async with (
        EmulatedMetadata(KeyRing(), authorization="secret") as metadata,
        aiohttp.ClientSession() as session,
        session.request(method, metadata.url + path) as response,
    ):
        assert response.status == expected

    assert list(metadata.calls) == [f"{method} {path}"]


async def test_open_twice() -> None:
    """Opening what is open, and closing what is closed, changes nothing."""
    async with EmulatedSts(KeyRing()) as sts:
        url = sts.url
        await sts.open()

        assert sts.url == url
    await sts.close()
