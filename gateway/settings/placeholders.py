"""`${NAME}` in the strings of gateway.toml: the value of an environment variable.

`$${` stands for a literal `${`. Only values are looked at, never keys. A variable that is not set is a
problem of its own; what a variable holds is never part of a message.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from pydantic_settings import TomlConfigSettingsSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

PLACEHOLDER = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class TomlFile(TomlConfigSettingsSource):
    """The configuration file, its placeholders filled from the environment."""

    def _read_file(self, file_path: Path | Traversable) -> dict[str, Any]:
        filled: dict[str, Any] = fill(super()._read_file(file_path), os.environ)
        return filled


def fill(value: Any, environment: Mapping[str, str]) -> Any:
    """Return the value with every placeholder replaced; one whose variable is not set stays as it is."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: _replacement(match, environment), value)
    if isinstance(value, dict):
        return {key: fill(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, environment) for item in value]
    return value


def unset(value: Any, environment: Mapping[str, str], path: str = "") -> Iterator[str]:
    """Name the placeholders whose variables are not set, with the keys of the file that hold them."""
    if isinstance(value, str):
        names = [match[1] for match in PLACEHOLDER.finditer(value) if match[1] is not None]
        missing = [name for name in names if name not in environment]
        yield from (f"{path}: ${{{name}}}: this environment variable is not set" for name in missing)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from unset(item, environment, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from unset(item, environment, f"{path}[{number}]")


def _replacement(match: re.Match[str], environment: Mapping[str, str]) -> str:
    name = match[1]
    if name is None:
        return "${"
    return environment.get(name, match[0])
