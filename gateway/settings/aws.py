"""AWS's own variables, under AWS's own names."""

from __future__ import annotations

import os

from pydantic import AliasChoices, ConfigDict, Field, FilePath, SecretStr, ValidationInfo, field_validator

from gateway.settings.sections import Section

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
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)+$",
    )
    profile: str | None = Field(None, validation_alias="AWS_PROFILE")
    endpoint_url: str | None = Field(
        None,
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"),
        pattern=ORIGIN,
    )
    """Scheme, host and port only: Bedrock's paths begin at the root."""
    ca_bundle: FilePath | None = Field(None, validation_alias="AWS_CA_BUNDLE")
    use_fips_endpoint: bool = Field(default=False, validation_alias="AWS_USE_FIPS_ENDPOINT")
    use_dualstack_endpoint: bool = Field(default=False, validation_alias="AWS_USE_DUALSTACK_ENDPOINT")

    @field_validator("secret_access_key")
    @classmethod
    def _keys_come_in_pairs(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (secret is None) != (info.data.get("access_key_id") is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together")
        return secret

    @classmethod
    def from_environment(cls) -> AwsSettings:
        """Read AWS's variables, of which an empty one is like an absent one, or raise `ValidationError`."""
        return cls.model_validate({k: v for k, v in os.environ.items() if v and k.startswith("AWS_")})
