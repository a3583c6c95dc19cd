"""JSON at the two edges: what callers send, parsed within bounds, and what we send, safe inside a line.

`loads` counts before it parses, because parsing is where the memory goes: 4 MiB of `{},{},…` cost orjson
104 MB (reliability.md S32). It also refuses what orjson would bend in silence: a duplicate key, of which the
last would win, and an integer beyond 64 bits, which would become a float (S31).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
MAX_KEYS: Final = 1000
"""Keys of one object: a schema lists every unknown one, and 90,000 of them held the loop for 0.3 s (R24)."""

_OPENING: Final = b"[{"
_BRACKETS: Final = b"[]{}"
_SQUARED: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET: Final = bytes(set(range(256)) - set(_BRACKETS))
_WHITESPACE: Final = b" \t\r\n"

_LONG_NUMBER: Final = re.compile(rb"\d{19}")  # 2**63 has 19 digits
_LONGEST_INTEGER: Final = len("-9223372036854775808")  # which is as long as 18446744073709551615
# Possessive throughout: linear in time, and no backtracking state to keep.
_TOKEN: Final = re.compile(
    rb'(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+")(?P<colon>[ \t\r\n]*+:)?'
    rb"|(?P<bracket>[\[\]{}])"
    rb"|(?P<number>-?\d[\d.eE+-]*+)",
    re.DOTALL,
)
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}")


def loads(data: bytes, *, max_depth: int = MAX_DEPTH, max_nodes: int = MAX_NODES) -> Any:
    """Return the JSON document in `data`.

    `max_depth` bounds how deep containers nest (`[]` is 1 deep); `max_nodes` bounds the number of values:
    containers, strings that are not keys, numbers and literals.

    Raises:
        InvalidRequest: not UTF-8, not JSON (NaN and Infinity are not), too deep, too many values, too many
            keys in one object, a duplicate key, or an integer beyond 64 bits. Messages tell the place,
            never the input, except for the name of a duplicate key that is short and plain.
    """
    skeleton = _skeleton(data, max_nodes)
    _bound(skeleton, data, max_depth, max_nodes)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        # `from None`: the exception's `doc` holds the whole request.
        raise _not_json(data, exc) from None
    if skeleton.count(b":") != _pairs(value):
        offset, name = next(_duplicate_keys(data))
        key = f'key "{name}"' if _PLAIN_NAME.fullmatch(name) else "key"
        raise InvalidRequest(f"The body repeats the {key} in one JSON object at {_place(data, offset)}.")
    if _LONG_NUMBER.search(skeleton):
        _refuse_long_integers(data)
    return value


def count(data: bytes) -> int:
    """Return how many values the JSON document in `data` has, as `loads` counts them."""
    skeleton = _skeleton(data, MAX_NODES)
    nodes = 1 + skeleton.count(b",") + skeleton.count(b"[") + skeleton.count(b"{")
    dense = skeleton.translate(None, _WHITESPACE)
    return nodes - dense.count(b"[]") - dense.count(b"{}")


def dumps(value: Any) -> bytes:
    r"""Return `value` as compact UTF-8 JSON without any line break, by whatever definition.

    U+2028, U+2029 and U+0085 are escaped: `str.splitlines`, and with it some HTTP clients' line iterators,
    break lines there (reliability.md S30). A lone surrogate in a `str` has no UTF-8; it becomes U+FFFD.
    As orjson has it, NaN and infinities become `null`.

    Raises:
        TypeError: `value` holds something that JSON cannot, or nests more than 254 deep.
    """
    try:
        encoded = orjson.dumps(value)
    except TypeError:
        try:
            encoded = orjson.dumps(_without_surrogates(value))
        except RecursionError:
            raise TypeError("the value nests too deep for JSON") from None
    return on_one_line(encoded)


def on_one_line(encoded: bytes) -> bytes:
    r"""Return JSON without control characters as `dumps` would write it: what breaks a line is escaped."""
    if encoded.isascii():
        return encoded
    return (
        encoded.replace(b"\xe2\x80\xa8", rb"\u2028")
        .replace(b"\xe2\x80\xa9", rb"\u2029")
        .replace(b"\xc2\x85", rb"\u0085")
    )


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        # Through UTF-16, so that two surrogates that make a pair become the character that they mean.
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        replaced: dict[Any, Any] = {}
        for key, item in value.items():
            name = _without_surrogates(key)
            while name in replaced:  # two keys that differed in surrogates only: keep both
                name += "\ufffd"
            replaced[name] = _without_surrogates(item)
        return replaced
    return value


# ── counting without parsing ──────────────────────────────────────────────────────────────────────────
# All of this is right for JSON. For anything else it is right up to the first fault, which is where orjson
# stops: so what orjson allocates is bounded either way.


def _skeleton(data: bytes, max_nodes: int) -> bytes:
    r"""Return `data` with each string shrunk to a single quotation mark.

    With escaped backslashes gone, `\"` is an escaped quotation mark; with these gone too, every quotation
    mark begins or ends a string.
    """
    bare = data.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in data else data
    # A value has at most one key, so this many strings are too many values, and too many to split at.
    if bare.count(b'"') > 4 * max_nodes:
        raise _too_many_values(max_nodes)
    return b'"'.join(bare.split(b'"')[::2])


def _bound(skeleton: bytes, data: bytes, max_depth: int, max_nodes: int) -> None:
    containers = skeleton.count(b"[") + skeleton.count(b"{")
    # Values are the root and the members of containers: a comma each, and one more unless it is empty.
    nodes = 1 + skeleton.count(b",") + containers
    if nodes > max_nodes:
        dense = skeleton.translate(None, _WHITESPACE)
        if nodes - dense.count(b"[]") - dense.count(b"{}") > max_nodes:
            raise _too_many_values(max_nodes)
    if containers > max_depth and _too_deep(skeleton, max_depth):
        _refuse_depth(data, max_depth)


def _too_deep(skeleton: bytes, max_depth: int) -> bool:
    """Tell whether brackets remain after `max_depth` rounds of taking away the innermost ones."""
    brackets = skeleton.translate(_SQUARED, _NO_BRACKET)
    for _ in range(max_depth):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _pairs(value: Any) -> int:
    """Return how many key-value pairs `value` has in all its objects; raises if one has too many."""
    pairs = 0
    found = [value]
    for item in found:  # which grows by what is found in each
        kind = type(item)
        if kind is dict:
            if len(item) > MAX_KEYS:
                raise InvalidRequest(f"The body has a JSON object of more than {MAX_KEYS} keys.")
            pairs += len(item)
            found += item.values()
        elif kind is list:
            found += item
    return pairs


# ── finding the culprit, once it is known that there is one ───────────────────────────────────────────


def _refuse_depth(data: bytes, max_depth: int) -> None:
    """Raise at the first bracket that is too deep; where there is none, brackets do not match."""
    depth = 0
    for token in _TOKEN.finditer(data):
        bracket = token["bracket"]
        if bracket is not None:
            depth += 1 if bracket in _OPENING else -1
        if depth > max_depth:
            where = _place(data, token.start())
            raise InvalidRequest(f"The body nests JSON deeper than {max_depth} levels at {where}.")


def _duplicate_keys(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield offset and name of every key that its object had before. `data` is JSON."""
    seen: list[set[str]] = []
    for token in _TOKEN.finditer(data):
        if token["colon"] is not None:
            name = orjson.loads(token["string"])
            if name in seen[-1]:
                yield token.start(), name
            seen[-1].add(name)
        elif token["bracket"] in (b"[", b"{"):
            seen.append(set())
        elif token["bracket"] is not None:
            seen.pop()


def _refuse_long_integers(data: bytes) -> None:
    for token in _TOKEN.finditer(data):
        number = token["number"]
        if number is not None and not _fits(number):
            where = _place(data, token.start())
            raise InvalidRequest(f"The body has an integer beyond 64 bits at {where}.")


def _fits(number: bytes) -> bool:
    if not number.lstrip(b"-").isdigit():
        return True  # a fraction or an exponent: a float by intent
    # The length first: int() takes quadratic time, and refuses more than 4300 digits.
    return len(number) <= _LONGEST_INTEGER and -(2**63) <= int(number) < 2**64


def _not_json(data: bytes, exc: orjson.JSONDecodeError) -> InvalidRequest:
    try:
        data.decode()
    except UnicodeDecodeError as undecodable:
        return InvalidRequest(f"The body is not UTF-8 at byte {undecodable.start}.")
    return InvalidRequest(f"The body is not JSON: {exc.msg} at line {exc.lineno} column {exc.colno}.")


def _too_many_values(max_nodes: int) -> InvalidRequest:
    return InvalidRequest(f"The body has more than {max_nodes} JSON values.")


def _place(data: bytes, offset: int) -> str:
    """Return line and column of `offset`, from 1, in characters as orjson counts them."""
    before = data[:offset].decode(errors="replace")
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    return f"line {line} column {column}"
