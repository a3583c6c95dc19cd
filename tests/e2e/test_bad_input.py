"""Whatever a caller sends, the answer is a 4xx that says what, where and what to do; never a 500."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.emulator import Emulator, EmulatorSettings
from tests.harness import CLAUDE, LLAMA, NOVA, TITAN, Caller, StartGateway, ask, lines, started

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator

CANARY = "CANARY-d41d8cd9"
ROUTES = ("/chat/completions/stream", "/chat/completions")
JSON_TYPE = {"Content-Type": "application/json"}


async def _post(
    caller: Caller, data: bytes, path: str = ROUTES[0], **headers: str
) -> tuple[int, dict[str, Any]]:
    sent = {**JSON_TYPE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with caller.session.post(caller.url + path, data=data, headers=sent) as response:
        return response.status, json.loads(await response.read())


def _body(**fields: Any) -> bytes:
    return json.dumps({**ask(), **fields}).encode()


USER = {"role": "user", "content": "Hi"}
DEEP = b'{"model":"m","messages":' + b"[" * 65 + b"]" * 65 + b"}"
TWICE = b'{"model":"a","model":"b","prompt":"x"}'


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("data", "status", "code", "param"),
    [
        (b"", 400, "invalid_request", "body"),
        (b"hello", 400, "invalid_request", "body"),
        (b"\xff\xfe", 400, "invalid_request", "body"),
        (b"[]", 400, "invalid_request", "body"),
        (DEEP, 400, "invalid_request", "body"),
        (TWICE, 400, "invalid_request", "body"),
        (_body(messages=[]), 400, "invalid_request", "messages"),
        (_body(messages="Hi"), 400, "invalid_request", "messages"),
        (_body(messages=[USER], prompt="Hi"), 400, "invalid_request", "messages"),
        (_body(messages=[{"role": "robot", "content": "Hi"}]), 400, "invalid_request", "messages[0].role"),
        (_body(messages=[{"role": "user", "content": 5}]), 400, "invalid_request", "messages[0].content"),
        (
            _body(messages=[USER, {"role": "system", "content": "x"}]),
            400,
            "invalid_request",
            "messages[1].role",
        ),
        (_body(model=""), 400, "invalid_request", "model"),
        (_body(model=7), 400, "invalid_request", "model"),
        (_body(model="../../etc/passwd"), 404, "unknown_model", "model"),
        (_body(model="no such model"), 404, "unknown_model", "model"),
        (_body(model="amazon.titan-embed-text-v2:0"), 400, "invalid_request", "model"),
        (_body(temperature="hot"), 400, "invalid_request", "temperature"),
        (_body(temperature=1.5), 400, "invalid_request", "temperature"),
        (_body(temperature=-1), 400, "invalid_request", "temperature"),
        (_body(top_p=2), 400, "invalid_request", "top_p"),
        (_body(top_k=-1), 400, "invalid_request", "top_k"),
        (_body(max_tokens=0), 400, "invalid_request", "max_tokens"),
        (_body(max_tokens=10**30), 400, "invalid_request", "body"),
        (_body(stop=[""]), 400, "invalid_request", "stop[0]"),
        (_body(stop=[5]), 400, "invalid_request", "stop[0]"),
        (_body(tools=[{"type": "function"}]), 400, "invalid_request", "tools[0].function"),
        (_body(tool_choice="auto"), 400, "invalid_request", "tool_choice"),
        (_body(metadata={"k": 1}), 400, "invalid_request", "metadata.k"),
        (_body(provider="amazon"), 400, "invalid_request", "provider"),
        (_body(frequency_penalty=1), 400, "invalid_request", "frequency_penalty"),
        (_body(model=TITAN, top_k=5), 400, "invalid_request", "top_k"),
        (_body(model="us.anthropic.claude-sonnet-5", temperature=0.5), 400, "invalid_request", "temperature"),
    ],
)
async def test_table(
    data: bytes, status: int, code: str, param: str | None, path: str, caller: Caller
) -> None:
    """Each bad body is refused with the field's path, before it reaches Bedrock."""
    actual, answer = await _post(caller, data, path)

    error = answer["error"]
    assert (actual, error["code"], error.get("param")) == (status, code, param)
    assert error["retryable"] is False
    assert len(error["message"]) > 10


async def test_nothing_reached_bedrock(emulator: Emulator, caller: Caller) -> None:
    """What is refused at the door costs no call."""
    await _post(caller, b"hello")
    await _post(caller, _body(nonsense=1))

    assert list(emulator.calls) == []


@pytest.mark.parametrize(
    ("headers", "status", "param"),
    [
        ({"Content_Type": "text/plain"}, 415, "Content-Type"),
        ({"Content_Type": "application/json; charset=latin-1"}, 415, "Content-Type"),
        ({"Content_Encoding": "gzip"}, 415, "Content-Encoding"),
        ({"Accept": "image/png"}, 406, "Accept"),
        ({"Accept": "application/json"}, 406, "Accept"),
    ],
)
async def test_headers(headers: dict[str, str], status: int, param: str, caller: Caller) -> None:
    """A wrong content type, encoding or Accept is refused with the header's name."""
    actual, answer = await _post(caller, _body(), **headers)

    assert (actual, answer["error"]["param"]) == (status, param)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/livez", 405, "method_not_allowed"),
        ("POST", "/v1/nothing", 404, "not_found"),
        ("GET", "/" + CANARY, 404, "not_found"),
        ("OPTIONS", "/chat/completions", 405, "method_not_allowed"),
    ],
)
async def test_routes(method: str, path: str, status: int, code: str, caller: Caller) -> None:
    """A wrong path or method is refused in the same shape, and nothing of it is repeated."""
    async with caller.session.request(method, caller.url + path) as response:
        text = await response.text()

    assert (response.status, json.loads(text)["error"]["code"]) == (status, code)
    assert ("Allow" in response.headers) == (status == 405)
    assert CANARY not in text
    assert response.headers["Server"] == "bedrock-gateway"


async def test_too_large(emulator: Emulator, start: StartGateway) -> None:
    """A body over the limit is refused, whether its size is declared or not."""
    async with start(emulator, max_body_bytes=2048) as caller:
        declared, answer = await _post(caller, b" " * 4096)

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(4):
                yield b" " * 1024

        async with caller.session.post(caller.url + ROUTES[0], data=pieces(), headers=JSON_TYPE) as response:
            undeclared = response.status

    assert (declared, undeclared) == (413, 413)
    assert answer["error"]["code"] == "payload_too_large"


async def test_slow_body(emulator: Emulator, start: StartGateway) -> None:
    """A body that does not arrive in time is a 408."""
    async with start(emulator, body_timeout_ms=50) as caller:
        head = b"POST /chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

        answer = await _raw(caller.url, head + b"Content-Length: 99\r\n\r\n{")

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"


async def test_expect_100_continue(caller: Caller) -> None:
    """A caller who waits for `100 Continue` gets it, and then the answer."""
    body = _body()
    head = (
        b"POST /chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    address = urlsplit(caller.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head)
    async with asyncio.timeout(60):
        interim = await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_expectation_of_a_body_that_is_refused(caller: Caller) -> None:
    """What is refused by its headers is not invited to upload."""
    head = b"POST /chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n"

    answer = await _raw(caller.url, head + b"Expect: 100-continue\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 415 ")


async def test_http_1_0_stream_ends_with_its_connection(caller: Caller) -> None:
    """An HTTP/1.0 caller, who has no chunks, sees the end of a stream as the end of the connection."""
    body = _body()
    head = b"POST /chat/completions/stream HTTP/1.0\r\nConnection: keep-alive\r\n"
    head += b"Content-Type: application/json\r\n"
    address = urlsplit(caller.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert json.loads(answer.splitlines()[-1])["type"] == "done"


async def test_chunk_that_is_none(caller: Caller) -> None:
    """A body whose chunks are broken is refused at once, not waited for."""
    head = b"POST /chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    address = urlsplit(caller.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{    \r\n")
    await writer.drain()
    await asyncio.sleep(0.05)  # lets the body be under way; it must be refused at once either way
    writer.write(b"ZZ\r\n")
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert answer.split(b" ")[1] == b"400"
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_request"


async def _raw(url: str, data: bytes) -> bytes:
    """Send raw bytes and return what comes back, up to the end of one answer or of the connection."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(data)
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            return head + await reader.readexactly(int(length or 0))
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (f"GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {CANARY}\x01\r\n\r\n", "headers"),
        (f"GET /livez HTTP/1.1\r\nHost: x\r\nX{CANARY} : y\r\n\r\n", "headers"),
        (f"GET /livez HTTP/1.1\r\nHost: x\r\nX: {CANARY * 1000}\r\n\r\n", "headers"),
        (f"GET /livez HTTP/1.1\r\nX: {CANARY}\r\n\r\n", "headers"),
        (f"GET /{CANARY * 1000} HTTP/1.1\r\nHost: x\r\n\r\n", "headers"),
        (f"{CANARY}\r\n\r\n", "method"),
        (f"GET /livez HTTP/9.x{CANARY}\r\nHost: x\r\n\r\n", "path"),
        (f"G@T /{CANARY} HTTP/1.1\r\nHost: x\r\n\r\n", "method"),
        ("POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "headers"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", "method"),
    ],
)
async def test_not_http(data: str, param: str, caller: Caller, log: io.StringIO) -> None:
    """What is not HTTP gets our 400 in our shape, and nothing of it comes back or reaches the log."""
    answer = await _raw(caller.url, data.encode())

    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert head.split(b"\r\n")[0] == b"HTTP/1.0 400 Bad Request"
    assert (error["code"], error["param"]) == ("invalid_request", param)
    assert CANARY.encode() not in answer
    assert CANARY not in log.getvalue()
    assert [line["route"] for line in lines(log)] == ["malformed"]


# ── fuzz ──────────────────────────────────────────────────────────────────────────────────────────────

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    "model", "messages", "prompt", "system", "max_tokens", "temperature", "top_p", "top_k", "stop", "tools",
    "tool_choice", "metadata", "provider", "unknown",
)  # fmt: skip
BODIES = st.fixed_dictionaries(
    {"model": st.sampled_from((CLAUDE, NOVA, TITAN, LLAMA)) | st.text(), "messages": st.just([USER])},
    optional={name: JSON_VALUES for name in FIELDS if name not in {"model", "messages"}},
) | st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES)


def _acceptable(status: int, answer: bytes) -> bool:
    if status == 200:
        return True
    error = json.loads(answer)["error"]
    return 400 <= status < 500 and bool(error["message"]) and error["code"] != "internal_error"


async def _fuzz(bodies: list[bytes]) -> None:
    async with Emulator(EmulatorSettings(deltas=1)) as emulator, started(emulator) as caller:
        for body in bodies:
            async with caller.session.post(caller.url + ROUTES[1], data=body, headers=JSON_TYPE) as response:
                answer = await response.read()
                assert _acceptable(response.status, answer), (body, response.status, answer)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(BODIES.map(lambda body: json.dumps(body).encode()), min_size=20, max_size=30))
def test_any_json(bodies: list[bytes]) -> None:
    """Any JSON gets an answer or a 4xx that names what is wrong; the gateway's own 500 never appears."""
    asyncio.run(_fuzz(bodies))


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(min_size=1, max_size=60), min_size=20, max_size=30))
def test_any_bytes(bodies: list[bytes]) -> None:
    """Any bytes as a body get a 4xx."""
    asyncio.run(_fuzz(bodies))


async def _fuzz_headers(values: list[bytes]) -> None:
    async with Emulator(EmulatorSettings(deltas=1)) as emulator, started(emulator) as caller:
        for value in values:
            data = (
                b"POST /chat/completions/stream HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                + value
                + b"\r\n\r\n"
            )
            answer = await _raw(caller.url, data)
            assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), (value, answer)


HEADER_NAMES = (b"X-Request-Id", b"Accept", b"Content-Type", b"Content-Encoding", b"Authorization", b"Expect")
HEADER_LINES = st.tuples(
    st.sampled_from(HEADER_NAMES), st.binary(max_size=40).filter(lambda value: not set(value) & {10, 13})
).map(lambda pair: pair[0] + b": " + pair[1])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(HEADER_LINES, min_size=20, max_size=30))
def test_any_header(values: list[bytes]) -> None:
    """Any header bytes get a 4xx, never a 500 and never a broken connection without an answer."""
    asyncio.run(_fuzz_headers(values))
