"""The drain: who is served on, who is told, and that nobody is cut (reliability.md R47, S14–S16)."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.settings import DrainSettings
from tests.harness import LLAMA, ask, lines, on_both_loops, started

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator

    from gateway.emulator import Emulator
    from tests.harness import Caller

FOREVER = DrainSettings(propagation_ms=60_000, deadline_ms=60_000, grace_ms=200_000)
NO_PROPAGATION = FOREVER.model_copy(update={"propagation_ms": 0})
NO_PATIENCE = FOREVER.model_copy(update={"propagation_ms": 0, "deadline_ms": 0})

SLOW = ask("[[emulator deltas=4900 pace_ms=20]]")
SHORT = ask("[[emulator deltas=20 pace_ms=20]]")
SILENT = ask("[[emulator first_byte_ms=60000]]")


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for a second is no caller who does not take his last words."""
    monkeypatch.setattr("gateway.server.drain.LAST_WORDS", 3.0)


class Line:
    """One connection, and bytes on it as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *pieces: bytes) -> None:
        """Send the pieces."""
        self.writer.writelines(pieces)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Return status, headers and object of the next answer."""
        async with asyncio.timeout(60):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head[1:]}
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)

    async def last_answer(self) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Return the next answer, and leave."""
        answer = await self.answer()
        self.writer.close()
        return answer

    async def rest(self) -> bytes:
        """Return everything until the end."""
        async with asyncio.timeout(60):
            return await self.reader.read()


@asynccontextmanager
async def _line(caller: Caller) -> AsyncIterator[Line]:
    address = urlsplit(caller.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def _draining(caller: Caller, **options: Any) -> AsyncIterator[asyncio.Task[None]]:
    """Drain while the block runs, and see the drain end."""
    async with asyncio.TaskGroup() as group:
        drain = group.create_task(caller.gateway.drain(**options))
        await asyncio.sleep(0)
        yield drain


async def _refused(caller: Caller) -> None:
    """Return when nothing listens any more."""
    address = urlsplit(caller.url)
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(address.hostname, address.port)
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.005)


def _post(body: dict[str, Any], path: str = "/chat/completions") -> tuple[bytes, bytes]:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode(), data


async def _records(response: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await response.read()).splitlines()]


async def test_still_serving_while_the_load_balancer_notices(emulator: Emulator) -> None:
    """Not ready, alive, and serving everything, streams too; but each answer ends its connection."""
    async with started(emulator, drain=FOREVER) as caller, _line(caller) as idle, _draining(caller):
        seen = {}
        for path in ("/readyz", "/livez", "/nowhere"):
            async with caller.session.get(caller.url + path) as response:
                seen[path] = (response.status, response.headers.get("Connection"))
                if path == "/readyz":
                    assert (await response.json())["problems"] == ["draining"]
        status, records, headers = await caller.stream(ask())
        await idle.send(*_post(ask()))
        unary = await idle.answer()
        rest = await idle.rest()
        caller.gateway.hurry()

    assert seen == {"/readyz": (503, "close"), "/livez": (200, "close"), "/nowhere": (404, "close")}
    assert (status, records[-1]["type"], headers["Connection"]) == (200, "done", "close")
    assert (unary[0], unary[1]["connection"], rest) == (200, "close", b"")


@on_both_loops
async def test_what_runs_is_finished(emulator: Emulator, log: io.StringIO) -> None:
    """A stream, a half-uploaded body and a request in the queue all get their whole answer (S15)."""
    async with (
        started(emulator, drain=NO_PROPAGATION, max_concurrency=1) as caller,
        _line(caller) as upload,
        caller.session.post(f"{caller.url}/chat/completions/stream", json=SHORT) as stream,
    ):
        waiting = asyncio.create_task(caller.complete(ask()))
        head, body = _post(ask("x" * 100_000))
        await upload.send(head, body[:50_000])
        await stream.content.readline()
        async with asyncio.timeout(60):
            while not caller.gateway.limiter.waiting:  # noqa: ASYNC110 - uvloop connects turns later
                await asyncio.sleep(0)
        async with _draining(caller):
            await _refused(caller)
            await upload.send(body[50_000:])
            answer = await upload.answer()
            assert (await waiting)[0] == 200
            records = await _records(stream)

    assert (answer[0], answer[1]["connection"]) == (200, "close")
    assert records[-1]["type"] == "done"
    [drained] = lines(log, "drained")
    assert (drained["interrupted"], drained["cut"]) == (0, 0)
    assert {line["outcome"] for line in lines(log)} == {"ok"}


async def test_connection_of_a_stream_that_began_before_the_drain(emulator: Emulator) -> None:
    """Its head promised keep-alive; it is closed all the same, or the process would wait for nothing."""
    async with started(emulator, drain=NO_PROPAGATION) as caller, _line(caller) as line:
        await line.send(*_post(SHORT, "/chat/completions/stream"))
        head = await line.reader.readuntil(b"\r\n\r\n")
        async with _draining(caller) as drain:
            rest = await line.rest()
            await drain

    assert b"connection" not in head.lower()
    assert rest.endswith(b"\r\n0\r\n\r\n")


async def test_promise_of_a_head_is_kept(emulator: Emulator) -> None:
    """An answer whose head came before the drain promised its connection: the next request on it is served.

    HAProxy sends one at once, and where the connection closes instead, it drops the caller without a word.
    """
    async with started(emulator, drain=FOREVER) as caller, _line(caller) as line:
        await line.send(*_post(SHORT, "/chat/completions/stream"))
        await line.reader.readuntil(b"\r\n\r\n")
        async with _draining(caller):
            await line.reader.readuntil(b"\r\n0\r\n\r\n")
            await asyncio.sleep(0.02)
            await line.send(*_post(ask()))
            status, headers, _ = await line.answer()
            caller.gateway.hurry()

    assert (status, headers["connection"]) == (200, "close")


async def test_first_request_of_a_fresh_connection(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who connected just before listening ended is accepted and heard; who says nothing is let go."""
    monkeypatch.setattr("gateway.server.drain.SETTLE", 3.0)  # ours is on its way, on a busy machine, too
    async with (
        started(emulator, drain=NO_PROPAGATION) as caller,
        _line(caller) as fresh,
        _line(caller) as dumb,
        _draining(caller) as drain,
    ):
        await _refused(caller)
        await fresh.send(*_post(ask()))
        answer = await fresh.answer()
        rest = await dumb.rest()
        await drain

    assert (answer[0], rest) == (200, b"")


@pytest.mark.parametrize("how", ["deadline", "hurry", "hurry the propagation", "no drain"])
async def test_what_is_left_is_told(emulator: Emulator, log: io.StringIO, how: str) -> None:
    """At the deadline, at a second signal or at a plain end: a terminal record, or a true status."""
    drain = {"deadline": NO_PATIENCE, "hurry": NO_PROPAGATION}.get(how, FOREVER)
    async with aiohttp.ClientSession() as session, AsyncExitStack() as outliving:
        async with started(emulator, drain=drain) as caller:
            url = f"{caller.url}/chat/completions"
            stream = await session.post(f"{url}/stream", json=SLOW)
            text = await session.post(f"{url}/stream", json=SLOW, headers={"Accept": "text/plain"})
            waiting = asyncio.create_task(session.post(url, json=SILENT))
            await stream.content.readline()
            await text.content.readany()
            upload = await outliving.enter_async_context(_line(caller))
            await upload.send(_post(ask())[0])
            while len(caller.gateway.serving.dispatcher.exchanges) < 4:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.001)
            half = asyncio.create_task(upload.last_answer())
            if how != "no drain":
                async with _draining(caller):
                    if how.startswith("hurry"):
                        caller.gateway.hurry()
        records, unary = await _records(stream), await waiting
        with pytest.raises(aiohttp.ClientPayloadError):
            await text.read()

    assert records[-1]["error"]["code"] == "server_shutdown"
    assert records[-1]["error"]["retryable"] is True
    assert (unary.status, unary.headers["Retry-After"], (await half)[0]) == (503, "1", 503)
    [drained] = lines(log, "drained")
    assert (drained["interrupted"], drained["cut"]) == (4, 0)
    async with asyncio.timeout(60):
        await emulator.wait_active(0)


async def test_head_that_comes_behind_the_deadline(emulator: Emulator, log: io.StringIO) -> None:
    """A request whose head was half there when the others were told is told as they are."""
    head, body = _post(SILENT)
    async with AsyncExitStack() as outliving:
        async with started(emulator, drain=NO_PATIENCE) as caller:
            late = await outliving.enter_async_context(_line(caller))
            deaf = await outliving.enter_async_context(_line(caller))  # the end waits for its last words
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined] # of a reading transport
            await deaf.send(*_post(ask("[[emulator deltas=4900 delta_chars=2000]]", model=LLAMA)))
            await _takes_no_more(caller)
            await late.send(head[:20])
            answer = asyncio.create_task(_when_told(caller, late, head[20:] + body))
        status, headers, told = await answer

    assert (status, told["error"]["code"], headers["connection"]) == (503, "server_shutdown", "close")
    [drained] = lines(log, "drained")
    assert (drained["interrupted"], drained["cut"]) == (2, 1)


async def _takes_no_more(caller: Caller) -> None:
    """Wait until the kernels hold all that they will: a shut window opens once or twice again by itself."""
    serving, sent, looks = caller.gateway.serving, 0, 0
    async with asyncio.timeout(30):
        while looks < 30:
            await asyncio.sleep(0.01)
            now = sum(exchange.transfer.sent for exchange in serving.dispatcher.exchanges)
            looks = looks + 1 if serving.server.unsent() and now == sent else 0
            sent = now


async def _when_told(caller: Caller, line: Line, rest: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Send the rest of a request when the gateway has begun to end; return its answer."""
    async with asyncio.timeout(60):
        while caller.gateway.serving.runner.sites:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.1)
    await line.send(rest)
    return await line.last_answer()


@pytest.mark.parametrize(
    ("path", "outcome"), [("/chat/completions", "cut"), ("/chat/completions/stream", "error")]
)
async def test_reader_who_does_not_read(
    emulator: Emulator, log: io.StringIO, path: str, outcome: str
) -> None:
    """Who does not take even the last bytes cannot hold the process; the log says so."""
    body = ask("[[emulator deltas=4900 delta_chars=2000]]", model=LLAMA)
    async with AsyncExitStack() as outliving, started(emulator, drain=NO_PATIENCE) as caller:
        deaf = await outliving.enter_async_context(_line(caller))
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined] # of a reading transport
        await deaf.send(*_post(body, path))
        await _takes_no_more(caller)

    [line] = lines(log)
    assert (line["outcome"], line["level"]) == (outcome, "warning")
    [drained] = lines(log, "drained")
    assert (drained["interrupted"], drained["cut"]) == (1, 1)


async def test_who_left_during_the_drain_is_not_cut(emulator: Emulator, log: io.StringIO) -> None:
    """A caller who leaves while others are waited for has left, that is all."""
    async with started(emulator, drain=NO_PROPAGATION) as caller:
        async with caller.session.post(f"{caller.url}/chat/completions/stream", json=SLOW) as stream:
            await stream.content.readline()
            drain = asyncio.create_task(caller.gateway.drain())
            await _refused(caller)
        async with asyncio.timeout(60):
            await drain

    assert [line["outcome"] for line in lines(log)] == ["disconnected"]
