"""Values for a JSON Schema: from the prompt where it has them, else dull ones of the right type."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.emulator.sense.material import Material, field_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DEEPEST: Final = 8
"""Nesting after which a schema, which may refer to itself, gets no more than an empty value."""

_MOST_ITEMS: Final = 8
_WHOLE_CHARS: Final = 200
_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")
_WHOLE: Final = frozenset(
    {
        "content",
        "input",
        "message",
        "prompt",
        "q",
        "query",
        "question",
        "request",
        "task",
        "text",
        "utterance",
    }
)
"""Fields that take the words of the prompt themselves, by the last word of their name."""

_SUMS: Final = frozenset({"calculation", "equation", "expr", "expression", "formula", "sum"})
_STREETS: Final = frozenset({"address", "street"})
_FORMATS: Final = MappingProxyType(
    {
        "date": ("date", "2026-01-01"),
        "date-time": ("date", "2026-01-01T00:00:00Z"),
        "email": ("email", "someone@example.com"),
        "uri": ("url", "https://example.com"),
        "url": ("url", "https://example.com"),
        "uuid": ("uuid", "00000000-0000-4000-8000-000000000000"),
        "time": ("time", "00:00:00Z"),
    }
)
_YES: Final = frozenset({"true", "yes", "on"})
_NO: Final = frozenset({"false", "no", "off"})


def fill(schema: Mapping[str, Any], material: Material) -> Any:
    """Return a value for `schema`, taking what it can from `material`.

    Covers types, const, enum, default, examples, limits of numbers, lengths, formats, references inside the
    schema and the first of alternatives that is not null. Patterns are not looked at.
    """
    return _Filling(schema, material).value(schema, "value", 0)


def fill_object(schema: Mapping[str, Any], material: Material) -> dict[str, Any]:
    """Return an object for `schema`, which describes one as tools' schemas do."""
    value = fill(schema, material)
    return value if isinstance(value, dict) else {}


def takes_sums(schema: Mapping[str, Any]) -> bool:
    """Whether an object of this schema has a field for a sum as it is written."""
    properties = schema.get("properties")
    return isinstance(properties, dict) and not _SUMS.isdisjoint(properties)


class _Filling:
    """One schema being filled; `root` is what its references go into."""

    def __init__(self, root: Mapping[str, Any], material: Material) -> None:
        self._root = root
        self._material = material

    def value(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return None
        if "const" in schema:
            return schema["const"]
        options = schema.get("enum")
        if isinstance(options, list) and options:
            named = self._material.take_one_of(options)
            return schema.get("default", options[0]) if named is None else named
        other = self._other(schema)
        if other is not None:
            said = "default" in schema and not self._is_said(name)
            return schema["default"] if said else self.value(other, name, depth + 1)
        return self._typed(schema, name, depth)

    def _typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), None)
        if kind == "object" or "properties" in schema:
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        said = self._material.take_said_of(name) if name != "value" else None
        given = None if said is None else _read(said, kind if isinstance(kind, str) else None)
        if given is None and "default" in schema:
            return schema["default"]
        make = _SCALARS.get(kind, _string) if isinstance(kind, str) else _string
        return make(schema, name, self._material) if given is None else given

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or depth == _DEEPEST:
            return {}
        required = schema.get("required")
        needed = set(required) if isinstance(required, list) else set(properties)
        return {
            name: self.value(part, name, depth + 1)
            for name, part in properties.items()
            if name in needed or self._is_said(name)
        }

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        if "items" not in schema:
            return []
        least = int(schema.get("minItems", 1))
        most = min(int(schema.get("maxItems", _MOST_ITEMS)), _MOST_ITEMS)
        items: list[Any] = []
        while len(items) < max(least, 1) or len(items) < most:
            used = self._material.used
            item = self.value(schema["items"], name, depth + 1)
            if len(items) >= least and items and self._material.used == used:
                break
            items.append(item)
            if self._material.used == used and len(items) >= least:
                break
        return items[:most]

    def _is_said(self, name: str) -> bool:
        return Material(self._material.text).take_said_of(name) is not None and not self._material.denies(
            name
        )

    def _other(self, schema: Mapping[str, Any]) -> Any:
        """Return the schema that this one stands for, None if it stands for itself."""
        if isinstance(schema.get("$ref"), str):
            return self._resolve(schema["$ref"])
        for key in _ALTERNATIVES:
            choices = schema.get(key)
            if isinstance(choices, list) and choices:
                return next((one for one in choices if not _is_null(one)), choices[0])
        return None

    def _resolve(self, reference: str) -> Any:
        target: Any = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            target = target.get(step) if isinstance(target, dict) else None
        return target


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"


def _read(said: str, kind: str | None) -> Any:
    """Return what is said of a field as its type, None where it is not of that type."""
    if kind == "boolean":
        return True if said.lower() in _YES else False if said.lower() in _NO else None
    if kind in {"integer", "number"}:
        return _number_of(said, whole=kind == "integer")
    return None if kind == "null" else said


def _number_of(text: str, *, whole: bool) -> int | float | None:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    if value.is_integer():
        return int(value)
    return None if whole else value


def _number(schema: Mapping[str, Any], material: Material, *, whole: bool) -> int | float:
    for text in material.all("number"):
        value = _number_of(text, whole=whole)
        taken = material.take("number")
        if value is not None and taken is not None and _fits(value, schema):
            return value
    if schema.get("examples"):
        example: int | float = schema["examples"][0]
        return example
    usual: int | float = 1 if whole else 1.5
    if _fits(usual, schema):
        return usual
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    if low is None:
        high: int | float = schema.get("maximum", schema.get("exclusiveMaximum", usual))
        return high - ("exclusiveMaximum" in schema and "maximum" not in schema)
    return low + ("minimum" not in schema)  # type: ignore[no-any-return]


def _fits(value: float, schema: Mapping[str, Any]) -> bool:
    limits: tuple[tuple[str, Callable[[Any], bool]], ...] = (
        ("minimum", lambda limit: value >= limit),
        ("maximum", lambda limit: value <= limit),
        ("exclusiveMinimum", lambda limit: value > limit),
        ("exclusiveMaximum", lambda limit: value < limit),
        ("multipleOf", lambda limit: value % limit == 0),
    )
    return all(
        holds(schema[name])
        for name, holds in limits
        if isinstance(schema.get(name), int | float) and not isinstance(schema[name], bool)
    )


def _boolean(schema: Mapping[str, Any], name: str, material: Material) -> bool:
    del schema
    return not material.denies(name)


def _string(schema: Mapping[str, Any], name: str, material: Material) -> str:
    text = _found(schema, name, material)
    if text is None and schema.get("examples"):
        text = str(schema["examples"][0])
    if text is None:
        about = material.topic()
        text = f"example {name}" if about is None else f"example {name} about {about}"
    text = text.ljust(int(schema.get("minLength", 0)), ".")
    return text[: int(schema.get("maxLength", len(text)))]


def _found(schema: Mapping[str, Any], name: str, material: Material) -> str | None:
    known = _FORMATS.get(str(schema.get("format")))
    last = (field_words(name) or [""])[-1]
    if known is not None:
        kind, usual = known
        return (material.take(kind) if kind in {"date", "email", "url"} else None) or usual
    if last in _SUMS and (found := material.take("sum")) is not None:
        return found
    if last in _STREETS and (found := material.take("street")) is not None:
        return found
    for kind in ("quoted", "name"):
        if (found := material.take(kind)) is not None:
            return found
    return " ".join(material.text.split())[:_WHOLE_CHARS] or None if last in _WHOLE else None


_SCALARS: Final[Mapping[str, Callable[[Mapping[str, Any], str, Material], Any]]] = MappingProxyType(
    {
        "string": _string,
        "integer": lambda schema, _, material: _number(schema, material, whole=True),
        "number": lambda schema, _, material: _number(schema, material, whole=False),
        "boolean": _boolean,
        "null": lambda *_: None,
    }
)
