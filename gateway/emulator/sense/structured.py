"""Answers in JSON: by the schema of the request, by one in the prompt, or by the keys that it names."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.emulator.sense.material import Material
from gateway.emulator.sense.values import fill

if TYPE_CHECKING:
    from collections.abc import Mapping

_ASKED: Final = re.compile(
    r"\b(?:respond|reply|return|answer|output|produce|give|generate|format\w*)\b[^.!?]{0,80}\bjson\b",
    re.IGNORECASE,
)
_KEYS: Final = re.compile(r"[\"'`](\w{1,40})[\"'`]")
_ANY: Final = {"properties": {"answer": {"type": "string"}}}
_LONGEST: Final = 20_000
_MOST_BRACES: Final = 64
_JSON: Final = json.JSONDecoder()


def asks_for_json(said: str) -> bool:
    """Whether a prompt plainly wants nothing but JSON back."""
    return "json" in said[:_LONGEST].lower() and _ASKED.search(said[:_LONGEST]) is not None


def json_answer(said: str, schema: Mapping[str, Any] | None, instructions: str = "") -> str:
    """Return a JSON text for a prompt and the instructions that go with it."""
    if not schema:
        schema = _schema_in(said) or _schema_in(instructions)
    if not schema:
        schema = _schema_of_keys(said) or _schema_of_keys(instructions) or _ANY
        said = _KEYS.sub(" ", said)
    return orjson.dumps(fill(schema, Material(said))).decode()


def object_answer(said: str) -> dict[str, Any]:
    """Return the object that a prompt asks for, by the schema or the keys in it."""
    answer = orjson.loads(json_answer(said, None))
    return answer if isinstance(answer, dict) else {"answer": answer}


def _schema_in(text: str) -> dict[str, Any] | None:
    """Return the first JSON Schema of an object that stands in a text."""
    for match in islice(re.finditer(r"\{", text[:_LONGEST]), _MOST_BRACES):
        try:
            found, _ = _JSON.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and "properties" in found:
            return found
    return None


def _schema_of_keys(text: str) -> dict[str, Any] | None:
    """Return a schema of strings for the keys that a text names in quotation marks."""
    keys = _KEYS.findall(text) if re.search(r"\b(?:keys?|fields?|properties|attributes)\b", text) else []
    return {"properties": {key: {"type": "string"} for key in keys}} if keys else None
