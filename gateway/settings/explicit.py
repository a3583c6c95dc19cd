"""Settings made in code, for the demo: nothing of the machine's own set-up takes part."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.settings.root import PREFIX, Settings

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource


class ExplicitSettings(Settings):
    """Settings of which only what the code says is true: no environment, no file."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Explicit values only."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def forget_environment() -> None:
    """Take AWS's and our own variables, and AWS's files, out of this process.

    The AWS SDK reads them by itself: a profile that is not there would stop a demo that needs no account.
    """
    for name in list(os.environ):
        if name.upper().startswith(("AWS_", "BOTO_", PREFIX)):
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
