"""Changes to bytes and to JSON: the small steps that structure-aware mutators are made of."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

CANARY = "<c4nArY&>"
"""What no error and no log line may repeat; without quotes, which any quoting would change."""
HOSTILE = (
    CANARY,
    *(
        "",
        "\x00",
        "\r",
        "\n",
        "\r\n\r\n",
        "\u2028",
        "\u2029",
        "\x85",
        "\ufeff",
        "\ud800",
        "\udc00",
        "\U0001f600",
    ),
    *(
        "../",
        "%2f",
        "..",
        ".",
        "data:",
        "data:image/png;base64,AA==",
        '"',
        "\\",
        "{}",
        "[]",
        "null",
        "\\ud800",
    ),
    *(
        '{"a":' * 300 + "1" + "}" * 300,
        "STOP",
        "<thinking>",
        "</thinking>",
        "a" * 300,
        "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x",
    ),
)
NUMBERS = (0, 1, -1, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 0.5, 1e308, -0.0, 1e-320, 4096, 1000000)
SPLICES = (
    *(
        b"\x00",
        b"\r",
        b"\n",
        b"\r\n",
        b"\t",
        b" ",
        b"\xff",
        b"\xe2\x80\xa8",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98\x80",
    ),
    *(b'"', b"\\", b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":", b"[" * 70, b'{"a":' * 70),
    *(b"null", b"1e999", b"18446744073709551616", b"-0", b"NaN", b"%2f", b"../", b"\xff\xff\xff\xff"),
)


def mutate_bytes(data: bytes, rng: Random) -> bytes:
    """Return the bytes after one to four small changes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        length = min(rng.choice((1, 1, 2, 4, 16, 64)), len(changed) - at)
        match rng.randrange(6):
            case 0:
                changed[at : at + length] = rng.randbytes(length)
            case 1:
                del changed[at : at + length]
            case 2:
                changed[at:at] = rng.choice(SPLICES)
            case 3:
                start = rng.randrange(len(changed) + 1)
                changed[at:at] = changed[start : start + rng.choice((1, 8, 64, 256))]
            case 4 if length:
                changed[at] ^= 1 << rng.randrange(8)
            case _:
                del changed[at + rng.randrange(64) :]
    return bytes(changed)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from places(inner)


def mutate_json(value: Any, rng: Random) -> Any:
    """Return a JSON value with one to three places changed, doubled, gone or moved about."""
    root = [copy.deepcopy(value)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        container, key = rng.choice(list(places(root)))
        match rng.randrange(7):
            case 0 if container is not root:
                del container[key]
            case 1 if isinstance(container, list) and container is not root:
                container.insert(key, copy.deepcopy(container[key]))
            case 2:
                other, there = rng.choice(list(places(root)))
                container[key] = copy.deepcopy(other[there])
            case 3 if isinstance(container, dict):
                container[rng.choice(HOSTILE)] = copy.deepcopy(container[key])
            case 4:
                container[key] = rng.choice((None, True, False, [], {}, *NUMBERS, *HOSTILE))
            case _:
                container[key] = _near(container[key], rng)
        if not root:
            root = [None]
    return root[0]


def _near(value: Any, rng: Random) -> Any:
    """Return something like the value, of its own type where it has one that can be varied."""
    if isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        return value[:at] + rng.choice(HOSTILE) + value[at + rng.randrange(3) :]
    if isinstance(value, bool) or value is None:
        return rng.choice((True, False, None))
    if isinstance(value, int | float):
        return rng.choice((*NUMBERS, value + 1, -value, value / 2))
    return rng.choice((None, [value], {"a": value}))


def json_mutator(
    *, after: Callable[[bytes, Random], bytes] = mutate_bytes
) -> Callable[[bytes, Random], bytes]:
    """Return a mutator of inputs that are one JSON document; what is none is changed as bytes."""

    def mutate(data: bytes, rng: Random) -> bytes:
        try:
            value = json.loads(data)
        except ValueError:
            return after(data, rng)
        if rng.random() < 0.2:
            return after(data, rng)
        try:
            text = json.dumps(mutate_json(value, rng), ensure_ascii=rng.random() < 0.5)
        except RecursionError:
            return after(data, rng)
        return text.encode("utf-8", "surrogatepass")

    return mutate


def cuts(data: bytes, rng: Random) -> list[bytes]:
    """Return the data cut at random places; pieces may be empty."""
    edges = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(12)))
    return [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]
