"""Bounded parsing of what strangers send, and records that stay on one line."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.wire.json import MAX_KEYS, count, dumps, loads

# ── what is accepted ──────────────────────────────────────────────────────────────────────────────────

TEXT = st.text(max_size=20)  # without lone surrogates
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXT, inner, max_size=5)),
    max_leaves=20,
)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    """What `dumps` writes, `loads` and the standard library read back."""
    encoded = dumps(value)
    assert loads(encoded) == value
    assert json.loads(encoded) == value


@given(value=VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 2, "\t"]))
def test_equal_to_the_standard_library(*, value: Any, ascii_only: bool, indent: int | str | None) -> None:
    """Valid JSON means the same as to `json.loads`, however it is laid out and escaped."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert loads(text.encode()) == json.loads(text)


@given(value=VALUES, indent=st.sampled_from([None, 0, 2, "\t"]))
def test_counts_what_it_bounds(*, value: Any, indent: int | str | None) -> None:
    """As many values are enough, and one less is not."""
    data = json.dumps(value, indent=indent).encode()
    loads(data, max_nodes=count(data))
    with pytest.raises(InvalidRequest):
        loads(data, max_nodes=count(data) - 1)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (rb'{"a":"{[,:\"}"}', {"a": '{[,:"}'}),
        (rb'{"\\":1,"\\\\":2,"\\\"":3}', {"\\": 1, "\\\\": 2, '\\"': 3}),
        (rb'["\\","a","\\\\\"",":"]', ["\\", "a", '\\\\"', ":"]),
        (b'{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}', {"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]}),
        (b" [ ] ", []),
        (b"\r\n{\t}\n", {}),
        (b"null", None),
        (b'""', ""),
        (b"18446744073709551615", 2**64 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"1e20", 1e20),
        (b"123456789012345678901234567890.5", 123456789012345678901234567890.5),
        (b"[0.1234567890123456789012345]", [0.1234567890123456789012345]),
        (b"1e-0000000000000000000000001", 0.1),
        (b'["18446744073709551616"]', ["18446744073709551616"]),
    ],
)
def test_accepted(data: bytes, value: Any) -> None:
    """Structure inside strings does not count, and floats may be as long as they like."""
    assert loads(data) == value


# ── what is refused, and what the caller is told ──────────────────────────────────────────────────────

NOT_JSON = "The body is not JSON: "


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", NOT_JSON + "Input is a zero-length, empty document at line 1 column 1."),
        (b'{"a":\n nul}', NOT_JSON + "invalid literal, expected 'null' at line 2 column 2."),
        (b'{"a":1}x', NOT_JSON + "unexpected content after document at line 1 column 8."),
        (b"NaN", NOT_JSON + "unexpected character, expected a JSON value at line 1 column 1."),
        (b"[Infinity]", NOT_JSON + "unexpected character, expected a JSON value at line 1 column 2."),
        (b"1e999", NOT_JSON + "number is infinity when parsed as double at line 1 column 1."),
        (rb'"\ud800"', NOT_JSON + "no low surrogate in string at line 1 column 2."),
        (b'"secret', NOT_JSON + "unexpected end of data at line 1 column 8."),
        (b'{"a":"\xff"}', "The body is not UTF-8 at byte 6."),
        (b'"\xed\xa0\x80"', "The body is not UTF-8 at byte 1."),
        (
            b'{"model":1,"model":2}',
            'The body repeats the key "model" in one JSON object at line 1 column 12.',
        ),
        (
            b'[{"a":1},\n {"b":{"c":[{"d":1,"\\u0064" : 2}]}}]',
            'The body repeats the key "d" in one JSON object at line 2 column 20.',
        ),
        (
            '{"é":"\\"","ü":{},"é":2}'.encode(),
            "The body repeats the key in one JSON object at line 1 column 18.",
        ),
        (b'{"":1,"":2}', "The body repeats the key in one JSON object at line 1 column 7."),
        (
            b'{"%b":1,"%b":2}' % (b"k" * 64, b"k" * 64),
            f'The body repeats the key "{"k" * 64}" in one JSON object at line 1 column 71.',
        ),
        (
            b'{"%b":1,"%b":2}' % (b"k" * 65, b"k" * 65),
            "The body repeats the key in one JSON object at line 1 column 72.",
        ),
        (b"18446744073709551616", "The body has an integer beyond 64 bits at line 1 column 1."),
        (b"[0, -9223372036854775809]", "The body has an integer beyond 64 bits at line 1 column 5."),
        (
            b'{"a":"12345678901234567890123","b":[1.5e3,\n100000000000000000000]}',
            "The body has an integer beyond 64 bits at line 2 column 1.",
        ),
        (b"-" + b"9" * 300, "The body has an integer beyond 64 bits at line 1 column 1."),
    ],
)
def test_refused(data: bytes, message: str) -> None:
    """A refusal says what is wrong and where, and does not echo the input."""
    with pytest.raises(InvalidRequest) as refusal:
        loads(data)
    assert str(refusal.value) == message
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def nested(depth: int) -> bytes:
    """Return arrays and objects in turn, `depth` deep."""
    opening = b"".join((b"[", b'{"a":')[level % 2] for level in range(depth))
    closing = b"".join((b"]", b"}")[level % 2] for level in reversed(range(depth)))
    return opening[: -len(b'"a":')] + closing if depth % 2 == 0 else opening + closing


DEEP = "The body nests JSON deeper than 64 levels at line 1 column "
MANY = "The body has more than 100000 JSON values."


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(nested(65), DEEP + "193.", id="65 deep"),
        pytest.param(b"[" * 65 + b"]" * 65, DEEP + "65.", id="65 arrays"),
        pytest.param(b"[" + b"[]," * 1000 + b"[" * 64 + b"]" * 65, DEEP + "3065.", id="65 deep in the end"),
        pytest.param(b"[" * 90_000, DEEP + "65.", id="90k brackets"),
        pytest.param(b"[" * 100_000, MANY, id="100k brackets"),
        pytest.param(b"[" + b"{}," * (4 * 2**20 // 3) + b"{}]", MANY, id="4 MiB of {},"),
        pytest.param(b"{},\n" * 2**20, MANY, id="4 MiB of {}, without a root"),
        pytest.param(b'""' * 2**21, MANY, id="4 MiB of quotation marks"),
        pytest.param(b"[" + b"0," * 99_999 + b"0]", MANY, id="100001 values"),
        pytest.param(
            b"[" * 64, NOT_JSON + "unexpected end of data at line 1 column 65.", id="64 open brackets"
        ),
        pytest.param(
            b"[]" * 65,
            NOT_JSON + "unexpected content after document at line 1 column 3.",
            id="65 documents",
        ),
        pytest.param(
            b"]" * 100 + b"[" * 65,
            NOT_JSON + "unexpected character, expected a JSON value at line 1 column 1.",
            id="closing first",
        ),
    ],
)
def test_bombs(data: bytes, message: str) -> None:
    """Too deep and too many are refused before anything is built; what is merely broken says so."""
    with pytest.raises(InvalidRequest) as refusal:
        loads(data)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(nested(64), id="64 deep"),
        pytest.param(b"[" + b"0," * 99_998 + b"0]", id="100000 values"),
        pytest.param(
            b"[" + b"{ }," * 49_998 + b"[\n]," * 50_000 + b"0]", id="100000 values, most of them empty"
        ),
        pytest.param(b"[%b]" % b",".join([b"[" * 63 + b"]" * 63] * 1000), id="64 deep many times"),
        pytest.param(b'["' + b"\\n{[,:" * 200_000 + b'"]', id="structure within a string"),
    ],
)
def test_just_within_the_limits(data: bytes) -> None:
    """The limits themselves are allowed."""
    assert loads(data) == json.loads(data)


def test_depth_is_the_callers() -> None:
    """The limit of depth can be set."""
    assert loads(b"[[1]]", max_depth=2) == [[1]]
    with pytest.raises(InvalidRequest, match="deeper than 1 levels at line 1 column 2"):
        loads(b"[[1]]", max_depth=1)


@pytest.mark.parametrize(
    ("data", "nodes"),
    [
        (b"1", 1),
        (b"[]", 1),
        (b"[[1]]", 3),
        (b'[["a"],{"b":"c"}]', 5),
        (b'{"a":"b","c":"d"}', 3),
        (b"[{ },[]]", 3),
    ],
)
def test_nodes_are_the_callers(data: bytes, nodes: int) -> None:
    """The limit of values can be set, and counts values just so: keys are not values, empty ones are."""
    assert loads(data, max_nodes=nodes) == json.loads(data)
    with pytest.raises(InvalidRequest, match=f"more than {nodes - 1} JSON values"):
        loads(data, max_nodes=nodes - 1)


def test_keys_of_one_object() -> None:
    """One object has so many keys at most; several may have more together. What is too much is not shown."""
    full = {f"k{number}": number for number in range(MAX_KEYS)}
    assert loads(json.dumps([full, full]).encode()) == [full, full]
    with pytest.raises(InvalidRequest, match=r"^The body has a JSON object of more than 1000 keys\.$"):
        loads(json.dumps([{**full, "one more": 1}]).encode())


# ── against an oracle ─────────────────────────────────────────────────────────────────────────────────


class Refused(Exception):
    """The oracle refuses."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise Refused
    return dict(pairs)


def _integer(digits: str) -> int:
    if not -(2**63) <= int(digits) < 2**64:
        raise Refused
    return int(digits)


def _float(digits: str) -> float:
    if math.isinf(float(digits)):
        raise Refused
    return float(digits)


def _constant(_name: str) -> None:
    raise Refused


def _measure(value: Any) -> tuple[int, int]:
    """Return depth and number of values."""
    if not isinstance(value, list | dict):
        return 0, 1
    measures = [_measure(item) for item in (value.values() if isinstance(value, dict) else value)]
    return 1 + max((depth for depth, _ in measures), default=0), 1 + sum(nodes for _, nodes in measures)


def oracle(data: bytes, max_depth: int, max_nodes: int) -> Any:
    """Return what `loads` should, by the standard library and after the fact, or raise `Refused`."""
    hooks: dict[str, Any] = {
        "object_pairs_hook": _object,
        "parse_int": _integer,
        "parse_float": _float,
        "parse_constant": _constant,
    }
    try:
        value = json.loads(data.decode(), **hooks)
        json.dumps(value, ensure_ascii=False).encode()  # fails where an escape left a lone surrogate
    except ValueError:
        raise Refused from None
    depth, nodes = _measure(value)
    if depth > max_depth or nodes > max_nodes:
        raise Refused
    return value


FRAGMENTS = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    " ",
    "\n",
    "a",
    "1",
    "-",
    ".5",
    "e3",
    "null",
    "é",
    "[]",
    "{}",
]
FRAGMENTS += [
    '"a"',
    '"b"',
    '"a":1',
    '"a":{}',
    r'"\""',
    r'"\\"',
    '"\\u0061":',
    "9223372036854775808",
    "0" * 20,
]
SOUP = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(lambda parts: "".join(parts).encode())
MUTATED = st.tuples(VALUES, st.integers(0, 100), st.sampled_from(FRAGMENTS)).map(
    lambda drawn: (
        (text := json.dumps(drawn[0]))[: drawn[1]].encode()
        + drawn[2].encode()
        + text[drawn[1] + 1 :].encode()
    )
)


@given(st.one_of(SOUP, MUTATED, VALUES.map(orjson.dumps)), st.integers(0, 4), st.integers(1, 9))
def test_accepts_what_the_oracle_accepts(data: bytes, max_depth: int, max_nodes: int) -> None:
    """Accepted is just what is valid and within the limits, and it means what it says."""
    try:
        expected = ("accepted", oracle(data, max_depth, max_nodes))
    except Refused:
        expected = ("refused", None)
    try:
        actual = ("accepted", loads(data, max_depth=max_depth, max_nodes=max_nodes))
    except InvalidRequest:
        actual = ("refused", None)
    assert actual == expected


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    """Random bytes are JSON, or an invalid request; nothing else happens."""
    try:
        value = loads(data)
    except InvalidRequest:
        return
    assert value == json.loads(data)


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ({"type": "text_delta", "text": "Hel"}, b'{"type":"text_delta","text":"Hel"}'),
        ("Größe ‘x’", '"Größe ‘x’"'.encode()),
        ("a\u2028b\u2029c\u0085d", rb'"a\u2028b\u2029c\u0085d"'),
        ({"\u2028": "é"}, '{"\\u2028":"é"}'.encode()),
        ("\r\n\x00", rb'"\r\n\u0000"'),
        ("\ud800", '"\ufffd"'.encode()),
        ("a\udfffb\ud83d", '"a\ufffdb\ufffd"'.encode()),
        ("\ud83d\ude00\ude00", '"😀\ufffd"'.encode()),
        ({"a": [("\udc80", 1)]}, '{"a":[["\ufffd",1]]}'.encode()),
        (dict(zip("\ud800\udfffb", (1, 2, 3), strict=True)), '{"\ufffd":1,"\ufffd\ufffd":2,"b":3}'.encode()),
        ([float("nan"), float("inf")], b"[null,null]"),
    ],
)
def test_dumps(value: Any, encoded: bytes) -> None:
    """Records are compact UTF-8, with the three odd line breaks escaped and lone surrogates replaced."""
    assert dumps(value) == encoded


@pytest.mark.parametrize("value", [b"bytes", {1: 2}, 2**64, ["\ud800", object()]])
def test_dumps_refuses_what_json_cannot_hold(value: Any) -> None:
    """What JSON cannot hold is the programmer's error."""
    with pytest.raises(TypeError):
        dumps(value)


@pytest.mark.parametrize("depth", [255, 100_000])
def test_dumps_refuses_depth(depth: int) -> None:
    """Nesting beyond orjson's limit is a TypeError too, however deep."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    with pytest.raises(TypeError):
        dumps(value)
