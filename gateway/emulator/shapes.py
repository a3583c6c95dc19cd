"""Strict shapes of request bodies, and what Bedrock says about a body that does not have them."""

from __future__ import annotations

import binascii
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from gateway.emulator.errors import BedrockError, invalid, malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import ErrorDetails

ShapeT = TypeVar("ShapeT", bound=BaseModel)

STRING_TAG: Final = "(string)"
LIST_TAG: Final = "(list)"
_TAGS: Final = frozenset({STRING_TAG, LIST_TAG})
_SHOWN_CHARS: Final = 64
_NAMES: Final = MappingProxyType(
    {"str": "String", "int": "Integer", "float": "Number", "bool": "Boolean", "list": "JSONArray"}
    | {"dict": "JSONObject", "NoneType": "Null"}
)
_EXPECTED: Final = MappingProxyType(
    {"string_type": "String", "int_type": "Integer", "float_type": "Number", "bool_type": "Boolean"}
    | {"list_type": "JSONArray", "tuple_type": "JSONArray", "dict_type": "JSONObject"}
    | {"model_type": "JSONObject", "model_attributes_type": "JSONObject"}
)


def _decodable(value: str) -> str:
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except binascii.Error as exc:
        raise ValueError("the value is not base64") from exc
    return value


Base64 = Annotated[str, StringConstraints(min_length=1), AfterValidator(_decodable)]
"""Binary data as JSON carries it; nothing may be empty."""

NonEmpty = Annotated[str, StringConstraints(min_length=1)]

StringT = TypeVar("StringT", bound=str)
ListT = TypeVar("ListT", bound=list[Any])


def _which(value: Any) -> str:
    return LIST_TAG if isinstance(value, list) else STRING_TAG


# Decided by the value, so that an error speaks of what was meant and not of every alternative.
StringOr: TypeAlias = Annotated[
    Annotated[StringT, Tag(STRING_TAG)] | Annotated[ListT, Tag(LIST_TAG)], Discriminator(_which)
]


class Shape(BaseModel):
    """A JSON object that may have no other keys than its fields, each of exactly its type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CamelShape(Shape):
    """The same, with keys in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


class UnionShape(CamelShape):
    """A tagged union as AWS writes it: an object with exactly one of its keys."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in self.model_fields_set if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one member must be set, found: {len(given)}")
        return self


def read_schema(shape: type[ShapeT], body: Any) -> ShapeT:
    """Return `body` as `shape`, refusing as the JSON Schema check does that stands before Nova and Titan.

    Raises:
        BedrockError: the body does not have the shape; the message names the first violation.
    """
    try:
        return shape.model_validate(body)
    except ValidationError as exc:
        raise _schema_violation(exc.errors(include_url=False, include_context=True)[0]) from exc


def read_anthropic(shape: type[ShapeT], body: Any) -> ShapeT:
    """Return `body` as `shape`, refusing as Anthropic's API does, which checks with pydantic as vLLM does.

    Raises:
        BedrockError: the body does not have the shape; the message names the first violation.
    """
    try:
        return shape.model_validate(body)
    except ValidationError as exc:
        error = exc.errors(include_url=False, include_context=True)[0]
        message = error["msg"].removeprefix("Value error, ")
        path = ".".join(str(step) for step in error["loc"] if step not in _TAGS)
        raise invalid(f"{path}: {message}" if path else message) from exc


def _schema_violation(error: ErrorDetails) -> BedrockError:
    """Word an error as the everit JSON Schema validator does, which these messages come from (recorded)."""
    path, kind = list(error["loc"]), error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind in _KEY_ERRORS:
        text = _KEY_ERRORS[kind].format(key=path.pop())
    elif kind in _EXPECTED:
        found = _NAMES.get(type(error["input"]).__name__, "Object")
        text = f"expected type: {_EXPECTED[kind]}, found: {found}"
    elif kind in _VALUE_ERRORS:
        text = _VALUE_ERRORS[kind](error["input"], context)
    else:
        text = error["msg"].removeprefix("Value error, ")
    pointer = "/".join(["#", *map(str, path)])
    return malformed(f"{pointer}: {text}")


_KEY_ERRORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "required key [{key}] not found",
        "extra_forbidden": "extraneous key [{key}] is not permitted",
    }
)
_VALUE_ERRORS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], str]]] = MappingProxyType(
    {
        "greater_than_equal": lambda value, limit: f"{value} is not greater or equal to {limit['ge']}",
        "less_than_equal": lambda value, limit: f"{value} is not less or equal to {limit['le']}",
        "literal_error": lambda value, _: f"{_shown(value)} is not a valid enum value",
        "string_too_short": lambda value, limit: (
            f"expected minLength: {limit['min_length']}, actual: {len(value)}"
        ),
        "string_too_long": lambda value, limit: (
            f"expected maxLength: {limit['max_length']}, actual: {len(value)}"
        ),
        "string_pattern_mismatch": lambda value, limit: (
            f"string [{_shown(value)}] does not match pattern {limit['pattern']}"
        ),
        "too_short": lambda value, limit: (
            f"expected minimum item count: {limit['min_length']}, found: {len(value)}"
        ),
        "too_long": lambda value, limit: (
            f"expected maximum item count: {limit['max_length']}, found: {len(value)}"
        ),
    }
)


def _shown(value: Any) -> str:
    return f"{value}"[:_SHOWN_CHARS]
