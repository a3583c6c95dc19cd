"""Settings of credentials: which roles are taken, and in what words others are refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.settings import RoleSettings, SettingsError, load

if TYPE_CHECKING:
    from pathlib import Path

ARN = "arn:aws:iam::111122223333:role/team/gateway"
OTHER = "arn:aws-us-gov:iam::444455556666:role/other"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "s"}
CHAINED = "Input should be less than or equal to 3600: AWS refuses longer sessions"


def given(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], roles: list[dict[str, Any]]) -> None:
    """Set the variables."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if roles:
        monkeypatch.setenv("GATEWAY_CREDENTIALS__ROLES", json.dumps(roles))


def problems() -> list[str]:
    """Return why `load` refuses."""
    with pytest.raises(SettingsError) as caught:
        load()
    return caught.value.problems


def test_a_chain_in_the_file(tmp_path: Path) -> None:
    """Roles are tables of the file, in the order in which they are assumed."""
    (tmp_path / "gateway.toml").write_text(
        f'[[credentials.roles]]\nrole_arn = "{ARN}"\nexternal_id = "id"\nduration_s = 43200\n'
        f'[[credentials.roles]]\nrole_arn = "{OTHER}"\nsession_name = "hop"\ntags = {{team = "x"}}\n'
    )

    assert load().credentials.roles == (
        RoleSettings(role_arn=ARN, external_id="id", duration_s=43_200),
        RoleSettings(role_arn=OTHER, session_name="hop", tags={"team": "x"}),
    )


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"AWS_ROLE_ARN": ARN}, RoleSettings(role_arn=ARN), id="alone"),
        pytest.param(
            {"AWS_ROLE_ARN": ARN, "AWS_ROLE_SESSION_NAME": "me"},
            RoleSettings(role_arn=ARN, session_name="me"),
            id="with a name",
        ),
        pytest.param(
            {"AWS_ROLE_ARN": ARN, "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, None, id="of web identity"
        ),
    ],
)
def test_role_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: RoleSettings | None
) -> None:
    """AWS_ROLE_ARN is the role to assume, unless web identity uses it."""
    given(monkeypatch, environment, [])

    assert load().aws.role_to_assume == expected


ROLES = "GATEWAY_CREDENTIALS__ROLES"


@pytest.mark.parametrize(
    ("environment", "roles", "expected"),
    [
        pytest.param(
            {},
            [{"role_arn": ARN, "duration_s": 900}],
            f"credentials.roles.0.duration_s ({ROLES}__0__DURATION_S): Input should be greater than or equal "
            "to 1800: so that an outage of STS can be sat out",
            id="too short",
        ),
        pytest.param(
            {},
            [{"role_arn": ARN, "duration_s": 43_201}],
            f"credentials.roles.0.duration_s ({ROLES}__0__DURATION_S): Input should be less than or equal to "
            "43200",
            id="too long",
        ),
        pytest.param(
            {},
            [{"role_arn": ARN}, {"role_arn": OTHER, "duration_s": 3601}],
            f"credentials.roles.1.duration_s ({ROLES}): {CHAINED} of a role that a role assumes",
            id="chained",
        ),
        pytest.param(
            {**KEYS, "AWS_SESSION_TOKEN": "t"},
            [{"role_arn": ARN, "duration_s": 3601}],
            f"credentials.roles.0.duration_s ({ROLES}): {CHAINED} to temporary credentials",
            id="temporary keys",
        ),
        pytest.param(
            {"AWS_ROLE_ARN": ARN, "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"},
            [{"role_arn": OTHER, "duration_s": 3601}],
            f"credentials.roles.0.duration_s ({ROLES}): {CHAINED} to temporary credentials",
            id="web identity",
        ),
        pytest.param(
            {"AWS_ROLE_ARN": ARN},
            [{"role_arn": OTHER}],
            f"credentials.roles ({ROLES}) and AWS_ROLE_ARN both name roles to assume: keep one of them",
            id="two ways",
        ),
        pytest.param(
            {"GATEWAY_BEDROCK__AUTH": "bearer", "AWS_BEARER_TOKEN_BEDROCK": "t"},
            [{"role_arn": OTHER}],
            f"credentials.roles ({ROLES}): no role can be assumed with bedrock.auth = bearer",
            id="bearer",
        ),
        pytest.param(
            {},
            [{"role_arn": ARN, "external_id": "x"}],
            f"credentials.roles.0.external_id ({ROLES}__0__EXTERNAL_ID): String should have at least 2 "
            "characters",
            id="external id",
        ),
        pytest.param(
            {"AWS_ROLE_ARN": "gateway"},
            [],
            "AWS_ROLE_ARN: not what STS takes for AssumeRole",
            id="no ARN",
        ),
        pytest.param(
            {"AWS_ROLE_ARN": ARN, "AWS_ROLE_SESSION_NAME": "a name"},
            [],
            "AWS_ROLE_SESSION_NAME: not what STS takes for AssumeRole",
            id="no name",
        ),
    ],
)
def test_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], roles: list[dict[str, Any]], expected: str
) -> None:
    """One line each, with the reason."""
    given(monkeypatch, environment, roles)

    assert problems() == [expected]


def test_an_external_id_is_not_shown() -> None:
    """It is not a secret of AWS's, but it is somebody's."""
    assert "CANARY" not in repr(RoleSettings(role_arn=ARN, external_id="CANARY"))
