"""Whether what stands for a JSON Schema is one: as far as answers are made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LARGEST: Final = 10_000
"""What a schema may ask for at least of a list or a text: more of it would only be slow."""

_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})


def _is_type(value: Any) -> bool:
    named = value if isinstance(value, list) else [value]
    return named != [] and all(isinstance(one, str) and one in _TYPES for one in named)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _is_number(value: Any) -> bool:
    return type(value) in {int, float}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and value != []


_KEYS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "type": _is_type,
    "required": _is_texts,
    "enum": _is_list,
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), _is_count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **dict.fromkeys(("$ref", "pattern", "format", "description"), _is_text),
    **dict.fromkeys(("anyOf", "oneOf", "allOf"), _is_list),
}
_OF_NAMES: Final = ("properties", "$defs", "definitions")
_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")


def check(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema.

    Raises:
        ValueError: it is none.
    """
    left: list[Any] = [schema]
    while left:
        one = left.pop()
        if isinstance(one, bool):
            continue
        if not isinstance(one, dict) or any(key in one and not fits(one[key]) for key, fits in _KEYS.items()):
            raise ValueError("JSON schema is invalid. It must match JSON Schema draft 2020-12")
        left += _inner(one)
    return schema


def _inner(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the schemas in one; what is no object where one belongs is yielded too, as it is none."""
    for key in _OF_NAMES:
        named = schema.get(key, {})
        yield from named.values() if isinstance(named, dict) else [None]
    for key in _ALTERNATIVES:
        yield from schema.get(key, [])
    if "items" in schema:
        yield schema["items"]


AnySchema = Annotated[dict[str, Any], AfterValidator(check)]
"""A JSON Schema, in the shape of a body."""
