"""The earlier system's configuration as a gateway.toml: a pure function from JSON to text.

That file was JSON: `defaultProvider`, and `providers` with `id`, `name`, `supportsCustomModel`, `models`
(each `id` and `name`) and `defaultParams` (`temperature`, `top_p`). Where it gave no parameters, that system
sent temperature 0.7 and top_p 0.8; the converted file says so, and the gateway applies them where a model
accepts them. What has no counterpart here is refused by name, never dropped in silence.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

EARLIER_TEMPERATURE, EARLIER_TOP_P = 0.7, 0.8


class ConversionError(Exception):
    """The file is not the earlier system's; `problems` has a line for everything that is wrong in it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Old(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Parameters(_Old):
    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, gt=0, le=1)


class _Model(_Old):
    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    defaultParams: _Parameters = _Parameters()  # noqa: N815 - the file's own spelling


class _Provider(_Old):
    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    supportsCustomModel: bool = False  # noqa: N815 - the file's own spelling
    models: tuple[_Model, ...] = ()
    defaultParams: _Parameters = _Parameters()  # noqa: N815 - the file's own spelling


class _File(_Old):
    defaultProvider: str | None = None  # noqa: N815 - the file's own spelling
    providers: tuple[_Provider, ...]
    defaultParams: _Parameters = _Parameters()  # noqa: N815 - the file's own spelling


def converted(old: Any) -> str:
    """Return the text of gateway.toml for the parsed JSON of the earlier system's file.

    Raises:
        ConversionError: it is not that file, or says what the gateway cannot do.
    """
    try:
        file = _File.model_validate(old)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        problems = [f"{'.'.join(map(str, item['loc'])) or 'file'}: {_words(item)}" for item in found]
        raise ConversionError(problems) from None
    _refuse_twins("provider", [provider.id for provider in file.providers])
    _refuse_twins("model", [model.id for provider in file.providers for model in provider.models])
    return "\n".join(_lines(file)) + "\n"


def _words(item: Any) -> str:
    return "should be an object" if item["type"] == "model_type" else str(item["msg"])


def _refuse_twins(what: str, ids: list[str]) -> None:
    twins = [name for name, times in Counter(ids).items() if times > 1]
    if twins:
        raise ConversionError([f"{what} {name!r} is listed more than once" for name in twins])


def _lines(file: _File) -> Iterable[str]:
    if file.defaultProvider is not None:
        yield f"default_provider = {_text(file.defaultProvider)}"
    custom = any(provider.supportsCustomModel for provider in file.providers)
    yield f"custom_model_ids = {str(custom).lower()}"
    yield ""
    yield "[defaults]"
    general = file.defaultParams
    yield f"temperature = {EARLIER_TEMPERATURE if general.temperature is None else general.temperature}"
    yield f"top_p = {EARLIER_TOP_P if general.top_p is None else general.top_p}"
    for provider in file.providers:
        yield from _provider_lines(provider)


def _provider_lines(provider: _Provider) -> Iterable[str]:
    key = f"providers.{_text(provider.id)}"
    yield ""
    yield f"[{key}]"
    yield f"name = {_text(provider.name)}"
    yield f"supports_custom_model = {str(provider.supportsCustomModel).lower()}"
    yield "models = ["
    for model in provider.models:
        yield f"  {{ id = {_text(model.id)}, name = {_text(model.name)} }},"
    yield "]"
    yield from _default_lines(key, provider.defaultParams)
    for model in provider.models:
        yield from _default_lines(f"models.{_text(model.id)}", model.defaultParams)


def _default_lines(key: str, parameters: _Parameters) -> Iterable[str]:
    given = parameters.model_dump(exclude_none=True)
    if given:
        yield ""
        yield f"[{key}.defaults]"
        yield from (f"{name} = {value}" for name, value in given.items())


def _text(value: str) -> str:
    """Return a TOML basic string: JSON's escapes are TOML's, beside `$`, which would be a placeholder."""
    return json.dumps(value.replace("${", "$${"), ensure_ascii=False).replace("\x7f", "\\u007F")
