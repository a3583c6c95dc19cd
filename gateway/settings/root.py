"""The whole configuration of one process, and where it is read from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from gateway.settings.attribution import AttributionSettings, name_problems
from gateway.settings.auth import AuthSettings
from gateway.settings.aws import AwsSettings
from gateway.settings.callers import CallerSettings, ambiguous, unknowable, unprovable
from gateway.settings.credentials import MAX_CHAINED_S, CredentialSettings, too_long
from gateway.settings.drain import DrainSettings
from gateway.settings.placeholders import TomlFile
from gateway.settings.quotas import QuotaSettings
from gateway.settings.redis import RedisSettings
from gateway.settings.sections import (
    AdaptiveSettings,
    BedrockSettings,
    BreakerSettings,
    DefaultSettings,
    LogSettings,
    MetricsSettings,
    Milliseconds,
    ModelSettings,
    ProviderSettings,
    RetrySettings,
    TargetChoice,
)
from gateway.settings.targets import DEFAULT_TARGET, RoutingSettings, TargetSettings, target_problems
from gateway.settings.tls import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "GATEWAY_"
DEFAULT_FILE = "gateway.toml"


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
    workers: int = Field(1, ge=1, le=256)
    """Processes that serve from one port. The counts below are of all of them together."""
    event_loop: Literal["auto", "asyncio", "uvloop"] = "auto"
    """What runs a process that serves; `auto` is uvloop where it is installed (`gateway/event_loop.py`)."""
    max_concurrency: int = Field(100, ge=1, le=100_000)
    """Upstream streams at once: slots."""
    max_queue: int = Field(100, ge=0, le=100_000)
    """Requests that may wait for a slot; one more is refused at once."""
    queue_timeout_ms: Milliseconds = 5_000
    queue_order: Literal["fifo", "newest_first"] = "fifo"
    """`newest_first`: while more wait than half of the slots, the youngest goes first (R38)."""
    max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    max_bodies_bytes: int = Field(256 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024 * 1024)
    """Of all requests together, held until they are answered; in memory each counts about three times: as it
    came, parsed, and as it goes to Bedrock."""
    max_connections: int = Field(2_000, ge=1, le=1_000_000)
    """Of callers; some more are taken for the probes (R12)."""
    head_timeout_ms: Milliseconds = 10_000
    """How long the head of a request may take to arrive, from the connection or from its first byte (R11)."""
    body_timeout_ms: Milliseconds = 30_000
    """How long a request body may take to arrive."""
    keepalive_timeout_ms: Milliseconds = 75_000
    """Longer than the load balancer's idle time (ALB: 60 s), or it meets closed connections (R11)."""
    write_timeout_ms: Milliseconds = 30_000
    """How long a caller may take nothing of what waits for it before it is given up; who is slow is not (R5).
    Above 60 s the kernel gives up first (`gateway/tcp.py`)."""
    heartbeat_interval_ms: int = Field(15_000, ge=0, le=86_400_000)
    """The longest silence of a stream before a heartbeat; below the load balancer's idle time. 0: none."""
    heartbeat_grace_ms: Milliseconds = 20_000
    """The same before the first event: the heartbeat then sends the head, and with it the status 200 (R6)."""
    on_disconnect: Literal["abort", "drain"] = "abort"
    """What becomes of an answer whose caller has left: it is ended, or read on to learn its tokens (R22)."""
    abandoned_max_answers: int = Field(20, ge=1, le=100_000)
    """Answers that are read on at the same time, at most; each keeps its slot. One more is ended."""
    abandoned_timeout_ms: Milliseconds = 60_000
    """How long one answer is read on at most."""
    custom_model_ids: bool = True
    """Serve well-formed model ids that the catalogue does not know, through Converse."""
    bedrock: BedrockSettings = BedrockSettings()
    adaptive: AdaptiveSettings = AdaptiveSettings()
    retries: RetrySettings = RetrySettings()
    breaker: BreakerSettings = BreakerSettings()
    credentials: CredentialSettings = CredentialSettings()
    drain: DrainSettings = DrainSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    redis: RedisSettings = RedisSettings()
    default_model: str | None = None
    """What is asked where a caller names no model."""
    allowed_models: tuple[str, ...] | None = None
    """Patterns of which one must match the name asked for or its alias's target; by default all may be."""
    defaults: DefaultSettings = DefaultSettings()
    aliases: dict[str, str] = Field(default_factory=dict)
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    callers: dict[str, CallerSettings] = Field(default_factory=dict)
    """Who may ask; without any, and without `keys_file`, everybody who can connect."""
    keys_file: Path | None = None
    """Keys made by `bedrock-gateway keys`; read again when it changes."""
    auth: AuthSettings = AuthSettings()
    tls: TlsSettings = TlsSettings()
    attribution: AttributionSettings = AttributionSettings()
    targets: dict[str, TargetSettings] = Field(default_factory=dict)
    """Where Bedrock may be called; without any, the one target `default` that AWS's variables describe."""
    routing: RoutingSettings = RoutingSettings()
    quotas: dict[str, QuotaSettings] = Field(default_factory=dict[str, QuotaSettings])
    """What Bedrock gives, by pattern of model ids: requests wait for it instead of being throttled."""
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    """What `/models/config` lists; by default the catalogue."""
    default_provider: str | None = None
    aws: AwsSettings = Field(default_factory=AwsSettings.from_environment, validate_default=True)

    @field_validator("max_bodies_bytes")
    @classmethod
    def _one_body_fits(cls, total: int, info: ValidationInfo) -> int:
        one = info.data.get("max_body_bytes")
        if one is not None and total < one:
            raise ValueError(
                f"max_bodies_bytes (GATEWAY_MAX_BODIES_BYTES): {total} has no room for one body of "
                f"max_body_bytes, which is {one}"
            )
        return total

    @field_validator("aws")
    @classmethod
    def _bearer_needs_a_token(cls, aws: AwsSettings, info: ValidationInfo) -> AwsSettings:
        bedrock = info.data.get("bedrock")  # absent where it is wrong itself
        if bedrock is not None and bedrock.auth == "bearer" and aws.bearer_token is None:
            raise ValueError(
                "bedrock.auth (GATEWAY_BEDROCK__AUTH) is bearer, but AWS_BEARER_TOKEN_BEDROCK is not set"
            )
        return aws

    @field_validator("aws")
    @classmethod
    def _roles_can_be_assumed(cls, aws: AwsSettings, info: ValidationInfo) -> AwsSettings:
        bedrock, credentials = info.data.get("bedrock"), info.data.get("credentials")
        if bedrock is None or credentials is None or not credentials.roles:
            return aws
        named = "credentials.roles (GATEWAY_CREDENTIALS__ROLES)"
        if bedrock.auth == "bearer":
            raise ValueError(f"{named}: no role can be assumed with bedrock.auth = bearer")
        if aws.role_to_assume is not None:
            raise ValueError(f"{named} and AWS_ROLE_ARN both name roles to assume: keep one of them")
        temporary = aws.session_token is not None or aws.web_identity_token_file is not None
        if temporary and credentials.roles[0].duration_s > MAX_CHAINED_S:
            raise ValueError(too_long(0, "AWS refuses longer sessions to temporary credentials"))
        return aws

    @model_validator(mode="after")
    def _slots_are_left(self) -> Self:
        """Refuse what would leave the slots without use, or without limit."""
        slots, problems = self.max_concurrency, []
        if self.adaptive.enabled and self.adaptive.floor > slots:
            problems.append(
                f"adaptive.floor (GATEWAY_ADAPTIVE__FLOOR): {self.adaptive.floor} is more than "
                f"max_concurrency, which is {slots}: nothing would ever be limited"
            )
        if self.on_disconnect == "drain" and self.abandoned_max_answers >= slots:
            problems.append(
                f"abandoned_max_answers (GATEWAY_ABANDONED_MAX_ANSWERS): {self.abandoned_max_answers} is not "
                f"less than max_concurrency, which is {slots}: they could hold every slot"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @field_validator("tls", mode="before")
    @classmethod
    def _tls_is_meant(cls, tls: Any) -> Any:
        if tls == {}:
            raise ValueError(
                "tls: an empty table makes no TLS: it needs cert_file and key_file, or leave it out"
            )
        return tls

    @field_validator("callers")
    @classmethod
    def _callers_differ(cls, callers: dict[str, CallerSettings]) -> dict[str, CallerSettings]:
        if problems := list(ambiguous(callers)):
            raise ValueError("\n".join(problems))
        return callers

    @model_validator(mode="after")
    def _callers_can_be_told_of(self) -> Self:
        problems: list[str] = []
        if self.credentials.caller_sessions or self.attribution.request_metadata is not None:
            problems += name_problems(self.callers)
        if self.credentials.caller_sessions and not any(
            credentials.roles or aws.role_to_assume for aws, credentials in self.places().values()
        ):
            problems.append(
                "credentials.caller_sessions (GATEWAY_CREDENTIALS__CALLER_SESSIONS): there is no role to "
                "assume: name one in credentials.roles, targets or AWS_ROLE_ARN"
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @model_validator(mode="after")
    def _callers_can_be_known(self) -> Self:
        certificates = self.tls.client_certificates != "none"
        problems = [*unprovable(self.callers, tokens=bool(self.auth.issuers), certificates=certificates)]
        if self.keys_file is None:
            problems += unknowable(self.callers)
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @model_validator(mode="after")
    def _targets_can_be_used(self) -> Self:
        problems = target_problems(
            self.targets, self.target_lists(), self.aws, bearer=self.bedrock.auth == "bearer"
        )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def places(self) -> dict[str, tuple[AwsSettings, CredentialSettings]]:
        """Return where each target is, and how its credentials are come by."""
        if not self.targets:
            return {DEFAULT_TARGET: (self.aws, self.credentials)}
        return {
            name: (target.aws(self.aws), target.credentials(self.credentials))
            for name, target in self.targets.items()
        }

    def target_lists(self) -> Iterator[tuple[str, tuple[TargetChoice, ...]]]:
        """Yield the lists of targets, each with the key that it stands under; the general one first."""
        general = self.routing.targets or tuple(TargetChoice(target=name) for name in self.targets)
        yield "routing.targets", general or (TargetChoice(target=DEFAULT_TARGET),)
        for name, model in self.models.items():
            yield f'models."{name}".targets', model.targets

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
        file = () if path is None else (TomlFile(settings_cls, toml_file=path),)
        return (init_settings, _Environment(settings_cls), *file)


def config_file() -> Path | None:
    """Return the configuration file in force: `GATEWAY_CONFIG`, else `./gateway.toml` where it exists."""
    named = os.environ.get("GATEWAY_CONFIG")
    if named:
        return Path(named)
    default = Path(DEFAULT_FILE)
    return default if default.is_file() else None
