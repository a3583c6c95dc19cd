"""One exchange over a real socket with a far end that answers as a script says."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import aiohttp
import pytest
from pydantic import SecretStr

from gateway.bedrock.answer import BedrockAnswer
from gateway.bedrock.client import open_client
from gateway.bedrock.clocks import Clocks
from gateway.bedrock.exceptions import before_the_head
from gateway.bedrock.exchange import HIGH_WATER, SLICE
from gateway.bedrock.reader import StreamReader
from gateway.catalog.timeouts import GENERAL
from gateway.codecs import CODECS
from gateway.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from gateway.settings import AwsSettings, BedrockSettings, CredentialSettings
from gateway.tcp import reset
from tests.bedrock.posting import post as post_to
from tests.harness import on_both_loops

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from gateway.bedrock.client import BedrockClient
    from gateway.bedrock.exchange import Exchange

MODEL = "amazon.titan-text-express-v1"
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 5\r\n\r\nhello"
LARGE = b"%" * (8 * 1024 * 1024)
Answer: TypeAlias = "Callable[[FarEnd, asyncio.StreamWriter], Awaitable[None]]"
PATIENCE = 60.0
"""Seconds; nothing here takes one of them unless it hangs."""


@dataclass
class FarEnd:
    """What came, connection by connection. `answer` is called with each request and its connection."""

    answer: Answer
    requests: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    connections: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    read_body: bool = True
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests and let them be answered until the connection is over."""
        self.connections += 1
        number = self.connections
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or b"0")
                body = await reader.readexactly(length) if self.read_body else b""
                self.requests.append((number, head, body))
                await self.answer(self, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closed.set()
            writer.close()


def sending(*answers: bytes, close: bool = False) -> Answer:
    """Answer the first request with the first of these, and so on; the last one for all others."""

    async def answer(far_end: FarEnd, writer: asyncio.StreamWriter) -> None:
        writer.write(answers[min(len(far_end.requests), len(answers)) - 1])
        if close:
            writer.close()
        await asyncio.sleep(0)

    return answer


@asynccontextmanager
async def opened(far_end: FarEnd, **aws: Any) -> AsyncIterator[BedrockClient]:
    """Open a client of this far end."""
    server = await asyncio.start_server(far_end.serve, "127.0.0.1", 0, limit=2**25)
    far_end.port = server.sockets[0].getsockname()[1]
    settings = AwsSettings(
        access_key_id=SecretStr("AKIAXXXXXXXXXXXXXXXX"),
        secret_access_key=SecretStr("s"),
        **{"endpoint_url": f"http://127.0.0.1:{far_end.port}", **aws},
    )
    async with (
        server,
        asyncio.timeout(PATIENCE),
        open_client(BedrockSettings(), settings, CredentialSettings(), max_concurrency=5) as client,
    ):
        yield client


def reset_of(writer: asyncio.StreamWriter) -> None:
    """Reset this connection."""
    reset(_both_ways(writer))


def _both_ways(writer: asyncio.StreamWriter) -> asyncio.Transport:
    """Return what it writes to; uvloop's transports are none of asyncio's classes, but do what these do."""
    return cast("asyncio.Transport", writer.transport)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until this holds; `opened` bounds it."""
    while not condition():  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.001)


async def post(client: BedrockClient, body: bytes = b"{}", **options: Any) -> Exchange:
    """Send a request."""
    return await post_to(client, MODEL, body, **options)


async def ask(client: BedrockClient, body: bytes = b"{}") -> tuple[int, bytes]:
    """Send a request and return status and body of the answer."""
    exchange = await post(client, body)
    try:
        return exchange.status, await exchange.read_all(2**25)
    finally:
        exchange.close()


# ── connections ───────────────────────────────────────────────────────────────────────────────────────

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
REUSED = {
    "counted": (WHOLE, 1),
    "chunked": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", 1),
    "close": (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", 2),
    "1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 2),
    "surplus": (WHOLE + WHOLE, 2),
}


@on_both_loops
@pytest.mark.parametrize("name", REUSED)
async def test_reuse(name: str) -> None:
    """A connection serves again if its answer ended plainly, and only then."""
    answer, connections = REUSED[name]
    far_end = FarEnd(sending(answer))
    async with opened(far_end) as client:
        answers = [await ask(client) for _ in range(2)]
    assert answers == [(200, b"hello")] * 2
    assert far_end.connections == connections


async def test_until_the_connection_ends() -> None:
    """An answer without a length is over when the connection is."""
    far_end = FarEnd(sending(OK + b"\r\nhello", close=True))
    async with opened(far_end) as client:
        assert await ask(client) == (200, b"hello")


async def test_what_comes_to_an_idle_connection() -> None:
    """It is nobody's answer: the connection is given up, and the next request gets its own."""
    far_end = FarEnd(sending(WHOLE))
    writers: list[asyncio.StreamWriter] = []
    plain = far_end.answer

    async def answer(far_end: FarEnd, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await plain(far_end, writer)

    far_end.answer = answer
    async with opened(far_end) as client:
        assert await ask(client) == (200, b"hello")
        writers[0].write(OK + b"Content-Length: 6\r\n\r\nforged")
        await writers[0].drain()
        connector: Any = client.pool._connector
        [idle] = [idle for conns in connector._conns.values() for idle in conns]
        await until(lambda: idle[0].should_close)
        assert await ask(client) == (200, b"hello")
    assert far_end.connections == 2


@on_both_loops
async def test_a_connection_closed_while_idle() -> None:
    """The next request does not meet it once its end has been seen."""
    far_end = FarEnd(sending(WHOLE, close=True))
    async with opened(far_end) as client:
        assert await ask(client) == (200, b"hello")
        await far_end.closed.wait()
        connector: Any = client.pool._connector
        [idle] = [idle for conns in connector._conns.values() for idle in conns]
        await until(lambda: not idle[0].is_connected())
        assert await ask(client) == (200, b"hello")
    assert far_end.connections == 2


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────


async def cut(_: FarEnd, writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    reset_of(writer)
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    "answer",
    [sending(b"", close=True), sending(OK, close=True), cut],
    ids=["closed", "within the head", "reset"],
)
async def test_no_head(answer: Answer) -> None:
    """Whatever ends a connection before the head is there: something may have been sent, nothing has come."""
    async with opened(FarEnd(answer)) as client:
        with pytest.raises(aiohttp.ClientConnectionError) as caught:
            await post(client)
    fault = before_the_head(caught.value)
    assert (type(fault), fault.unsent) == (UpstreamUnavailable, False)


@on_both_loops
@pytest.mark.parametrize("cutting", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    "start", [OK + b"Content-Length: 6\r\n\r\n", CHUNKED + b"5\r\n"], ids=["counted", "chunked"]
)
async def test_half_a_body(start: bytes, *, cutting: bool) -> None:
    """What has come is given, then the fault, again and again."""
    torn = asyncio.Event()

    async def answer(_: FarEnd, writer: asyncio.StreamWriter) -> None:
        writer.write(start + b"hello")
        await torn.wait()
        if cutting:
            reset_of(writer)
        else:
            writer.close()
        await asyncio.sleep(0)

    async with opened(FarEnd(answer)) as client:
        exchange = await post(client)
        assert await exchange.read() == b"hello"
        torn.set()
        for _ in range(2):
            with pytest.raises(aiohttp.ClientPayloadError):
                await exchange.read()
        assert not exchange.at_end
        exchange.close()


@on_both_loops
async def test_a_reset_ends_no_body() -> None:
    """A body without a length is whole at the orderly end of its connection only."""
    torn = asyncio.Event()

    async def answer(_: FarEnd, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\nhello")
        await torn.wait()
        reset_of(writer)
        await asyncio.sleep(0)

    async with opened(FarEnd(answer)) as client:
        exchange = await post(client)
        assert await exchange.read() == b"hello"
        torn.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await exchange.read()
        exchange.close()


async def test_no_http() -> None:
    """What is no HTTP is a fault at once, and the connection is closed."""
    far_end = FarEnd(sending(b"220 mail.example.com ESMTP\r\n"))
    async with opened(far_end) as client:
        with pytest.raises(UpstreamProtocolError):
            await post(client)
        await far_end.closed.wait()


async def test_a_broken_chunk() -> None:
    """What came before it is given; then comes the fault."""
    far_end = FarEnd(sending(CHUNKED + b"5\r\nhello\r\nxyz\r\n"))
    async with opened(far_end) as client:
        exchange = await post(client)
        assert await exchange.read() == b"hello"
        with pytest.raises(UpstreamProtocolError):
            await exchange.read()
        await far_end.closed.wait()


async def test_who_speaks_first() -> None:
    """Bytes that came before the request are no answer to it."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WHOLE)
        await reader.read()
        far_end.closed.set()
        writer.close()

    far_end = FarEnd(sending(WHOLE))
    far_end.serve = speak  # type: ignore[method-assign]
    async with opened(far_end) as client:
        connector: Any = (await client.pool.session()).connector
        connect = connector.connect

        async def connect_and_hear(*arguments: Any) -> Any:
            connection = await connect(*arguments)
            await until(lambda: connection.protocol.should_close)
            return connection

        connector.connect = connect_and_hear  # as if the network were slow
        with pytest.raises(UpstreamProtocolError):
            await post(client)
        await far_end.closed.wait()


async def test_nobody_accepts() -> None:
    """The connect clock counts everything until there is a connection; nothing was sent then."""
    connecting = asyncio.Event()

    async def resolve(*_: object, **__: object) -> list[Any]:
        connecting.set()
        await asyncio.Event().wait()
        return []

    far_end = FarEnd(sending(WHOLE))
    async with opened(far_end, endpoint_url="http://bedrock.invalid") as client:
        session = await client.pool.session()
        session.connector._resolver.resolve = resolve  # type: ignore[union-attr]  # a resolver that is silent
        with pytest.raises(aiohttp.ConnectionTimeoutError) as caught:
            await post(client, connect_timeout=0.05)
    fault = before_the_head(caught.value)
    assert connecting.is_set()
    assert (type(fault), fault.unsent) == (UpstreamTimeout, True)


async def test_too_large() -> None:
    """An answer that is to be held in memory has a bound."""
    async with opened(FarEnd(sending(WHOLE))) as client:
        exchange = await post(client)
        with pytest.raises(UpstreamProtocolError, match="too large"):
            await exchange.read_all(4)
        exchange.close()
        assert await ask(client) == (200, b"hello")


# ── large bodies ──────────────────────────────────────────────────────────────────────────────────────


@on_both_loops
@pytest.mark.parametrize("size", [SLICE, SLICE + 1, len(LARGE)])
async def test_large_request(size: int) -> None:
    """It arrives as it was, in slices, and the connection serves again."""
    far_end = FarEnd(sending(WHOLE))
    async with opened(far_end) as client:
        for _ in range(2):
            assert await ask(client, LARGE[:size]) == (200, b"hello")
    assert [(number, body == LARGE[:size]) for number, _, body in far_end.requests] == [(1, True)] * 2


async def test_an_answer_before_the_request_has_been_sent() -> None:
    """It counts; but what is left of the request must not meet the next answer: the connection is cut."""
    refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}"
    far_end = FarEnd(sending(refused), read_body=False)

    async def answer(_: FarEnd, writer: asyncio.StreamWriter) -> None:
        writer.write(refused)
        await writer.drain()
        await asyncio.Event().wait()

    far_end.answer = answer
    async with opened(far_end) as client:
        for _ in range(2):
            assert await ask(client, LARGE * 4) == (413, b"{}")
    assert far_end.connections == 2


@on_both_loops
async def test_reset_while_the_request_is_sent() -> None:
    """The fault is a connection that broke before it answered."""
    async with opened(FarEnd(cut, read_body=False)) as client:
        with pytest.raises(aiohttp.ClientConnectionError) as caught:
            await ask(client, LARGE * 4)
    assert type(before_the_head(caught.value)) is UpstreamUnavailable


@on_both_loops
async def test_nobody_reads() -> None:
    """Who does not take the answer holds the far end back, and gets all of it later (R8)."""
    sent = 0

    async def answer(_: FarEnd, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(OK + b"Content-Length: %d\r\n\r\n" % len(LARGE))
        for start in range(0, len(LARGE), SLICE):
            writer.write(LARGE[start : start + SLICE])
            await writer.drain()
            sent += SLICE

    async with opened(FarEnd(answer)) as client:
        exchange = await post(client)
        await until(lambda: exchange._paused)
        held = exchange._size
        for _ in range(50):
            await asyncio.sleep(0)
        assert exchange._size == held < HIGH_WATER + 300_000
        assert sent < len(LARGE)
        body = await exchange.read_all(len(LARGE))
        exchange.close()
        assert body == LARGE
        assert (await ask(client))[1] == LARGE


# ── leaving ───────────────────────────────────────────────────────────────────────────────────────────


async def silent(_: FarEnd, __: asyncio.StreamWriter) -> None:
    """Answer nothing, until the caller has left."""
    await asyncio.sleep(0)


async def deaf(_: FarEnd, writer: asyncio.StreamWriter) -> None:
    """Read no further."""
    _both_ways(writer).pause_reading()
    await asyncio.Event().wait()


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "body", "read_body"),
    [(silent, b"{}", True), (deaf, LARGE * 4, False), (sending(CHUNKED + b"5\r\nhe"), b"{}", True)],
    ids=["head", "request", "body"],
)
async def test_cancelled(answer: Answer, body: bytes, *, read_body: bool) -> None:
    """Whoever leaves, whenever: the connection is closed, though half of the request was not taken (R1)."""
    far_end = FarEnd(answer, read_body=read_body)
    async with opened(far_end) as client:
        asking = asyncio.ensure_future(ask(client, body))
        await until(lambda: far_end.requests)
        for _ in range(10):
            await asyncio.sleep(0)
        connector: Any = client.pool._connector
        [protocol] = connector._acquired
        transport = protocol.transport
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not connector._acquired
        await until(lambda: transport.get_extra_info("socket").fileno() < 0)


@on_both_loops
async def test_what_is_forwarded() -> None:
    """Each read goes to whoever takes it, at once, until he has had enough; the end does not."""
    more = asyncio.Event()

    async def answer(_: FarEnd, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 8\r\n\r\n")
        for piece in (b"ab", b"cd", b"ef", b"gh"):
            await more.wait()
            more.clear()
            writer.write(piece)

    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        more.set()
        return len(taken) != 2

    async with opened(FarEnd(answer)) as client:
        exchange = await post(client)
        more.set()
        await exchange.forward(take)  # done when `take` has said no
        enough = taken.copy()
        await until(lambda: exchange.ready)
        kept = exchange.take()
        more.set()
        await exchange.forward(take)  # done at the end, with which its bytes have come
        assert (enough, kept, taken) == ([b"ab", b"cd"], b"ef", enough)
        assert (exchange.take(), exchange.at_end) == (b"gh", True)
        exchange.close()


async def test_nothing_is_forwarded_to_who_has_left() -> None:
    """What comes behind a cancellation waits to be taken, or is dropped with the answer."""
    more = asyncio.Event()

    async def answer(_: FarEnd, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 5\r\n\r\n")
        await more.wait()
        writer.write(b"ab")

    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        return True

    async with opened(FarEnd(answer)) as client:
        exchange = await post(client)
        exchange.forward(take).cancel()
        more.set()
        await until(lambda: exchange.ready)
        assert (taken, exchange.take()) == ([], b"ab")
        exchange.close()


async def test_what_has_come_is_not_waited_for() -> None:
    """Whoever forwards an answer of which something waits is to read that first: nothing more may come."""
    async with opened(FarEnd(sending(OK + b"Content-Length: 9\r\n\r\nhello"))) as client:
        exchange = await post(client)
        await until(lambda: exchange.ready)
        reader = StreamReader(CODECS["claude"].extractor(), enveloped=True)
        clocks = Clocks(BedrockSettings(), GENERAL, streaming=True)
        answer = BedrockAnswer(exchange, reader, clocks)
        await answer.forward(lambda _: True)
        assert await answer.read() == b"hello"
        clocks.close()
        exchange.close()


async def test_long_heads_stop_no_reading() -> None:
    """Heads are no answer that waits for a reader: nobody would take them, and nothing be read any more."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"%" * (HIGH_WATER // 2) + b"\r\n\r\n"
    more = asyncio.Event()

    async def answer(_: FarEnd, writer: asyncio.StreamWriter) -> None:
        writer.write(3 * hint + OK + b"Content-Length: 5\r\n\r\n")
        await more.wait()
        writer.write(b"hello")

    async with opened(FarEnd(answer)) as client:
        exchange = await post(client)
        more.set()
        async with asyncio.timeout(PATIENCE):
            assert await exchange.read() == b"hello"
        exchange.close()


async def test_nobody_forwards_for_who_reads_on() -> None:
    """Who reads an answer on, whose taker has been cancelled, gets all of it himself."""
    more = asyncio.Event()

    async def answer(_: FarEnd, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 5\r\n\r\n")
        await more.wait()
        writer.write(b"ab")

    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        return True

    async with opened(FarEnd(answer)) as client:
        exchange = await post(client)
        exchange.forward(take).cancel()
        reading = asyncio.ensure_future(exchange.read())
        await asyncio.sleep(0)
        more.set()
        async with asyncio.timeout(PATIENCE):
            await until(lambda: bool(taken) or reading.done())
        reading.cancel()
        await asyncio.wait([reading])
        assert taken == []
        assert reading.result() == b"ab"
        exchange.close()


async def test_an_abandoned_read() -> None:
    """Giving up one wait loses nothing: the next one gets what has come since (S37)."""
    go_on = asyncio.Event()

    async def answer(_: FarEnd, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 5\r\n\r\n")
        await go_on.wait()
        writer.write(b"hello")

    async with opened(FarEnd(answer)) as client:
        exchange = await post(client)
        reading = asyncio.ensure_future(exchange.read())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        go_on.set()
        assert await exchange.read() == b"hello"
        assert (exchange.at_end, await exchange.read()) == (True, b"")
        exchange.close()
        assert repr(exchange) == (
            "<Exchange status 200, 0 bytes waiting, <ResponseParser ended, 0 bytes buffered>>"
        )


# ── what is sent ──────────────────────────────────────────────────────────────────────────────────────


async def test_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that reads the request gets the whole URL, and the name and password of its own URL."""
    far_end = FarEnd(sending(WHOLE))
    async with opened(far_end) as direct:
        assert not direct.pool.proxied
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@127.0.0.1:{far_end.port}")
        settings = AwsSettings(
            access_key_id=SecretStr("AKIAXXXXXXXXXXXXXXXX"),
            secret_access_key=SecretStr("s"),
            endpoint_url="http://bedrock.invalid",
        )
        async with open_client(
            BedrockSettings(), settings, CredentialSettings(), max_concurrency=5
        ) as client:
            assert [await ask(client) for _ in range(2)] == [(200, b"hello")] * 2
    lines = far_end.requests[0][1].decode().split("\r\n")
    assert lines[0] == f"POST http://bedrock.invalid/model/{MODEL}/invoke HTTP/1.1"
    assert "Host: bedrock.invalid" in lines
    assert f"Proxy-Authorization: Basic {b64encode(b'me:p@ss').decode()}" in lines
    assert [number for number, _, _ in far_end.requests] == [1, 1]


async def test_no_line_of_a_header_of_elsewhere() -> None:
    """A line break in what callers send along is never sent."""
    far_end = FarEnd(sending(WHOLE))
    async with opened(far_end) as client:
        with pytest.raises(ValueError, match="control character"):
            await post_to(client, MODEL, b"{}", {"X-Amzn-Bedrock-Request-Metadata": "a\r\nHost: b"})
        connector: Any = client.pool._connector
        assert not connector._acquired
    assert not far_end.requests


async def test_many_different_heads() -> None:
    """What is kept of requests has a bound, and each is sent with its own headers."""
    far_end = FarEnd(sending(WHOLE))
    async with opened(far_end) as client:
        for number in range(300):
            exchange = await post_to(client, MODEL, b"{}", {"X-Number": str(number)})
            await exchange.read_all(5)
            assert len(client._drafts) <= 256
    assert all(f"X-Number: {number}\r\n".encode() in far_end.requests[number][1] for number in range(300))
