"""Everything an operator can set, and the only reader of the environment and of `gateway.toml`.

The environment wins over the file. Settings are read once, checked as a whole and frozen: start-up fails
with every problem listed, and no value of a secret is ever part of a message.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

PREFIX = "GATEWAY_"
DEFAULT_FILE = "gateway.toml"
FOREIGN_NAMES = frozenset({"GATEWAY_CONFIG", "GATEWAY_RECORDINGS", "GATEWAY_VECTORS"})
"""Names with our prefix that are not settings: the file's path, and where the tests find their data."""

Milliseconds = Annotated[int, Field(gt=0, le=86_400_000)]
OperationChoice = Literal["auto", "invoke", "converse"]


class SettingsError(Exception):
    """The settings cannot be used. `problems` has one line per problem, none of which holds a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BedrockSettings(_Section):
    """How Bedrock is called."""

    operation: OperationChoice = "auto"
    """The catalogue's choice per model, or one API forced for all."""
    streaming: bool = True
    """False: call the unary operations, for roles that may not call the streaming ones."""
    auth: Literal["sigv4", "bearer"] = "sigv4"
    """`bearer` uses AWS_BEARER_TOKEN_BEDROCK. It must be chosen: on its own that variable silently overrides
    keys in every SDK (bedrock-wire.md §2.6)."""
    connect_timeout_ms: Milliseconds = 3_000
    first_byte_timeout_ms: Milliseconds = 120_000
    """From sending the request to the first byte of the answer's body; long, because models think."""
    gap_timeout_ms: Milliseconds = 60_000
    """The longest silence between two reads of an answer."""
    total_timeout_ms: Milliseconds = 900_000
    """From the slot to the end of the answer."""


class LogSettings(_Section):
    """What the log looks like."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: pretty when stdout is a terminal, else JSON."""


class ModelSettings(_Section):
    """What the operator says about one model."""

    operation: OperationChoice | None = None
    streaming: bool | None = None


class AwsSettings(BaseSettings):
    """AWS's own variables under AWS's own names. What is absent is left to the SDK's default chain."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True, populate_by_name=True
    )

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
        pattern=r"^https?://[^/\s?#@]+/?$",
    )
    """Scheme, host and port only: Bedrock's paths begin at the root."""
    ca_bundle: Path | None = Field(None, validation_alias="AWS_CA_BUNDLE")
    use_fips_endpoint: bool = Field(default=False, validation_alias="AWS_USE_FIPS_ENDPOINT")
    use_dualstack_endpoint: bool = Field(default=False, validation_alias="AWS_USE_DUALSTACK_ENDPOINT")

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> AwsSettings:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together")
        if self.ca_bundle is not None and not self.ca_bundle.is_file():
            raise ValueError("AWS_CA_BUNDLE is not a file")
        return self


class Settings(BaseSettings):
    """The whole configuration of one process."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65_535)
    max_concurrency: int = Field(100, ge=1, le=100_000)
    """Upstream streams at once: slots."""
    max_queue: int = Field(100, ge=0, le=100_000)
    """Requests that may wait for a slot; one more is refused at once."""
    queue_timeout_ms: Milliseconds = 5_000
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    body_timeout_ms: Milliseconds = 30_000
    """How long a request body may take to arrive."""
    keepalive_timeout_ms: Milliseconds = 75_000
    """Longer than the load balancer's idle time (ALB: 60 s), or it meets closed connections (R11)."""
    write_timeout_ms: Milliseconds = 30_000
    """How long one write may make no progress before the reader is given up (R5)."""
    custom_model_ids: bool = True
    """Serve well-formed model ids that the catalogue does not know, through Converse."""
    bedrock: BedrockSettings = BedrockSettings()
    log: LogSettings = LogSettings()
    aliases: dict[str, str] = Field(default_factory=dict)
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    aws: AwsSettings = Field(default_factory=AwsSettings)

    @model_validator(mode="after")
    def _bearer_needs_a_token(self) -> Settings:
        if self.bedrock.auth == "bearer" and self.aws.bearer_token is None:
            raise ValueError("bedrock.auth is bearer, but AWS_BEARER_TOKEN_BEDROCK is not set")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit values, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        path = config_file()
        file: tuple[PydanticBaseSettingsSource, ...] = ()
        if path is not None:
            file = (TomlConfigSettingsSource(settings_cls, toml_file=path),)
        return (init_settings, env_settings, *file)


def config_file() -> Path | None:
    """Return the configuration file in force: `GATEWAY_CONFIG`, else `./gateway.toml` where it exists."""
    named = os.environ.get("GATEWAY_CONFIG")
    if named:
        return Path(named)
    default = Path(DEFAULT_FILE)
    return default if default.is_file() else None


def load() -> Settings:
    """Read, check and freeze the settings.

    Raises:
        SettingsError: with every problem found, not only the first.
    """
    problems = _file_problems() or _unknown_names()
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [_describe(item) for item in error.errors(include_input=False, include_url=False)]
    except (tomllib.TOMLDecodeError, OSError):
        pass  # _file_problems has said it better
    else:
        if not problems:
            return settings
    raise SettingsError(problems)


def _file_problems() -> list[str]:
    path = config_file()
    if path is None:
        return []
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        return [f"{path}: cannot be read ({error.strerror}); GATEWAY_CONFIG names it"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return [f"{path}: not valid TOML: {error}"]
    if "aws" in content:
        return [f"{path}: [aws]: AWS's settings come from AWS's own variables (AWS_REGION, …), not from here"]
    return []


def _unknown_names() -> list[str]:
    """Name variables with our prefix that no setting reads; a misspelt limit must not become a default."""
    known = _env_names(Settings, PREFIX)
    problems = []
    for name in sorted(os.environ):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in FOREIGN_NAMES or upper in known:
            continue
        if upper.startswith((PREFIX + "MODELS__", PREFIX + "ALIASES__")):
            continue  # free keys: checked by the model itself
        problems.append(f"{name}: unknown setting")
    return problems


def _env_names(model: type[BaseModel], prefix: str) -> set[str]:
    names = set()
    for field, info in model.model_fields.items():
        if field == "aws":
            continue
        name = prefix + field.upper()
        names.add(name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names |= _env_names(info.annotation, name + "__")
    return names


def _describe(item: Any) -> str:
    location = [str(part) for part in item["loc"]]
    where = ".".join(location)
    if not where:
        return str(item["msg"]).removeprefix("Value error, ")
    if where.startswith("AWS_"):
        return f"{where}: {item['msg']}"
    return f"{where} ({PREFIX}{'__'.join(location).upper()}): {item['msg']}"
