"""What a connection may do before, between and behind its requests; seen from the caller and from Bedrock."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from gateway.errors import DeadlineExceeded
from gateway.server import body_budget, protocol
from gateway.server.connections import SURPLUS
from tests.harness import LLAMA, ask, lines
from tests.raw import PATIENCE, SILENT, RawCaller, connected, exchanged, heads, post

if TYPE_CHECKING:
    import io
    from collections.abc import Callable

    from gateway.emulator import Emulator
    from tests.harness import Caller, StartGateway

VERSION = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the conditions belong to other tasks, no event tells them
            await asyncio.sleep(0.002)


def _error(answer: bytes) -> tuple[int, str]:
    """Return status and code of the one answer."""
    [head] = heads(answer)
    return int(head.split()[1]), json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]


# ── heads and bodies that do not come (R11) ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("sent", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: x\r\n"])
async def test_head_that_does_not_come(
    sent: bytes, emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """Part of a head, or none, is a 408 of ours and the end of the connection."""
    async with start(emulator, head_timeout_ms=80) as caller:
        answer = await exchanged(caller.url, sent)

    assert _error(answer) == (408, "request_timeout")
    assert b"The head of a request did not arrive within 0.08 s." in answer
    assert [(line["route"], line["status"]) for line in lines(log)] == [("unread", 408)]


async def test_endless_head(caller: Caller) -> None:
    """A head that goes on is refused at its sixteenth kilobyte, not when its time is over (R58)."""
    endless = b"GET /livez HTTP/1.1\r\n" + (b"X-Long: " + b"a" * 300 + b"\r\n") * 100

    answer = await exchanged(caller.url, endless)

    assert _error(answer) == (400, "invalid_request")
    assert b"The request line and headers are larger than 16384 bytes." in answer


async def test_head_of_a_next_request(emulator: Emulator, start: StartGateway) -> None:
    """An idle connection is kept; from the first byte of a next head on, that head has its time."""
    async with start(emulator, head_timeout_ms=400) as caller, connected(caller.url) as raw:
        await raw.send(VERSION)
        await raw.until(b"}")
        await raw.send(b"\r\n")  # an empty line is no head
        await asyncio.sleep(1.0)  # more than twice what a head may take
        await raw.send(VERSION)
        assert b"200 OK" in await raw.until(b"}")
        await raw.send(b"GET /v")

        assert _error(await raw.rest()) == (408, "request_timeout")


async def test_callers_who_drip(emulator: Emulator, start: StartGateway) -> None:
    """A hundred callers who send a byte now and then get a 408 each, and others are served meanwhile."""
    async with start(emulator, head_timeout_ms=2000, body_timeout_ms=2000) as caller:
        heads_only = [_drip(caller.url, b"GET /version HTTP/1.1\r\nX-Long: ") for _ in range(50)]
        bodies = [_drip(caller.url, post(b"").replace(b"Length: 0", b"Length: 9999")) for _ in range(50)]
        dripping = asyncio.gather(*heads_only, *bodies)
        served = 0
        while not dripping.done():
            status, records, _ = await caller.stream(ask("[[emulator deltas=2]]"))
            assert (status, records[-1]["type"]) == (200, "done")
            served += 1

        assert {_error(answer) for answer in await dripping} == {(408, "request_timeout")}
        assert served >= 2


async def _drip(url: str, begin: bytes) -> bytes:
    """Send the beginning and then byte after byte for as long as it is taken; return the answer."""
    async with connected(url) as raw, asyncio.timeout(PATIENCE):
        await raw.send(begin)
        answer = asyncio.ensure_future(raw.until(b"}}"))
        while not answer.done():
            await raw.send(b" ")
            await asyncio.wait({answer}, timeout=0.02)
        return await answer


# ── what hides that a caller leaves (R2, S9) ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("behind", [1, protocol.MAX_PIPELINED, 32, 33, 200])
async def test_leaving_with_requests_behind(
    behind: int, emulator: Emulator, caller: Caller, log: io.StringIO
) -> None:
    """However many requests wait behind one that is running, its caller's leaving ends it."""
    async with connected(caller.url) as raw:
        await raw.send(post(SILENT))
        async with asyncio.timeout(PATIENCE):
            await emulator.wait_active(1)
            await raw.send(VERSION * behind)
            raw.reset()
            await emulator.wait_active(0)

        await _until(lambda: caller.gateway.limiter.running == 0)
        await _until(lambda: [line["outcome"] for line in lines(log)] == ["disconnected"])
        assert [call.outcome for call in emulator.calls] == ["client_gone"]


async def test_too_many_requests_behind(emulator: Emulator, caller: Caller, log: io.StringIO) -> None:
    """One more than a handful costs the connection at once, without the caller's leaving."""
    async with connected(caller.url) as raw:
        await raw.send(post(SILENT))
        async with asyncio.timeout(PATIENCE):
            await emulator.wait_active(1)
        await raw.send(VERSION * protocol.MAX_PIPELINED)
        await asyncio.sleep(0.05)
        assert emulator.active == 1

        await raw.send(VERSION)

        assert await raw.rest() == b""
        async with asyncio.timeout(PATIENCE):
            await emulator.wait_active(0)
        [line] = lines(log, "connection dropped")
        assert line["reason"] == "requests behind an unanswered one"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "behind",
    [
        post(b" " * 2_000_000),
        post(b"", "/chat/completions").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        + b"%x\r\n" % 400_000
        + b" " * 400_000,
    ],
    ids=["body", "chunk"],
)
async def test_large_request_behind(
    behind: bytes, *, at_once: bool, emulator: Emulator, caller: Caller
) -> None:
    """A request behind a running one may not be large: aiohttp would stop reading, and see nobody leave."""
    async with connected(caller.url) as raw:
        if at_once:
            sending = asyncio.ensure_future(raw.send(post(SILENT) + behind))
        else:
            await raw.send(post(SILENT))
            async with asyncio.timeout(PATIENCE):
                await emulator.wait_active(1)
            sending = asyncio.ensure_future(raw.send(behind))

        assert await raw.rest() == b""
        await sending

    async with asyncio.timeout(PATIENCE):
        await emulator.wait_active(0)
    await _until(lambda: caller.gateway.limiter.running == 0)


async def test_endless_head_behind(emulator: Emulator, caller: Caller) -> None:
    """A head that does not end while a request runs has no end of memory either, and costs the connection."""
    async with connected(caller.url) as raw:
        await raw.send(post(SILENT))
        async with asyncio.timeout(PATIENCE):
            await emulator.wait_active(1)

        await raw.send(b"GET /livez HTTP/1.1\r\n" + (b"X-Long: " + b"a" * 300 + b"\r\n") * 100)

        assert await raw.rest() == b""
        async with asyncio.timeout(PATIENCE):
            await emulator.wait_active(0)


# ── the cap (R12) ─────────────────────────────────────────────────────────────────────────────────────


async def test_connections_beyond_the_cap(emulator: Emulator, start: StartGateway) -> None:
    """They get a 503 of ours and are closed; probes are answered; whoever is within notices nothing."""
    async with start(emulator, max_connections=10) as caller, AsyncExitStack() as stack:
        within = [await stack.enter_async_context(connected(caller.url)) for _ in range(10)]
        for raw in within:
            await raw.send(LIVE)
            await raw.until(b"}")

        answer = await exchanged(caller.url, post(ask()))

        assert _error(answer) == (503, "overloaded")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert b"All 10 connections are in use." in answer
        probe = await exchanged(caller.url, LIVE)
        assert heads(probe) == [b"HTTP/1.1 200 OK"]
        assert b"Connection: close" in probe
        for raw in within:
            await raw.send(VERSION)
            assert b"200 OK" in await raw.until(b"}")
        within[0].writer.close()
        async with asyncio.timeout(PATIENCE):
            while (await caller.stream(ask()))[0] == 503:  # until the gateway has seen that there is room
                pass


async def test_crowd_that_is_silent(
    emulator: Emulator, start: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections beyond the cap that say nothing make room for others, and the probe among them."""
    monkeypatch.setattr(protocol, "SURPLUS_HEAD_TIMEOUT", 60.0)  # or time would make the room
    settings = {"max_connections": 5, "head_timeout_ms": 60_000}
    async with start(emulator, **settings) as caller, AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(connected(caller.url)) for _ in range(5 + SURPLUS)]
        assert await _closed(crowd) == []

        probe = await exchanged(caller.url, LIVE)

        assert heads(probe) == [b"HTTP/1.1 200 OK"]
        assert _error(await crowd[5].rest()) == (503, "overloaded")
        assert await _closed(crowd) == [5]


async def _closed(crowd: list[RawCaller]) -> list[int]:
    """Return the places of those whose connection has ended."""
    await asyncio.sleep(0.05)
    return [place for place, one in enumerate(crowd) if one.reader.at_eof()]


async def test_silence_beyond_the_cap_ends(
    emulator: Emulator, start: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection beyond the cap has less time for its head than one within, and is told why it ends."""
    monkeypatch.setattr(protocol, "SURPLUS_HEAD_TIMEOUT", 0.05)
    async with start(emulator, max_connections=1) as caller, connected(caller.url) as within:
        await within.send(LIVE)
        await within.until(b"}")

        assert _error(await exchanged(caller.url, b"")) == (503, "overloaded")


# ── callers who do not read (R5) ──────────────────────────────────────────────────────────────────────


async def test_callers_who_never_read(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """They are dropped when they have taken nothing for so long; slots and Bedrock's streams are free."""
    endless = post(ask("[[emulator deltas=600 delta_chars=2000]]", model=LLAMA))
    async with start(emulator, write_timeout_ms=400) as caller, AsyncExitStack() as stack:
        for _ in range(20):
            raw = await stack.enter_async_context(connected(caller.url, receive_buffer=4096))
            await raw.send(endless)
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]

        await _until(lambda: len(emulator.calls) + emulator.active == 20)
        await _until(lambda: emulator.active == 0 and caller.gateway.limiter.running == 0)
        await _until(lambda: len(lines(log)) == 20)

    assert {(line["outcome"], line["detail"]) for line in lines(log)} == {
        ("disconnected", "the caller did not read")
    }


async def test_deadline_of_a_caller_who_does_not_read(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """The last words to a caller whose deadline struck while it did not read are bounded as all are."""
    endless = ask("[[emulator deltas=4900 delta_chars=2000]]", model=LLAMA)
    gateway = start(emulator, write_timeout_ms=400)
    async with gateway as caller, connected(caller.url, receive_buffer=4096) as raw:
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await raw.send(post(endless))
        server = caller.gateway.serving.server
        await _until(lambda: any(connection.writing_paused for connection in server.connections))
        [exchange] = caller.gateway.serving.dispatcher.exchanges
        exchange.interrupt(DeadlineExceeded("The time is over."))
        await _until(lambda: caller.gateway.serving.server.counted.open == 0)

    [line] = lines(log)
    assert (line["outcome"], line["code"]) == ("error", "deadline_exceeded")
    assert line["detail"] == "the caller did not read"


async def test_caller_who_is_slow(emulator: Emulator, start: StartGateway) -> None:
    """One write may take far longer than the time that a caller may stand still."""
    large = ask("[[emulator deltas=450 delta_chars=2000]]", model=LLAMA)
    body = post(large, "/chat/completions", "Connection: close")
    started = start(emulator, write_timeout_ms=1000)
    async with started as caller, connected(caller.url, receive_buffer=16384) as raw:
        await raw.send(body)
        loop = asyncio.get_running_loop()
        began, answer = loop.time(), b""
        while piece := await raw.reader.read(4096):
            answer += piece
            await asyncio.sleep(0.015)
        taken = loop.time() - began

    assert json.loads(answer.partition(b"\r\n\r\n")[2])["finish_reason"] == "stop"
    assert taken > 3 * 1.0  # or the test proves nothing


# ── bodies (R13, R58) ─────────────────────────────────────────────────────────────────────────────────


async def test_bodies_of_all_together(emulator: Emulator, start: StartGateway) -> None:
    """What is being answered holds its body's bytes; beyond the sum there is a 503, announced or not."""
    large = {**SILENT, "system": "x" * 40_000}
    chunked = post(b"").replace(b"Content-Length: 0", b"Connection: close\r\nTransfer-Encoding: chunked")
    body = json.dumps(large).encode()
    settings = {"max_body_bytes": 50_000, "max_bodies_bytes": 60_000}
    async with start(emulator, **settings) as caller:
        async with connected(caller.url) as raw:
            await raw.send(post(large))
            async with asyncio.timeout(PATIENCE):
                await emulator.wait_active(1)

            announced = await exchanged(caller.url, post(large, "/chat/completions", "Expect: 100-continue"))
            surprise = await exchanged(caller.url, chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            small = await caller.stream(ask())

        for answer in (announced, surprise):
            assert _error(answer) == (503, "overloaded")
            assert b"\r\nRetry-After: %d\r\n" % body_budget.RETRY_AFTER in answer
        assert small[0] == 200
        await _until(lambda: caller.gateway.limiter.running == 0)
        for _ in range(3):  # nothing is held any more, not even by those who were refused
            status, _, _ = await caller.stream({**ask(), "system": "x" * 40_000})
            assert status == 200


@pytest.mark.parametrize(
    ("expectation", "length", "version", "expected"),
    [
        ("100-continue", b"9", b"1.1", [b"100", b"408"]),
        ("100-Continue", b"9", b"1.1", [b"100", b"408"]),
        ("100-continue", b"9", b"1.0", [b"408"]),
        ("100-continue", b"99999999999", b"1.1", [b"413"]),
        ("200-ok", b"9", b"1.1", [b"417"]),
        ("200-ok", b"9", b"1.0", [b"408"]),
    ],
)
async def test_expectations(
    expectation: str,
    length: bytes,
    version: bytes,
    expected: list[bytes],
    emulator: Emulator,
    start: StartGateway,
) -> None:
    """Only a body that would be taken is asked for, and nothing else can be expected (R13)."""
    request = post(b"", "/chat/completions", f"Expect: {expectation}", "Connection: close")
    async with start(emulator, body_timeout_ms=50) as caller, connected(caller.url) as raw:
        await raw.send(
            request.replace(b"Length: 0", b"Length: " + length).replace(b"HTTP/1.1", b"HTTP/" + version)
        )
        answer = await raw.until(b"}}")  # what comes behind it is not waited for, nobody uploads it

    assert [head.split()[1] for head in heads(answer)] == expected
