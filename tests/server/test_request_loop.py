"""The duties of the loop that stands in the place of aiohttp's, and the bytes of the heads it sends."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from gateway.server.head import encode_value
from gateway.server.protocol import GatewayServer
from tests.harness import Caller, ask, lines
from tests.raw import connected, exchanged, heads, post

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.server.request import Request
    from gateway.server.transfer import Transfer

ASK = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
UPLOAD = b"POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


@asynccontextmanager
async def _serving(
    handle: Callable[[Request, Transfer], Awaitable[None]], **options: Any
) -> AsyncIterator[str]:
    server = GatewayServer(handle, handler_cancellation=True, access_log=None, **options)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _good(_request: Request, transfer: Transfer) -> None:
    transfer.begin(200, b"", length=2)
    transfer.end(b"ok")


def _dated(answer: bytes) -> bytes:
    """Return an answer without what is another each time."""
    day = rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
    return re.sub(rb"[0-9a-f]{32}", b"ID", re.sub(day, b"DAY", answer))


# ── heads, byte for byte ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("first", "headers", "connection"),
    [
        (b"GET /livez HTTP/1.1", b"Host: x\r\n", b""),
        (b"GET /livez HTTP/1.1", b"Host: x\r\nConnection: close\r\n", b"Connection: close\r\n"),
        (b"GET /livez HTTP/1.0", b"Connection: keep-alive\r\n", b"Connection: keep-alive\r\n"),
        (b"GET /livez HTTP/1.0", b"", b""),
        (b"HEAD /livez HTTP/1.1", b"Host: x\r\n", b""),
    ],
)
async def test_head_of_a_whole_answer(
    caller: Caller, first: bytes, headers: bytes, connection: bytes
) -> None:
    """Version, connection and length are said as HTTP wants it; a HEAD has everything but the body."""
    version = first[-3:]
    stays = (connection == b"") == (version == b"1.1")
    last = LAST if stays else b""

    answer = await exchanged(caller.url, first + b"\r\n" + headers + b"\r\n" + last)

    body = b"" if first.startswith(b"HEAD") else b'{"status":"live"}'
    assert _dated(answer).startswith(
        b"HTTP/" + version + b" 200 OK\r\nX-Request-Id: req_ID\r\nServer: bedrock-gateway\r\n"
        b"Cache-Control: no-store\r\nContent-Type: application/json\r\nContent-Length: 17\r\nDate: DAY\r\n"
        + connection + b"\r\n" + body
    )  # fmt: skip
    assert len(heads(answer)) == 1 + stays


async def test_head_of_a_stream(caller: Caller) -> None:
    """A stream in HTTP/1.1 has chunks and keeps its connection; in HTTP/1.0 it has neither."""
    new = await exchanged(caller.url, post(ask()) + LAST)
    old = await exchanged(caller.url, post(ask()).replace(b"HTTP/1.1", b"HTTP/1.0"))

    head = (
        b"HTTP/1.%b 200 OK\r\nContent-Type: application/x-ndjson\r\n"
        b"Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\nX-Request-Id: req_ID\r\n"
        b"Server: bedrock-gateway\r\nX-Upstream-Request-Id: UUID\r\n%bDate: DAY\r\n\r\n"
    )
    uuid = rb"[0-9a-f]{8}-[0-9a-f-]{27}"
    start = b'{"type":"start"'
    chunked = re.sub(uuid, b"UUID", _dated(new))
    assert chunked.partition(start)[0] in {
        head % (b"1", b"Transfer-Encoding: chunked\r\n") + b"%x\r\n" % size for size in range(100, 2000)
    }
    assert len(heads(new)) == 2
    assert b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n" in new
    assert re.sub(uuid, b"UUID", _dated(old)).startswith(head % (b"0", b"") + start)


def test_no_value_ends_its_header() -> None:
    """What would begin a header of its own is refused; other bytes are passed on as they came."""
    for value in ("a\r\nX: y", "a\nb", "a\x00", "\x7f"):
        with pytest.raises(ValueError, match="control character"):
            encode_value(value)
    assert encode_value("a\tb \xe9 \udcff") == b"a\tb \xc3\xa9 \xff"


# ── duties ────────────────────────────────────────────────────────────────────────────────────────────


async def test_defect_outside_of_every_net(log: io.StringIO) -> None:
    """What a handler lets escape is a 500 that gives nothing away, and the end of the connection."""

    async def defect(_request: Request, _transfer: Transfer) -> None:
        raise ZeroDivisionError("CANARY")

    async with _serving(defect) as url:
        answer = await exchanged(url, ASK + ASK)

    assert heads(answer) == [b"HTTP/1.1 500 Internal Server Error"]
    assert b"\r\nConnection: close\r\n" in answer
    assert b"CANARY" not in answer
    assert [(line["route"], line["detail"]) for line in lines(log)] == [("unread", "ZeroDivisionError")]


@pytest.mark.parametrize("fault", [ZeroDivisionError, ConnectionAbortedError])
async def test_defect_behind_the_head(fault: type[Exception], log: io.StringIO) -> None:
    """Where the answer has begun, the connection breaks: no second head, no good end."""

    async def defect(_request: Request, transfer: Transfer) -> None:
        transfer.begin(200, b"")
        transfer.write(b"good")
        raise fault

    async with _serving(defect) as url:
        answer = await exchanged(url, ASK + ASK)

    assert len(heads(answer)) == 1
    assert answer.endswith(b"\r\n\r\n4\r\ngood\r\n")
    assert not lines(log)


async def test_handler_that_answers_nothing() -> None:
    """No answer is no promise: the connection ends."""

    async def silent(_request: Request, _transfer: Transfer) -> None:
        """Do nothing."""

    async with _serving(silent) as url:
        assert await exchanged(url, ASK + ASK) == b""


async def test_cancellation_that_was_swallowed() -> None:
    """A cancellation that one request leaves behind does not reach the next one."""

    async def swallow(request: Request, transfer: Transfer) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await _good(request, transfer)

    async with _serving(swallow) as url:
        assert len(heads(await exchanged(url, ASK + ASK))) == 1


async def test_body_that_nobody_wanted() -> None:
    """The rest of a body is read and thrown away, and the next request is answered."""
    async with _serving(_good) as url, connected(url) as raw:
        await raw.send(UPLOAD)
        await raw.until(b"ok")
        await raw.send(b"rest" + ASK)

        assert (await raw.until(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("rest", [b"", b"ZZ\r\n"])
async def test_body_that_nobody_wanted_and_does_not_end(rest: bytes, log: io.StringIO) -> None:
    """It is read for so long only, and not beyond a fault in it."""
    chunked = b"POST /version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with _serving(_good, lingering_time=0.2) as url, connected(url) as raw:
        await raw.send(chunked)
        await raw.until(b"ok")
        await raw.send(rest)

        assert await raw.rest() == b""
    assert "exception" not in log.getvalue()


@pytest.mark.parametrize(
    "request_line",
    [b"GET /version HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp", b"CONNECT /version HTTP/1.1"],
)
async def test_no_other_protocol(caller: Caller, request_line: bytes) -> None:
    """What aiohttp takes for another protocol from here on is refused: it would keep what comes behind."""
    answer = await exchanged(caller.url, request_line + b"\r\nHost: x\r\n\r\n" + ASK)

    assert heads(answer) in ([b"HTTP/1.1 400 Bad Request"], [b"HTTP/1.0 400 Bad Request"])


async def test_keep_alive_ends(log: io.StringIO) -> None:
    """A connection on which nothing more comes is closed without a word."""
    async with _serving(_good, keepalive_timeout=0.05) as url, connected(url) as raw:
        await raw.send(ASK)
        await raw.until(b"ok")

        assert await raw.rest() == b""
    assert not lines(log)
