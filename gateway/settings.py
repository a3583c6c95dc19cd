"""Everything an operator can set, and the only reader of the environment and of `gateway.toml`.

The environment wins over the file. Settings are read once, checked as a whole and frozen: start-up fails
with every problem listed, and no value of a secret is ever part of a message.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "GATEWAY_"
DEFAULT_FILE = "gateway.toml"
FOREIGN_NAMES = frozenset({"GATEWAY_CONFIG", "GATEWAY_RECORDINGS", "GATEWAY_VECTORS"})
"""Names with our prefix that are not settings: the file's path, and where the tests find their data."""

OperationChoice = Literal["auto", "invoke", "converse"]
ORIGIN = r"^https?://(\[[0-9A-Fa-f:.]+\]|[^/\s?#@:]+)(:[1-9][0-9]{0,4})?/?$"
T = TypeVar("T")
Milliseconds = Annotated[int, Field(gt=0, le=86_400_000)]


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


class AwsSettings(_Section):
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


class _Environment(EnvSettingsSource):
    """The environment, which leaves a value that is not JSON to the check that names every problem."""

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


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

    host: str = Field("127.0.0.1", pattern=r"^\S+$")
    """Never empty: to asyncio that would mean every interface."""
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
    aws: AwsSettings = Field(default_factory=AwsSettings.from_environment, validate_default=True)

    @field_validator("aws")
    @classmethod
    def _bearer_needs_a_token(cls, aws: AwsSettings, info: ValidationInfo) -> AwsSettings:
        bedrock = info.data.get("bedrock")  # absent where it is wrong itself
        if bedrock is not None and bedrock.auth == "bearer" and aws.bearer_token is None:
            raise ValueError(
                "bedrock.auth (GATEWAY_BEDROCK__AUTH) is bearer, but AWS_BEARER_TOKEN_BEDROCK is not set"
            )
        return aws

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
        del env_settings, dotenv_settings, file_secret_settings
        path = config_file()
        file = () if path is None else (TomlConfigSettingsSource(settings_cls, toml_file=path),)
        return (init_settings, _Environment(settings_cls), *file)


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
    problems = [*_file_problems(), *_unknown_names()]
    aws = _checked(AwsSettings.from_environment, problems)
    # where AWS's variables are wrong, the rest is checked all the same, without a false word about them
    known = aws or AwsSettings(bearer_token=SecretStr("not read"))
    settings = _checked(lambda: Settings(aws=known), problems)
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def _checked(read: Callable[[], T], problems: list[str]) -> T | None:
    """Return what `read` returns, or None and more problems, no line twice."""
    try:
        return read()
    except ValidationError as error:
        lines = [_describe(item) for item in error.errors(include_input=False, include_url=False)]
        problems += [line for line in lines if line not in problems]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
        pass  # _file_problems has said it better
    return None


def _file_problems() -> list[str]:
    path = config_file()
    if path is None:
        return []
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        return [f"{path}: cannot be read ({error.strerror}); GATEWAY_CONFIG names another file"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return [f"{path}: not valid TOML: {error}"]
    if "aws" in content:
        return [f"{path}: [aws]: AWS's settings come from AWS's own variables (AWS_REGION, …), not from here"]
    return []


def _unknown_names() -> list[str]:
    """Name variables with our prefix that no setting reads; a misspelt limit must not become a default."""
    known = _env_names(Settings, PREFIX) | FOREIGN_NAMES
    free = (f"{PREFIX}MODELS__", f"{PREFIX}ALIASES__")  # free keys: checked by the model itself
    return [
        f"{name}: {WORDS['extra_forbidden']}"
        for name in sorted(os.environ)
        if name.upper().startswith(PREFIX) and not name.upper().startswith(free)
        if name.upper() not in known and os.environ[name]
    ]


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


TABLE = "Input should be a table (in the environment: JSON, or one variable for each key)"
WORDS = {"extra_forbidden": "unknown setting", "dict_type": TABLE, "model_type": TABLE}


def _describe(item: Any) -> str:
    """Return what to change: the key of the file with the name of the variable, and what is wrong there."""
    location = [str(part) for part in item["loc"]]
    words = WORDS.get(item["type"], item["msg"])
    if item["type"] == "value_error":  # a check of this module: its words are complete
        return str(words).removeprefix("Value error, ")
    if location[0].startswith("AWS_"):
        return f"{location[0]}: {words}"
    variable = f"{PREFIX}{'__'.join(location)}".upper()
    if item["type"] == "extra_forbidden" and variable in map(str.upper, os.environ):
        return f"{variable}: {words}"
    key = ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in location)
    return f"{key} ({variable}): {words}"
