"""The sections of the configuration, one class each."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

OperationChoice = Literal["auto", "invoke", "converse"]
Order = Literal["ordered", "weighted", "headroom"]
"""As listed · each first as often as its weight says · the one first that has the largest share free."""
Regions = Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z0-9*?-]+$")], ...], Field(min_length=1)]
"""Patterns of regions, such as `eu-*`."""


def _no_truth(value: Any) -> Any:
    """Refuse `true`, which pydantic takes for 1; a limit of 1 is nothing that somebody means by it."""
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "Input should be a whole number")
    return value


Count = Annotated[int, BeforeValidator(_no_truth), Field(ge=1, le=1_000_000_000_000)]
Milliseconds = Annotated[int, Field(gt=0, le=86_400_000)]


class Section(BaseModel):
    """A table of the file: frozen, and without room for unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BedrockSettings(Section):
    """How Bedrock is called."""

    operation: OperationChoice = "auto"
    """The catalogue's choice per model, or one API forced for all."""
    streaming: bool = True
    """False: call the unary operations, for roles that may not call the streaming ones."""
    auth: Literal["sigv4", "bearer"] = "sigv4"
    """`bearer` uses AWS_BEARER_TOKEN_BEDROCK. It must be chosen: on its own that variable silently overrides
    keys in every SDK (bedrock-wire.md §2.6)."""
    s3_locations: bool = False
    """Pass on bodies that point Bedrock at S3 (`s3Location`): it reads there by the gateway's own rights."""
    connect_timeout_ms: Milliseconds = 3_000
    first_byte_timeout_ms: Milliseconds = 120_000
    """From sending the request to the first byte of the answer's body; long, because models think."""
    gap_timeout_ms: Milliseconds = 60_000
    """The longest silence between two reads of an answer."""
    total_timeout_ms: Milliseconds = 900_000
    """From the slot to the end of the answer."""


class AdaptiveSettings(Section):
    """How many calls one model is asked at once: a limit that follows Bedrock's throttles (R39)."""

    enabled: bool = True
    floor: int = Field(1, ge=1, le=100_000)
    """Calls at once that are always tried."""
    decrease: float = Field(0.8, ge=0.1, le=0.99)
    """What is left of the limit after a throttle."""


class RetrySettings(Section):
    """What is sent again that failed before the caller could see anything of an answer (R18, R40)."""

    max_attempts: int = Field(3, ge=1, le=10)
    """Calls for one request, the first included; 1: nothing is sent again."""
    backoff_ms: Milliseconds = 100
    """Before the first retry of the same call at most; each further one waits for up to twice as long."""
    max_backoff_ms: Milliseconds = 2_000
    budget_percent: int = Field(20, ge=0, le=100)
    """Retries per hundred requests of the whole process."""
    budget_min: int = Field(3, ge=0, le=100_000)
    """Retries in ten seconds that are allowed however few requests there are."""

    @model_validator(mode="after")
    def _pauses_grow(self) -> Self:
        if self.max_backoff_ms < self.backoff_ms:
            raise ValueError(
                f"retries.max_backoff_ms (GATEWAY_RETRIES__MAX_BACKOFF_MS): {self.max_backoff_ms} is less "
                f"than backoff_ms, which is {self.backoff_ms}"
            )
        return self


class BreakerSettings(Section):
    """When a target gets no more calls for a model, because too many have failed (R41)."""

    enabled: bool = True
    failure_percent: int = Field(50, ge=1, le=100)
    min_calls: int = Field(10, ge=1, le=1_000_000)
    """Calls in the window without which nothing is concluded."""
    failed_connections: int = Field(5, ge=1, le=1_000_000)
    """In a row, with which it opens whatever went before: each costs a caller `connect_timeout_ms`."""
    window_ms: Milliseconds = 30_000
    open_ms: Milliseconds = 5_000
    """Until a first call is let through to try; twice as long after each that fails."""
    max_open_ms: Milliseconds = 60_000

    @model_validator(mode="after")
    def _times_grow(self) -> Self:
        if self.max_open_ms < self.open_ms:
            raise ValueError(
                f"breaker.max_open_ms (GATEWAY_BREAKER__MAX_OPEN_MS): {self.max_open_ms} is less than "
                f"open_ms, which is {self.open_ms}"
            )
        return self


class LogSettings(Section):
    """What the log looks like."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: pretty when stdout is a terminal, else JSON."""


class MetricsSettings(Section):
    """Where Prometheus reads the metrics: a private address, never the callers' (R60)."""

    host: str = Field("127.0.0.1", pattern=r"^\S+$")
    port: int | None = Field(None, ge=0, le=65_535)
    """Without one nothing is measured; 9464 is usual. Worker k of several has `port` + k - 1; 0: any free."""

    def of_worker(self, number: int) -> Self:
        """Return the place of one worker's own metrics."""
        return self.model_copy(update={"port": self.port + number - 1}) if self.port else self


class DefaultSettings(Section):
    """What is asked of a model where the caller does not say."""

    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, gt=0, le=1)
    """Both in the range that every family takes."""
    system: str | None = Field(None, min_length=1)


class TimeoutSettings(Section):
    """The clocks of one model, where it needs other ones than `[bedrock]` has."""

    connect_ms: Milliseconds | None = None
    first_byte_ms: Milliseconds | None = None
    gap_ms: Milliseconds | None = None
    total_ms: Milliseconds | None = None


class TargetChoice(Section):
    """A target in a list of them; a bare string is its name."""

    target: str = Field(min_length=1)
    model: str | None = Field(None, min_length=1)
    """What the model is called there: an inference profile or an ARN."""
    weight: float = Field(1, gt=0, le=1_000_000)
    """Its share of the requests where the order is weighted."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"target": value} if isinstance(value, str) else value


Feature: TypeAlias = Literal[
    "documents", "tools", "strict_tools", "single_calls", "structured", "cache_points", "cache_1h", "latency"
]
"""What a model may have besides text; see `gateway.catalog.features.Features`."""


class ModelSettings(Section):
    """What the operator says about one model."""

    operation: OperationChoice | None = None
    streaming: bool | None = None
    base_model: str | None = None
    """The foundation model behind an ARN that does not name it."""
    on_demand: bool | None = None
    """True: the base id can be called here, though the catalogue knows inference profiles only."""
    features: dict[Feature, bool] = Field(default_factory=dict)
    """What it has or lacks, where the catalogue does not know or is wrong: requests are refused by it."""
    defaults: DefaultSettings = DefaultSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    targets: tuple[TargetChoice, ...] = ()
    """Where it is asked, instead of `routing.targets`."""
    order: Order | None = None
    residency: Regions | None = None
    """Where its prompts may be processed, instead of `routing.residency`."""
    fallback_models: tuple[str, ...] = ()
    """Asked, in this order, when all of its own targets have failed."""


class ListedModel(Section):
    """A model as `/models/config` lists it."""

    id: str = Field(min_length=1)
    name: str = Field(min_length=1)


class ProviderSettings(Section):
    """A provider as `/models/config` lists it, and the defaults of its models."""

    name: str = Field(min_length=1)
    supports_custom_model: bool = False
    models: tuple[ListedModel, ...] = ()
    defaults: DefaultSettings = DefaultSettings()
