"""Targets and routes as an operator writes them: what is taken, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.settings import (
    AwsSettings,
    CredentialSettings,
    RoleSettings,
    SettingsError,
    TargetChoice,
    TargetSettings,
    load,
)

ROLE = "arn:aws:iam::111122223333:role/a"
TWO = '[targets.east]\nregion = "us-east-1"\n[targets.west]\nregion = "us-west-2"\n'


def configure(text: str) -> None:
    """Write the file that `load` reads; every test stands in a folder of its own."""
    Path("gateway.toml").write_text(text)


def problems() -> list[str]:
    """Return why `load` refuses."""
    with pytest.raises(SettingsError) as caught:
        load()
    return caught.value.problems


def test_a_file_with_everything() -> None:
    """A target may be named by a string or a table; without a list, the order is that of the file."""
    configure(
        TWO
        + """
        [routing]
        order = "weighted"
        residency = ["us-*"]
        [models.a]
        targets = ["west", {target = "east", model = "us.x.y", weight = 2.5}]
        fallback_models = ["us.amazon.nova-pro-v1:0"]
        residency = ["us-west-2"]
        order = "ordered"
        """
    )
    settings = load()

    assert dict(settings.target_lists()) == {
        "routing.targets": (TargetChoice(target="east"), TargetChoice(target="west")),
        'models."a".targets': (
            TargetChoice(target="west"),
            TargetChoice(target="east", model="us.x.y", weight=2.5),
        ),
    }
    assert [aws.region for aws, _ in settings.places().values()] == ["us-east-1", "us-west-2"]
    assert all(aws.of_target for aws, _ in settings.places().values())


def test_without_targets_there_is_the_one_of_awss_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was before goes on as it was."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    settings = load()

    assert settings.places() == {"default": (settings.aws, settings.credentials)}
    assert dict(settings.target_lists()) == {"routing.targets": (TargetChoice(target="default"),)}


def test_a_target_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one variable for each key, or as JSON."""
    monkeypatch.setenv("GATEWAY_TARGETS__EAST__REGION", "us-east-1")
    monkeypatch.setenv("GATEWAY_ROUTING__TARGETS", '["east"]')

    assert load().targets == {"east": TargetSettings(region="us-east-1")}


CHAIN = f"""
[targets.a]
region = "us-east-1"
roles = [{{role_arn = "{ROLE}"}}, {{role_arn = "{ROLE}", duration_s = 7200}}]
"""
ENDPOINT = "https://vpce-1-ab.bedrock-runtime.us-east-1.vpce.amazonaws.com"


@pytest.mark.parametrize(
    ("file", "environment", "found"),
    [
        ('[routing]\ntargets = ["no"]', {}, ["routing.targets: there is no [targets.no]"]),
        (
            TWO + '[models.a]\ntargets = ["east", "no", "east"]',
            {},
            [
                'models."a".targets: there is no [targets.no]',
                'models."a".targets: a target is named twice',
            ],
        ),
        (
            TWO + '[routing]\ntargets = ["east"]',
            {},
            ["targets.west: nothing is sent there: name it in routing.targets, or drop it"],
        ),
        (
            TWO + '[routing]\ntargets = [{target = "east", model = "x"}, "west"]',
            {},
            ["routing.targets: a model is named in the targets of [models.<name>], not here"],
        ),
        (
            f'[targets.a]\nregion = "eu-west-1"\nendpoint_url = "{ENDPOINT}"',
            {},
            [f"targets: endpoint_url {ENDPOINT[8:]} is of us-east-1, not of region eu-west-1"],
        ),
        (f'[targets.a]\nregion = "us-east-1"\nendpoint_url = "{ENDPOINT}"', {}, []),
        (
            TWO,
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            [
                f"targets.{name}: has no endpoint_url, and the one of AWS_ENDPOINT_URL(_BEDROCK_RUNTIME) is "
                "of one region: give it to the target that has it (AWS_ENDPOINT_URL_STS is for STS alone)"
                for name in ("east", "west")
            ],
        ),
        (
            '[targets.a]\nregion = "us-east-1"\nprofile = "x"\n[bedrock]\nauth = "bearer"',
            {"AWS_BEARER_TOKEN_BEDROCK": "x"},
            ["targets.a: an API key (bedrock.auth = bearer) has no roles and no profile"],
        ),
        (
            '[targets.a]\nregion = "nowhere"',
            {},
            [
                "targets.a.region (GATEWAY_TARGETS__A__REGION): String should match pattern",
            ],
        ),
        (
            CHAIN,
            {},
            ["targets.a.roles (GATEWAY_TARGETS__A__ROLES): duration_s is at most 3600 for a role"],
        ),
        (
            TWO + "[routing]\nresidency = []",
            {},
            ["routing.residency (GATEWAY_ROUTING__RESIDENCY): List should have at least 1 item"],
        ),
    ],
)  # fmt: skip
def test_mistakes(
    monkeypatch: pytest.MonkeyPatch, file: str, environment: dict[str, str], found: list[str]
) -> None:
    """Each is named with its key, and all of them at once."""
    configure(file)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if not found:
        assert load().targets
        return
    told = problems()
    assert [
        line.removeprefix("targets.a.roles: ")[: len(words)] for line, words in zip(told, found, strict=True)
    ] == found


AMBIENT = AwsSettings(
    access_key_id=SecretStr("AKIA"),
    secret_access_key=SecretStr("s"),
    region="us-east-1",
    role_arn=ROLE,
    sts_endpoint_url="http://127.0.0.1:1",
)
ROLES = CredentialSettings(roles=(RoleSettings(role_arn=ROLE),))


def test_what_a_target_takes_over() -> None:
    """Without credentials of its own it has those of the process, from the STS of the process."""
    target = TargetSettings(region="us-west-2")
    aws = target.aws(AMBIENT)

    assert (aws.region, aws.sts_region, aws.endpoint_url) == ("us-west-2", "us-east-1", None)
    assert (aws.access_key_id, aws.role_arn) == (AMBIENT.access_key_id, ROLE)
    assert target.credentials(ROLES) == ROLES
    elsewhere = AMBIENT.model_copy(update={"sts_endpoint_url": "https://sts.eu-west-1.amazonaws.com"})
    assert target.aws(elsewhere).sts_region == "eu-west-1"
    assert target.aws(AMBIENT.model_copy(update={"sts_endpoint_url": None})).sts_region is None


def test_what_a_target_replaces() -> None:
    """A profile replaces all credentials of the process, roles replace its roles."""
    profile = TargetSettings(region="us-west-2", profile="x")
    roles = TargetSettings(region="us-west-2", roles=(RoleSettings(role_arn=ROLE[:-1] + "b"),))

    assert (profile.aws(AMBIENT).access_key_id, profile.aws(AMBIENT).role_arn) == (None, None)
    assert profile.credentials(ROLES).roles == ()
    assert (roles.aws(AMBIENT).access_key_id, roles.aws(AMBIENT).role_arn) == (AMBIENT.access_key_id, None)
    assert roles.credentials(ROLES).roles == roles.roles
    of_token = AMBIENT.model_copy(update={"web_identity_token_file": "/token"})
    assert roles.aws(of_token).role_arn == ROLE  # it belongs to the token
