"""Which tools a prompt asks for, how often, and with which arguments."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.emulator.sense.material import Material, field_words
from gateway.emulator.sense.structured import object_answer
from gateway.emulator.sense.values import fill_object, takes_sums

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MOST_CALLS: Final = 8
_LONGEST: Final = 4000

_SHORTEST_STEM: Final = 3
_NUMBER: Final = r"-?\d+(?:\.\d+)?"
_OPERATION: Final = re.compile(
    rf"(?<![\w.])({_NUMBER})\s*(\+|\*|×|\^|%|\s-\s|\s/\s|\bplus\b|\bminus\b|\btimes\b|\bmultiplied by\b"
    rf"|\bdivided by\b)\s*({_NUMBER})(?![\w])"
)
_CONCEPTS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "+": frozenset({"add", "adder", "addition", "adds", "plus", "sum", "sums"}),
        "-": frozenset({"difference", "minus", "subtract", "subtraction", "subtracts"}),
        "*": frozenset({"multiplication", "multiplies", "multiply", "product", "times"}),
        "/": frozenset({"divide", "divides", "division", "quotient"}),
        "^": frozenset({"exponentiate", "pow", "power"}),
        "%": frozenset({"mod", "modulo", "remainder"}),
    }
)
_OPERATORS: Final = MappingProxyType(
    {"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "×": "*", "divided by": "/"}
)
_ANY_OPERATION: Final = frozenset({"arithmetic", "calculate", "calculates", "calculator", "evaluate", "math"})
_OF_NAMES: Final = """
a an and api by call current data do fetch find for from function get in info information look lookup my new
check create delete list make of on query retrieve run search set the to tool with
"""
_OF_DESCRIPTIONS: Final = """
about all are at be can given gets into is it its returns return this that user value what when which you your
input output use used using
"""
_HOLLOW: Final = frozenset(_OF_NAMES.split())
"""Words of a tool's name that say nothing of what it is about."""

_COMMON: Final = _HOLLOW | frozenset(_OF_DESCRIPTIONS.split())
"""The same of a description."""

_ASKED: Final = re.compile(
    r"\b(?:us(?:e|ing)|call(?:ing)?|invok(?:e|ing)|with)\s+(?:the|a|an|your|any|one of the)?\s*"
    r"(?:\w+\s+){0,2}?(?:tools?|functions?)\b",
    re.IGNORECASE,
)
_UNWANTED: Final = re.compile(
    r"\b(?:do not|don't|dont|without|never|no need to)\b[^.!?]{0,30}\b(?:tools?|functions?)\b", re.IGNORECASE
)


class Tool(NamedTuple):
    """A tool of the request; `schema` is the JSON Schema of its arguments."""

    name: str
    schema: Mapping[str, Any]
    description: str = ""


class Wanted(NamedTuple):
    """A call that a prompt asks for."""

    name: str
    arguments: dict[str, Any]


def calls_for(said: str, tools: Sequence[Tool], *, forced: bool, parallel: bool) -> list[Wanted]:
    """Return the calls that `said` asks for; at least one where it is forced, at most one unless parallel."""
    text = said if len(said) <= _LONGEST else said[:_LONGEST]
    if not tools or (not forced and _UNWANTED.search(text)):
        return []
    wanted = _spelt_out(text, tools) or _reckoned(text, tools) or _meant(text, tools, forced=forced)
    return wanted[: _MOST_CALLS if parallel else 1]


def _spelt_out(text: str, tools: Sequence[Tool]) -> list[Wanted]:
    """Return the calls that are written as such: `f(3)`."""
    found = [
        (match.start(), Wanted(tool.name, fill_object(tool.schema, Material(match[1]))))
        for tool in tools
        for match in re.finditer(rf"(?<!\w){re.escape(tool.name)}\(([^()]*)\)", text)
    ]
    return [wanted for _, wanted in sorted(found, key=lambda one: one[0])]


def _reckoned(text: str, tools: Sequence[Tool]) -> list[Wanted]:
    """Return a call for each sum that a tool can do: whole ones if it takes such, else of two numbers."""
    taker = next((tool for tool in tools if takes_sums(tool.schema)), None)
    if taker is not None:
        return [
            Wanted(taker.name, fill_object(taker.schema, Material(one))) for one in Material(text).all("sum")
        ]
    wanted = []
    for match in _OPERATION.finditer(text):
        operator = match[2].strip()
        able = _CONCEPTS[_OPERATORS.get(operator, operator)] | _ANY_OPERATION
        tool = next((one for one in tools if able & _words_of(one)), None)
        if tool is not None:
            wanted.append(Wanted(tool.name, fill_object(tool.schema, Material(match[0]))))
    return wanted


def _meant(text: str, tools: Sequence[Tool], *, forced: bool) -> list[Wanted]:
    """Return the calls of the tools that the prompt speaks of, of the likeliest where one must be."""
    words = {_stem(word) for word in re.findall(r"[^\W_]+", text.lower())}
    scores = [(_score(tool, text.lower(), words), -number) for number, tool in enumerate(tools)]
    best, place = max(scores)
    if best == 0 and not forced:
        return []
    chosen = [tools[-number] for score, number in scores if score == best and score >= _BY_NAME] or [
        tools[-place]
    ]
    return [wanted for tool in chosen for wanted in _each(tool, text)]


_BY_NAME: Final = 3


def _score(tool: Tool, text: str, words: set[str]) -> int:
    """Say how plainly a text speaks of a tool: by its name, by what the name is about, by its description."""
    name = tool.name.lower()
    if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) and ("_" in name or _ASKED.search(text)):
        return _BY_NAME + 1
    parts = field_words(tool.name)
    telling = {_stem(part) for part in parts if part not in _HOLLOW} or {_stem(part) for part in parts}
    if telling <= words:
        return _BY_NAME
    described = {
        _stem(word) for word in re.findall(r"[^\W\d_]{4,}", tool.description.lower()) if word not in _COMMON
    }
    return 2 if len(described & words) > 1 else int(_ASKED.search(text) is not None)


def _each(tool: Tool, text: str) -> Iterator[Wanted]:
    """Yield one call, or one for each thing of an enumeration where the tool takes a single value."""
    for said in _things(tool, text) or [text]:
        arguments = object_answer(said) if _is_open(tool.schema) else fill_object(tool.schema, Material(said))
        yield Wanted(tool.name, arguments)


def _is_open(schema: Mapping[str, Any]) -> bool:
    """Whether a tool takes any object: then the prompt alone says which, as where it asks for JSON."""
    return schema.get("additionalProperties") is True and not schema.get("properties")


def _things(tool: Tool, text: str) -> list[str]:
    properties = tool.schema.get("properties")
    required = tool.schema.get("required", list(properties) if isinstance(properties, dict) else [])
    if not isinstance(properties, dict) or not isinstance(required, list) or len(required) != 1:
        return []
    kind = (
        properties.get(required[0], {}).get("type") if isinstance(properties.get(required[0]), dict) else None
    )
    material = Material(text)
    if kind in {"integer", "number"}:
        listed = material.listed("number")
        return listed if len(listed) > 1 else []
    if kind != "string":
        return []
    listed = material.listed("quoted")
    if len(listed) > 1:
        return [f'"{thing}"' for thing in listed]
    listed = material.listed("name") if not listed else []
    return [f'"{thing}"' for thing in listed] if len(listed) > 1 else []


def _words_of(tool: Tool) -> set[str]:
    return {*field_words(tool.name), *re.findall(r"[a-z]+", tool.description.lower())}


def _stem(word: str) -> str:
    """Return a word without its commonest endings, so that `greeting` and `greetings` are one."""
    for ending in ("ations", "ation", "ings", "ing", "ors", "or", "ers", "er", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word[: -len(ending)]
    return word
