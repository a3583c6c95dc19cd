"""Arguments for a tool call, made from the tool's JSON Schema: dull, deterministic and of the right type."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DEEPEST: Final = 8
"""Nesting after which a schema, which may refer to itself, gets no more than an empty value."""

_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")


def example_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object for `schema`, which describes one as tools' schemas do.

    Covers types, const, enum, default, examples, minimum, references inside the schema and the first of
    alternatives. Formats, patterns and the other constraints are not looked at.
    """
    value = _example(schema, schema, "value", 0)
    return value if isinstance(value, dict) else {}


def _example(schema: Any, root: Mapping[str, Any], name: str, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    given = _given(schema)
    if given:
        return given[0]
    other = _other(schema, root)
    if other is not None:
        return _example(other, root, name, depth + 1)
    return _typed(schema, root, name, depth)


def _typed(schema: Mapping[str, Any], root: Mapping[str, Any], name: str, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(iter(kind), None)
    if kind == "object" or "properties" in schema:
        return _object(schema, root, depth)
    if kind == "array":
        return [_example(schema["items"], root, name, depth + 1)] if "items" in schema else []
    scalar = _SCALARS.get(kind) if isinstance(kind, str) else None
    return f"example {name}" if scalar is None else scalar(schema, name)


def _other(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Return the schema that this one stands for, None if it stands for itself."""
    if isinstance(schema.get("$ref"), str):
        return _resolve(schema["$ref"], root)
    choices = (schema[key] for key in _ALTERNATIVES if isinstance(schema.get(key), list))
    return next((choice[0] for choice in choices if choice), None)


def _given(schema: Mapping[str, Any]) -> list[Any]:
    """Return the values that the schema itself gives, best first."""
    single = [schema[key] for key in ("const", "default") if key in schema]
    many = [
        value for key in ("enum", "examples") if isinstance(schema.get(key), list) for value in schema[key]
    ]
    return single + many


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or depth == _DEEPEST:
        return {}
    return {name: _example(part, root, name, depth + 1) for name, part in properties.items()}


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    target: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        target = target.get(step) if isinstance(target, dict) else None
    return target


_SCALARS: Final[Mapping[str, Callable[[Mapping[str, Any], str], Any]]] = MappingProxyType(
    {
        "string": lambda _schema, name: f"example {name}",
        "integer": lambda schema, _name: schema.get("minimum", 1),
        "number": lambda schema, _name: schema.get("minimum", 1.5),
        "boolean": lambda _schema, _name: True,
        "null": lambda _schema, _name: None,
    }
)
