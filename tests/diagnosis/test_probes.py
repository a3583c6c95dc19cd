"""What explanations name: policies' resources, quotas, sources of credentials."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.bedrock.credentials import BearerToken, StaticCredentials
from gateway.bedrock.credentials.refresher import Refresher
from gateway.bedrock.credentials.source import CredentialSource, Issued
from gateway.catalog.catalog import Catalog
from gateway.diagnosis.origins import named, time_left
from gateway.diagnosis.probes import resource
from gateway.diagnosis.quotas import quota_name
from gateway.wire.sigv4 import Credentials

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
NOVA = "amazon.nova-micro-v1:0"
ANYWHERE = f"arn:aws:bedrock:*::foundation-model/{NOVA}"
PROFILE = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc123"
KEYS = Credentials("AKIA", "canary-secret", "canary-token")


@pytest.mark.parametrize(
    ("model", "region", "arn"),
    [
        (HAIKU, "eu-west-1", f"arn:aws:bedrock:eu-west-1::foundation-model/{HAIKU}"),
        (HAIKU, "us-gov-west-1", f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{HAIKU}"),
        (
            f"eu.{NOVA}",
            "eu-west-1",
            f"arn:aws:bedrock:eu-west-1:*:inference-profile/eu.{NOVA} and {ANYWHERE}",
        ),
        (PROFILE, "us-east-1", PROFILE),
    ],
)
def test_resource(model: str, region: str, arn: str) -> None:
    """A policy names the model; for a profile, the profile and the model in every region it leads to."""
    assert resource(model, region) == arn


@pytest.mark.parametrize(
    ("model", "quota"),
    [
        (HAIKU, "On-demand InvokeModel tokens per minute for Anthropic Claude 3 Haiku"),
        (f"us.{NOVA}", "Cross-Region InvokeModel tokens per minute for Amazon Nova Micro"),
        (
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "Global cross-Region InvokeModel tokens per minute for Anthropic Claude Sonnet 4.5",
        ),
        (PROFILE, None),
        ("nobody.knows-v1:0", None),
    ],
)
def test_quota(model: str, quota: str | None) -> None:
    """Base id, geographic and global profile have pools of their own; what is not known has no name."""
    assert quota_name(model, Catalog().card(model)) == quota


class Found:
    """What the SDK's chain found, for a while or for ever."""

    overlapping = False

    def __init__(self, name: str, seconds: float | None) -> None:
        self.name = name
        self._seconds = seconds

    async def issue(self) -> Issued:
        """Return keys."""
        ends = None if self._seconds is None else datetime.now(UTC) + timedelta(seconds=self._seconds)
        return Issued(KEYS, ends)


def refresher(name: str, assumer: CredentialSource | None = None) -> Refresher:
    """Return a source over the chain that has not begun."""
    return Refresher(Found(name, None), assumer=assumer)


@pytest.mark.parametrize(
    ("source", "profile", "words"),
    [
        (StaticCredentials(KEYS), None, "the keys of AWS_ACCESS_KEY_ID"),
        (BearerToken("canary"), None, "the API key of AWS_BEARER_TOKEN_BEDROCK"),
        (refresher("config-file"), None, "profile default of the config file"),
        (refresher("sso"), "dev", "profile dev, by single sign-on"),
        (refresher("iam-role"), None, "the role of the instance (IMDS)"),
        (refresher("something-new"), None, "something-new"),
        (
            refresher("arn:b", refresher("arn:a", refresher("iam-role"))),
            None,
            "the role arn:b, assumed with the role arn:a, assumed with the role of the instance (IMDS)",
        ),
    ],
)
async def test_named(source: CredentialSource, profile: str | None, words: str) -> None:
    """Every source has words, a role's with what assumes it; none of them is a secret."""
    assert named(source, profile) == words


def test_time_left_of_what_does_not_expire() -> None:
    """Keys that somebody wrote down do not expire."""
    assert time_left(StaticCredentials(KEYS)) == ""
