"""How the credentials for Bedrock are come by, beyond AWS's own variables."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.settings.sections import Milliseconds, Section

MIN_ROLE_S = 1800
"""AWS allows 900 s; but with so short a life an SDK would call STS for each request (reliability.md S23)."""
MAX_CHAINED_S = 3600


class RoleSettings(Section):
    """A role to assume by STS's AssumeRole."""

    role_arn: str = Field(
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]+$", max_length=2048
    )
    external_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_+=,.@:/-]+$", min_length=2, max_length=1224, repr=False
    )
    """What the owner of the role asks of us, two characters or more."""
    session_name: str | None = Field(None, pattern=r"^[A-Za-z0-9_+=,.@-]+$", min_length=2, max_length=64)
    """In CloudTrail; by default `gw-<host>-<process>`."""
    duration_s: int = Field(3600, le=43_200)
    tags: dict[str, str] = Field(default_factory=dict, max_length=50)
    """Session tags."""

    @field_validator("duration_s")
    @classmethod
    def _long_enough(cls, seconds: int) -> int:
        if seconds < MIN_ROLE_S:
            raise PydanticCustomError(
                "too_short",
                "Input should be greater than or equal to 1800: so that an outage of STS can be sat out",
            )
        return seconds


class CredentialSettings(Section):
    """How the credentials for Bedrock are come by, beyond AWS's own variables."""

    roles: tuple[RoleSettings, ...] = Field((), max_length=5)
    """Assumed one with another, in this order: the first with the default chain's credentials."""
    caller_sessions: bool = False
    """Assume the last role once more for each caller, with the caller's name as the session's: CloudTrail and
    the cost report then know the team."""
    caller_tag: Annotated[str, Field(pattern=r"^[A-Za-z0-9 _.:/=+@-]{1,128}$")] | None = None
    """The key of a session tag that holds the name too, for policies and cost allocation; the role must allow
    sts:TagSession."""
    startup_timeout_ms: Milliseconds = 5_000
    """How long the start waits for the first credentials; without them the process is not ready."""

    @model_validator(mode="after")
    def _tags_are_of_sessions(self) -> Self:
        if self.caller_tag is not None and not self.caller_sessions:
            raise ValueError("credentials.caller_tag (GATEWAY_CREDENTIALS__CALLER_TAG) needs caller_sessions")
        return self

    @field_validator("roles")
    @classmethod
    def _chained_for_an_hour(cls, roles: tuple[RoleSettings, ...]) -> tuple[RoleSettings, ...]:
        for number, role in enumerate(roles[1:], start=1):
            if role.duration_s > MAX_CHAINED_S:
                raise ValueError(
                    too_long(number, "AWS refuses longer sessions of a role that a role assumes")
                )
        return roles


def too_long(number: int, reason: str) -> str:
    """Return what to say of a role whose session would be refused."""
    return (
        f"credentials.roles.{number}.duration_s (GATEWAY_CREDENTIALS__ROLES): Input should be less than or "
        f"equal to {MAX_CHAINED_S}: {reason}"
    )
