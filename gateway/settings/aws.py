"""AWS's own variables, under AWS's own names."""

from __future__ import annotations

import os
from typing import Self

from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.settings.credentials import RoleSettings
from gateway.settings.sections import Section

REGION = r"^[a-z0-9]+(-[a-z0-9]+)+$"
ORIGIN = r"^https?://(\[[0-9A-Fa-f:.]+\]|[^/\s?#@:]+)(:[1-9][0-9]{0,4})?/?$"


class AwsSettings(Section):
    """AWS's own variables under AWS's own names. What is absent is left to the SDK's default chain."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, validate_default=True)

    access_key_id: SecretStr | None = Field(None, validation_alias="AWS_ACCESS_KEY_ID")
    secret_access_key: SecretStr | None = Field(None, validation_alias="AWS_SECRET_ACCESS_KEY")
    session_token: SecretStr | None = Field(None, validation_alias="AWS_SESSION_TOKEN")
    bearer_token: SecretStr | None = Field(None, validation_alias="AWS_BEARER_TOKEN_BEDROCK")
    region: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"),
        pattern=REGION,
    )
    profile: str | None = Field(None, validation_alias="AWS_PROFILE")
    endpoint_url: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"),
        pattern=ORIGIN,
    )
    """Scheme, host and port only: Bedrock's paths begin at the root."""
    sts_endpoint_url: str | None = Field(
        None, validation_alias=AliasChoices("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"), pattern=ORIGIN
    )
    role_arn: str | None = Field(None, validation_alias="AWS_ROLE_ARN")
    """Belongs to web identity where `web_identity_token_file` is set; else it is the role to assume."""
    role_session_name: str | None = Field(None, validation_alias="AWS_ROLE_SESSION_NAME")
    web_identity_token_file: str | None = Field(None, validation_alias="AWS_WEB_IDENTITY_TOKEN_FILE")
    ca_bundle: FilePath | None = Field(None, validation_alias="AWS_CA_BUNDLE")
    use_fips_endpoint: bool = Field(default=False, validation_alias="AWS_USE_FIPS_ENDPOINT")
    use_dualstack_endpoint: bool = Field(default=False, validation_alias="AWS_USE_DUALSTACK_ENDPOINT")
    sts_region: str | None = None
    """What the endpoint of STS signs for, where that is not the region in which Bedrock is called."""
    of_target: bool = False
    """Made for a target: endpoint and profile are what it names, not what AWS's variables and files say."""

    @field_validator("secret_access_key")
    @classmethod
    def _keys_come_in_pairs(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (secret is None) != (info.data.get("access_key_id") is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together")
        return secret

    @property
    def role_to_assume(self) -> RoleSettings | None:
        """The role that AWS_ROLE_ARN asks us to assume with the credentials of the chain."""
        if self.role_arn is None or self.web_identity_token_file is not None:
            return None
        return RoleSettings(role_arn=self.role_arn, session_name=self.role_session_name)

    @model_validator(mode="after")
    def _role_is_a_role(self) -> Self:
        """Ask of AWS_ROLE_ARN what is asked of any role, under its own name."""
        try:
            _ = self.role_to_assume
        except ValidationError as error:
            names = {"role_arn": "AWS_ROLE_ARN", "session_name": "AWS_ROLE_SESSION_NAME"}
            wrong = sorted({names[str(item["loc"][0])] for item in error.errors()})
            raise ValueError(f"{' and '.join(wrong)}: not what STS takes for AssumeRole") from None
        return self

    @classmethod
    def from_environment(cls) -> AwsSettings:
        """Read AWS's variables, of which an empty one is like an absent one, or raise `ValidationError`."""
        return cls.model_validate({k: v for k, v in os.environ.items() if v and k.startswith("AWS_")})
