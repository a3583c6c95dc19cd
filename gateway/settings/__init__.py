"""Everything an operator can set, and the only reader of the environment and of `gateway.toml`.

The environment wins over the file. Settings are read once, checked as a whole and frozen: start-up fails
with every problem listed, and no value of a secret is ever part of a message.
"""

from gateway.settings.attribution import AttributionSettings
from gateway.settings.auth import AuthSettings, IssuerSettings, is_loopback
from gateway.settings.aws import AwsSettings
from gateway.settings.callers import CallerSettings, name_problem
from gateway.settings.credentials import CredentialSettings, RoleSettings
from gateway.settings.drain import DrainSettings
from gateway.settings.explicit import ExplicitSettings, forget_environment
from gateway.settings.loading import SettingsError, load
from gateway.settings.redis import RedisSettings
from gateway.settings.root import Settings, config_file
from gateway.settings.sections import (
    AdaptiveSettings,
    BedrockSettings,
    BreakerSettings,
    DefaultSettings,
    ListedModel,
    LogSettings,
    MetricsSettings,
    ModelSettings,
    ProviderSettings,
    RetrySettings,
    TargetChoice,
    TimeoutSettings,
)
from gateway.settings.targets import DEFAULT_TARGET, RoutingSettings, TargetSettings
from gateway.settings.tls import TlsSettings

__all__ = [
    "DEFAULT_TARGET",
    "AdaptiveSettings",
    "AttributionSettings",
    "AuthSettings",
    "AwsSettings",
    "BedrockSettings",
    "BreakerSettings",
    "CallerSettings",
    "CredentialSettings",
    "DefaultSettings",
    "DrainSettings",
    "ExplicitSettings",
    "IssuerSettings",
    "ListedModel",
    "LogSettings",
    "MetricsSettings",
    "ModelSettings",
    "ProviderSettings",
    "RedisSettings",
    "RetrySettings",
    "RoleSettings",
    "RoutingSettings",
    "Settings",
    "SettingsError",
    "TargetChoice",
    "TargetSettings",
    "TimeoutSettings",
    "TlsSettings",
    "config_file",
    "forget_environment",
    "is_loopback",
    "load",
    "name_problem",
]
