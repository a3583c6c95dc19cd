"""Reading the settings at start-up: every problem at once, each in words that say what to change."""

from __future__ import annotations

import os
import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from gateway.settings.aws import AwsSettings
from gateway.settings.placeholders import unset
from gateway.settings.root import PREFIX, Settings, config_file

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
FOREIGN_NAMES = frozenset({"GATEWAY_CONFIG", "GATEWAY_RECORDINGS", "GATEWAY_VECTORS"})
"""Names with our prefix that are not settings: the file's path, and where the tests find their data."""


_UNSET = re.compile(r".*?: (\S.*): \$\{\w+\}: ")
"""A line of `_file_problems` about a variable; the group is the key of the file."""


class SettingsError(Exception):
    """The settings cannot be used. `problems` has one line per problem, none of which holds a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def load() -> Settings:
    """Read, check and freeze the settings.

    Raises:
        SettingsError: with every problem found, not only the first.
    """
    problems = [*_file_problems(), *_unknown_names()]
    aws = _checked(AwsSettings.from_environment, problems)
    # where AWS's variables are wrong, the rest is checked all the same, without a false word about them
    known = aws or AwsSettings(bearer_token=SecretStr("not read"))
    wrong: list[str] = []
    settings = _checked(lambda: Settings(aws=known), wrong)
    # what holds an unset variable is wrong by that alone: another word about its text would mislead
    places = tuple(place for match in map(_UNSET.match, problems) if match for place in _places(match[1]))
    problems += [line for line in wrong if line not in problems and not line.startswith(places)]
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def _checked(read: Callable[[], T], problems: list[str]) -> T | None:
    """Return what `read` returns, or None and more problems, no line twice."""
    try:
        return read()
    except ValidationError as error:
        items = error.errors(include_input=False, include_url=False)
        # one variable may serve two settings
        lines = dict.fromkeys(line for item in items for line in _describe(item).splitlines())
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
    return [f"{path}: {problem}" for problem in unset(content, os.environ)]


def _unknown_names() -> list[str]:
    """Name variables with our prefix that no setting reads; a misspelt limit must not become a default."""
    known = _env_names(Settings, PREFIX) | FOREIGN_NAMES
    # free keys: checked by the model itself
    free = tuple(f"{PREFIX}{name}__" for name in ("MODELS", "ALIASES", "PROVIDERS", "TARGETS", "CALLERS"))
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


def _places(path: str) -> tuple[str, str]:
    """Return how lines about this key of the file begin."""
    key = re.sub(r"\[(\d+)\]", r".\1", path)
    return f"{key} (", f"{key}: "


TABLE = "Input should be a table (in the environment: JSON, or one variable for each key)"
LIST = "Input should be a list (in the environment: JSON)"
WORDS = {"extra_forbidden": "unknown setting", "dict_type": TABLE, "model_type": TABLE, "tuple_type": LIST}


def _describe(item: Any) -> str:
    """Return what to change: the key of the file with the name of the variable, and what is wrong there."""
    location = [str(part) for part in item["loc"]]
    words = WORDS.get(item["type"], item["msg"])
    if item["type"] == "too_short":  # to an operator a tuple is a list
        words = words.replace("Tuple", "List").partition(" after validation")[0]
    if item["type"] == "value_error":  # a check of this module: its words are complete
        return str(words).removeprefix("Value error, ")
    if location[0].startswith("AWS_"):
        return f"{location[0]}: {words}"
    variable = f"{PREFIX}{'__'.join(location)}".upper()
    if item["type"] == "extra_forbidden" and variable in map(str.upper, os.environ):
        return f"{variable}: {words}"
    key = ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in location)
    return f"{key} ({variable}): {words}"
