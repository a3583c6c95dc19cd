"""Where Bedrock may be called: targets, and in which order requests go to them.

Without any target there is one, `default`, which AWS's own variables describe.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.settings.aws import ORIGIN, REGION, AwsSettings
from gateway.settings.credentials import MAX_CHAINED_S, CredentialSettings, RoleSettings
from gateway.settings.sections import Order, Regions, Section, TargetChoice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_TARGET = "default"
AWS_HOST = re.compile(
    r"(?:^|\.)([a-z]{2,4}(?:-[a-z]+)+-[0-9]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$"
)
"""AWS's own endpoints name their region: `bedrock-runtime.eu-west-1.amazonaws.com`, VPC endpoints too."""


class TargetSettings(Section):
    """A region of Bedrock, asked through an endpoint with the credentials of an account."""

    region: str = Field(pattern=REGION)
    endpoint_url: str | None = Field(None, pattern=ORIGIN)
    """Scheme, host and port; by default the region's own: AWS's variables do not count here."""
    profile: str | None = Field(None, min_length=1)
    """Of AWS's files: its credentials, instead of those that the process has."""
    roles: tuple[RoleSettings, ...] = Field((), max_length=5)
    """Assumed one with another, instead of `credentials.roles` and AWS_ROLE_ARN."""

    @field_validator("roles")
    @classmethod
    def _chained_for_an_hour(cls, roles: tuple[RoleSettings, ...]) -> tuple[RoleSettings, ...]:
        if any(role.duration_s > MAX_CHAINED_S for role in roles[1:]):
            raise PydanticCustomError(
                "too_long", "duration_s is at most 3600 for a role that another role assumes"
            )
        return roles

    @model_validator(mode="after")
    def _the_endpoint_is_the_regions(self) -> Self:
        """A name that says another region would send prompts there, whatever the residency rules say."""
        host = urlsplit(self.endpoint_url or "").hostname or ""
        named = AWS_HOST.search(host)
        if named and named[1] != self.region:
            raise ValueError(f"targets: endpoint_url {host} is of {named[1]}, not of region {self.region}")
        return self

    def aws(self, ambient: AwsSettings) -> AwsSettings:
        """Return AWS's settings for this target: its own, and of the ambient ones what it leaves open."""
        changes: dict[str, object] = {
            "region": self.region,
            "endpoint_url": self.endpoint_url,
            "profile": self.profile,
            "of_target": True,
        }
        if ambient.sts_endpoint_url is not None:  # one endpoint serves all targets, and it is of one region
            named = AWS_HOST.search(urlsplit(ambient.sts_endpoint_url).hostname or "")
            changes["sts_region"] = named[1] if named else ambient.region
        if self.profile is not None:
            secrets = ("access_key_id", "secret_access_key", "session_token", "web_identity_token_file")
            changes |= dict.fromkeys((*secrets, "role_arn", "role_session_name"))
        elif self.roles and ambient.web_identity_token_file is None:  # else the role belongs to the token
            changes["role_arn"] = None
        return ambient.model_copy(update=changes)

    def credentials(self, ambient: CredentialSettings) -> CredentialSettings:
        """Return how this target's credentials are come by."""
        if self.profile is None and not self.roles:
            return ambient
        return ambient.model_copy(update={"roles": self.roles})


class RoutingSettings(Section):
    """Which targets requests go to, for every model that says nothing else."""

    targets: tuple[TargetChoice, ...] = ()
    """By default all there are, in the order of the file."""
    order: Order = "ordered"
    """`weighted`: an order is drawn for each request, by weight; `headroom`: by what is free of the quota."""
    residency: Regions | None = None
    """Where prompts may be processed; by default anywhere."""

    @field_validator("targets")
    @classmethod
    def _no_models(cls, targets: tuple[TargetChoice, ...]) -> tuple[TargetChoice, ...]:
        if any(choice.model is not None for choice in targets):
            raise ValueError("routing.targets: a model is named in the targets of [models.<name>], not here")
        return targets


def target_problems(
    targets: Mapping[str, TargetSettings],
    choices: Iterable[tuple[str, tuple[TargetChoice, ...]]],
    aws: AwsSettings,
    *,
    bearer: bool,
) -> list[str]:
    """Name what cannot work about the targets; `choices` are the lists that name them, each with its key."""
    problems: list[str] = []
    used: set[str] = set()
    for key, chosen in choices:
        names = [choice.target for choice in chosen]
        used |= set(names)
        known = set(targets) or {DEFAULT_TARGET}
        problems += [f"{key}: there is no [targets.{name}]" for name in names if name not in known]
        if len({(choice.target, choice.model) for choice in chosen}) < len(chosen):
            problems.append(f"{key}: a target is named twice")
    for name, target in targets.items():
        if used and name not in used:
            problems.append(f"targets.{name}: nothing is sent there: name it in routing.targets, or drop it")
        if aws.endpoint_url is not None and target.endpoint_url is None:
            problems.append(
                f"targets.{name}: has no endpoint_url, and the one of AWS_ENDPOINT_URL(_BEDROCK_RUNTIME) is "
                "of one region: give it to the target that has it (AWS_ENDPOINT_URL_STS is for STS alone)"
            )
        if bearer and (target.roles or target.profile is not None):
            problems.append(f"targets.{name}: an API key (bedrock.auth = bearer) has no roles and no profile")
    return problems
