"""Reading JSON from upstream: each reader returns what it was asked for or says that the answer is malformed.

An answer is Any until one of these has looked at it; behind them nothing needs to look twice. No message
quotes the answer: it may hold a caller's text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from gateway.domain import Usage
from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

Json: TypeAlias = dict[str, Any]

Counters: TypeAlias = tuple[str, str, str, str]
"""What a source calls the counters of `Usage`, in their order."""

_BITS = 53  # of no counter are there more, and no float or JSON reader is exact beyond
_ABSURD = 2**_BITS
_TOLD = frozenset({int, type(None)})
_new = tuple.__new__  # a NamedTuple's own constructor is Python, and takes thrice as long


def malformed(what: str) -> UpstreamProtocolError:
    """Return the error for an answer that is not what its family speaks."""
    return UpstreamProtocolError(f"the model's answer is malformed: {what}")


def load(payload: bytes) -> Json:
    """Return the JSON object that `payload` holds."""
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise malformed("it is not JSON") from error
    if type(value) is not dict:
        raise malformed("it is not a JSON object")
    return value


def record(parent: Mapping[str, Any], key: str) -> Json:
    """Return the object at `key`."""
    value = parent.get(key)
    if type(value) is not dict:
        raise malformed(f"{key} is not an object")
    return value


def optional_record(parent: Mapping[str, Any], key: str) -> Json | None:
    """Return the object at `key`, None where it is absent or null."""
    return None if parent.get(key) is None else record(parent, key)


def records(parent: Mapping[str, Any], key: str) -> list[Json]:
    """Return the array of objects at `key`."""
    value = parent.get(key)
    if type(value) is not list or any(type(item) is not dict for item in value):
        raise malformed(f"{key} is not an array of objects")
    return value


def optional_records(parent: Mapping[str, Any], key: str) -> list[Json]:
    """Return the array of objects at `key`, empty where it is absent or null."""
    return [] if parent.get(key) is None else records(parent, key)


def text(parent: Mapping[str, Any], key: str) -> str:
    """Return the text at `key`."""
    value = parent.get(key)
    if type(value) is not str:
        raise malformed(f"{key} is not text")
    return value


def optional_text(parent: Mapping[str, Any], key: str) -> str | None:
    """Return the text at `key`, None where it is absent or null."""
    return None if parent.get(key) is None else text(parent, key)


def index(parent: Mapping[str, Any], key: str) -> int:
    """Return the block number at `key`."""
    number = count(parent, key)
    if number is None:
        raise malformed(f"{key} is missing")
    return number


def count(parent: Mapping[str, Any], key: str) -> int | None:
    """Return the counter at `key`, None where it is absent or null.

    Whole floats count: Bedrock writes Titan's integers as `28.0` where a guardrail is attached.
    """
    value = parent.get(key)
    if value is None:
        return None
    if (type(value) is int or (type(value) is float and value.is_integer())) and 0 <= value < _ABSURD:
        return int(value)
    raise malformed(f"{key} is not a counter")


def usage(parent: Mapping[str, Any], names: Counters) -> Usage:
    """Return what `count` says of the four names."""
    get = parent.get
    one, two, three, four = names
    told = asked, said, read, written = get(one), get(two), get(three), get(four)
    if _TOLD.issuperset(map(type, told)) and not (
        ((asked or 0) | (said or 0) | (read or 0) | (written or 0)) >> _BITS  # a sign is among them
    ):
        return _new(Usage, told)
    return Usage(*[count(parent, name) for name in names])
