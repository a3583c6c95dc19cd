"""The responder when things go wrong on our own side of the wire."""

from __future__ import annotations

import asyncio
import io
import json
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from gateway.abandoned import AbandonedAnswers
from gateway.admission.queue import ConcurrencyLimiter
from gateway.catalog.directory import ListedModel, ModelDirectory
from gateway.catalog.model import Model
from gateway.domain import FinishReason, Stop, TextDelta
from gateway.errors import UnknownModel
from gateway.observability import logging
from gateway.retries.attempts import Retries
from gateway.server.dispatch import Dispatcher
from gateway.server.exchange import Limits, Services
from gateway.server.protocol import GatewayServer
from gateway.upstream import EmbeddingCall, RelayRequest, UpstreamCall
from tests.harness import LLAMA, StartGateway, ask, lines, on_both_loops

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gateway.domain import CompletionRequest, Embedded, EmbeddingRequest, Event
    from gateway.emulator import Emulator

MODEL = Model(id="m", base_id="m", provider="p", native_family=None, api="converse")


class Script:
    """An upstream whose answer is a list of reads; each read is what it makes of the events so far."""

    unknown: frozenset[str] = frozenset()
    request_id = "aws-1"
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, *reads: Callable[[list[Event]], None]) -> None:
        self._reads = reads
        self._next = 0

    @property
    def reader(self) -> Script:
        """The script reads itself."""
        return self

    @property
    def at_end(self) -> bool:
        """The end is seen with the last read, as it often is in practice."""
        return self._next == len(self._reads)

    def format(self, request: CompletionRequest) -> list[UpstreamCall]:
        """The same call for every request."""
        del request
        return [UpstreamCall(MODEL, b"", {})]

    def relay(self, request: RelayRequest) -> list[UpstreamCall]:
        """Nothing is passed on here."""
        raise AssertionError(request)

    def relay_guardrail(self, identifier: str, version: str, body: bytes) -> list[UpstreamCall]:
        """No guardrails here."""
        raise AssertionError(identifier, version, body)

    def asked(self, name: str) -> Model:
        """The same model for every name."""
        del name
        return MODEL

    def may_ask(self, model: ListedModel) -> bool:
        """Every name is a model."""
        return bool(model.id)

    def count(self, name: str) -> list[UpstreamCall]:
        """Nothing is counted here."""
        raise AssertionError(name)

    def count_body(self, request: CompletionRequest, model: Model) -> bytes:
        """Nothing is counted here."""
        raise AssertionError(request, model)

    def format_embeddings(self, request: EmbeddingRequest) -> list[EmbeddingCall]:
        """No embeddings here."""
        raise AssertionError(request)

    async def embed(self, call: EmbeddingCall) -> Embedded:
        """No embeddings here."""
        raise AssertionError(call)

    @asynccontextmanager
    async def invoke_stream(self, call: UpstreamCall) -> AsyncIterator[Script]:
        """No IO."""
        del call
        yield self

    async def read(self) -> bytes:
        """One byte for each read of the script."""
        await asyncio.sleep(0)
        return b"x" if self._next < len(self._reads) else b""

    async def forward(self, take: Callable[[bytes], bool]) -> None:
        """Push all reads but the last, as long as they are wanted."""
        while self._next < len(self._reads) - 1 and take(b"x"):
            pass

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Run the next read of the script."""
        del data
        self._next += 1
        self._reads[self._next - 1](events)

    def close(self, events: list[Event]) -> None:
        """The script ends as it ends."""


class Ready:
    """Always ready."""

    unusable_targets: ClassVar[list[str]] = []
    ledger = "local"

    async def problems(self) -> list[str]:
        """None."""
        return []


@asynccontextmanager
async def _serving(upstream: Script) -> AsyncIterator[str]:
    services = Services(
        upstream=upstream,
        limiter=ConcurrencyLimiter(max_running=5, max_waiting=5, queue_timeout=5),
        abandoned=AbandonedAnswers(max_running=0, seconds=0),
        retries=Retries(clock=asyncio.get_running_loop().time, random=random.random),
        readiness=Ready(),
        models=ModelDirectory((), _nothing),
        limits=Limits(max_body_bytes=9999, body_timeout=5, write_timeout=5),
        version="0",
    )
    server = GatewayServer(Dispatcher(services), handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _nothing(name: str) -> ListedModel:
    raise UnknownModel(name)


def _say(text: str) -> Callable[[list[Event]], None]:
    return lambda events: events.append(TextDelta(text))


def _defect(_events: list[Event]) -> None:
    raise ZeroDivisionError("CANARY")


def _stop(events: list[Event]) -> None:
    events.append(Stop(FinishReason.STOP, "end_turn"))


async def _records(upstream: Script, **headers: str) -> tuple[int, list[dict[str, Any]]]:
    async with (
        _serving(upstream) as url,
        aiohttp.ClientSession() as session,
        session.post(f"{url}/chat/completions/stream", json=ask(), headers=headers) as response,
    ):
        data = await response.read()
        return response.status, [json.loads(line) for line in data.splitlines()]


async def test_defect_before_the_first_byte(log: io.StringIO) -> None:
    """A defect of ours before anything was sent is a 500 that gives nothing away; the log says where."""
    status, [answer] = await _records(Script(_defect))

    assert (status, answer["error"]["code"]) == (500, "internal_error")
    assert "CANARY" not in json.dumps(answer)
    [defect] = lines(log, "defect")
    assert defect["exception"].startswith("builtins.ZeroDivisionError at server/test_responder.py:")
    assert "CANARY" not in log.getvalue()


async def test_defect_in_the_middle(log: io.StringIO) -> None:
    """A defect of ours mid-stream still ends the stream in exactly one error record."""
    status, records = await _records(Script(_say("Hel"), _defect))

    assert (status, [record["type"] for record in records]) == (200, ["start", "text_delta", "error"])
    assert records[-1]["error"]["code"] == "internal_error"
    assert len(lines(log, "defect")) == 1


async def test_an_end_without_a_stop_reason_is_no_end() -> None:
    """`done` is never invented: an answer that ends without a stop reason ends in an error."""
    _, records = await _records(Script(_say("Hel")))

    assert [record["type"] for record in records] == ["start", "text_delta", "error"]
    assert records[-1]["error"]["code"] == "upstream_protocol"


async def test_answer_without_text() -> None:
    """An answer that says nothing is a start and a done."""
    _, records = await _records(Script(_stop))

    assert [record["type"] for record in records] == ["start", "done"]


@on_both_loops
async def test_bare_text_breaks_on_a_defect() -> None:
    """Bare text breaks the transfer on a defect of ours too."""
    with pytest.raises(aiohttp.ClientPayloadError):
        await _records(Script(_say("Hel"), _defect), Accept="text/plain")


@on_both_loops
async def test_reader_who_does_not_read(emulator: Emulator, start: StartGateway, log: io.StringIO) -> None:
    """A caller who takes no byte is dropped after the write timeout, and frees slot and upstream."""
    body = json.dumps(ask("[[emulator deltas=4900 delta_chars=2000]]", model=LLAMA)).encode()
    async with start(emulator, write_timeout_ms=100) as caller:
        address = urlsplit(caller.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
        head = b"POST /chat/completions/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

        async with asyncio.timeout(60):
            await emulator.wait_active(1)
            await emulator.wait_active(0)
            while not lines(log):  # noqa: ASYNC110 - the line is written by another task
                await asyncio.sleep(0.005)

        [line] = lines(log)
        assert (line["outcome"], line["detail"]) == ("disconnected", "the caller did not read")
        assert caller.gateway.limiter.running == 0
        assert not reader.at_eof()
        writer.transport.abort()


async def test_unary_reader_who_does_not_read(
    emulator: Emulator, start: StartGateway, log: io.StringIO
) -> None:
    """The write timeout holds for the unary answer too, and an answer nobody took is not called ok."""
    body = json.dumps(ask("[[emulator deltas=4900 delta_chars=2000]]", model=LLAMA)).encode()
    async with start(emulator, write_timeout_ms=100) as caller:
        address = urlsplit(caller.url)
        _, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
        head = b"POST /chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

        async with asyncio.timeout(60):
            while not lines(log):  # noqa: ASYNC110 - the line is written by another task
                await asyncio.sleep(0.005)

        [line] = lines(log)
        assert (line["outcome"], line["detail"]) == ("disconnected", "the caller did not read")
        writer.transport.abort()


async def test_defect_behind_the_answer_does_not_answer_twice(log: io.StringIO) -> None:
    """Whatever fails after the answer has begun, no second HTTP head appears inside the body."""

    class Forgetful(Script):
        @property
        def unknown(self) -> frozenset[str]:  # type: ignore[override]  # read when the line is gathered
            raise ZeroDivisionError

    _, records = await _records(Forgetful(_say("Hel"), _stop))

    assert [record["type"] for record in records] == ["start", "text_delta", "error"]
    assert [line["outcome"] for line in lines(log)] == ["error"]


async def test_log_that_cannot_be_written() -> None:
    """A full disk under the log fails no request."""

    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    logging.configure(level="debug", json=True, stream=Full())

    status, records = await _records(Script(_say("Hel"), _stop))

    assert (status, records[-1]["type"]) == (200, "done")
