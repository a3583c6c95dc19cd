"""Requests to begin with at the door, and how to change one: lines, headers, bodies, raw bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.fuzz.mutation import CANARY, SPLICES, mutate_bytes, mutate_json
from tests.harness import NOVA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random


def _post(path: str, body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: x", "Content-Type: application/json", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


ASK = json.dumps({"model": NOVA, "prompt": "Hi"}).encode()
SLOW = json.dumps({"model": NOVA, "prompt": "[[emulator deltas=3 pace_ms=4 first_byte_ms=8]]"}).encode()
"""What leaves time for heartbeats."""
CHAT, STREAM, EMBED = "/chat/completions", "/chat/completions/stream", "/embeddings"
HEADERS = (
    *(
        CANARY.encode() + b": x",
        b"Content-Length: " + CANARY.encode(),
        b"Transfer-Encoding: " + CANARY.encode(),
    ),
    *(
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: 5, 5",
        b"Content-Length: 99999999999999999999",
    ),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity"),
    *(
        b"Expect: 100-continue",
        b"Expect: x",
        b"Connection: close",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
    ),
    *(
        b"Accept: text/plain",
        b"Accept: text/event-stream",
        b"Accept: image/png",
        b"Accept: */*;q=x",
        b"Host: y",
    ),
    *(
        b"Content-Type: text/html",
        b"Content-Encoding: gzip",
        b"Content-Type: application/json; charset=utf-16",
    ),
    *(b"X-Request-Id: " + CANARY.encode(), b"X: " + CANARY.encode(), b" folded", b"No colon", b": no name"),
    *(
        b"X-Request-Timeout-Ms: 5",
        b"X-Request-Timeout-Ms: -1",
        b"X" * 9000 + b": a",
        b"X: " + b"a" * 9000,
        b"A:\x00",
    ),
    *(b"Content-Type: application/json; charset=" + CANARY.encode(), b"Cookie: a=\xff", b"Range: bytes=0-1"),
)
LINES = (
    *(
        b"GET / HTTP/1.1",
        b"GET /livez HTTP/1.1",
        b"HEAD /version HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET / HTTP/0.9",
        b"GET / HTTP/2.0",
        b"PRI * HTTP/2.0",
    ),
    *(
        b"CONNECT a:1 HTTP/1.1",
        b"GET http://a/livez HTTP/1.1",
        b"GET //livez HTTP/1.1",
        b"GET /livez HTTP/1.0",
        b"",
    ),
    *(
        b"GET /%00 HTTP/1.1",
        b"GET /livez?" + CANARY.encode() + b" HTTP/1.1",
        b"GET /readyz HTTP/9.9",
        b"get / HTTP/1.1",
    ),
    *(
        b"PUT /embeddings HTTP/1.1",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /\xff HTTP/1.1",
    ),
    *(
        b"BREW /" + CANARY.encode() + b" HTTP/1.1",
        b"GET http://[::1 HTTP/1.1",
        b"GET /livez",
        b"GET /models/config HTTP/1.1",
    ),
)


def seeds() -> Iterator[bytes]:
    """Yield good requests to every route, and one for each odd line and header."""
    yield b""
    for line in LINES:
        yield line + b"\r\nHost: x\r\n\r\n"
    for path in (CHAT, STREAM, EMBED):
        yield _post(path, ASK)
        yield _post(path, ASK, "Expect: 100-continue")
        yield _post(path, b'{"%b":1}' % CANARY.encode())
        yield _post(path, ASK, version="1.0")
        yield _post(path, b"%x\r\n%b\r\n0\r\n\r\n" % (len(ASK), ASK), "Transfer-Encoding: chunked")
        yield _post(path, b"5\r\nhello\r\nzz\r\n", "Transfer-Encoding: chunked")
        yield _post(path, b"x", "Content-Length: 5000000")
        yield _post(path, ASK, "Content-Length: 10")
        yield _post(path, ASK, "Content-Length: 9999")
        yield _post(path, json.dumps({"model": CANARY, "messages": [{"role": CANARY}]}).encode())
    for accept in ("text/plain", "text/event-stream", "application/x-ndjson"):
        yield _post(STREAM, ASK, f"Accept: {accept}") * 2
        yield _post(STREAM, SLOW, f"Accept: {accept}") + _post(STREAM, SLOW)
    inner = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: inner\r\n\r\n"
    yield b"".join(
        _post(path, ASK, f"X-Request-Id: r{number}") for number, path in enumerate((CHAT, STREAM, EMBED))
    )
    yield _post(CHAT, b"0\r\n\r\n" + inner, "X-Request-Id: r1", "Transfer-Encoding: chunked")
    yield _post(CHAT, inner, "X-Request-Id: r1") + inner
    for header in HEADERS:
        yield b"POST /chat/completions HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\nhello"


def mutate(data: bytes, rng: Random) -> bytes:
    """Return the requests with a line, a header, the body or just bytes changed."""
    head, gap, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    at = rng.randrange(len(lines))
    match rng.randrange(9):
        case 0:
            lines.insert(max(at, 1), rng.choice(HEADERS))
        case 1:
            lines[0] = rng.choice(LINES)
        case 2:
            lines[at] = mutate_bytes(lines[at], rng)
        case 3:
            del lines[at]
        case 4:
            return data + rng.choice((data, next(iter(seeds())), rng.choice(LINES) + b"\r\n\r\n"))
        case 5 | 6:
            return _with_length(lines, _json(body, rng))
        case 7:
            body = (
                body[: rng.randrange(len(body) + 1)]
                + rng.choice(SPLICES)
                + body[rng.randrange(len(body) + 1) :]
            )
        case _:
            return mutate_bytes(data, rng)
    return b"\r\n".join(lines) + gap + body


def _json(body: bytes, rng: Random) -> bytes:
    try:
        return json.dumps(mutate_json(json.loads(body), rng)).replace("c4n", CANARY).encode()
    except (ValueError, RecursionError):
        return mutate_bytes(body, rng)


def _with_length(lines: list[bytes], body: bytes) -> bytes:
    kept = [line for line in lines if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*kept, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body
