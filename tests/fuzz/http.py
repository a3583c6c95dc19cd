"""The door: any bytes at a running gateway's socket are answered in our shape or not at all, never by a 500.

An input is what a peer sends over one connection. A probe that closes is sent behind it; where the input ends
inside a head or a body, the probe becomes a part of that. Emulator and gateway run in this process, over
loopback.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from gateway.emulator import Emulator, EmulatorSettings
from gateway.observability import logging
from tests.fuzz import http_inputs
from tests.fuzz.answers import Answer, answers
from tests.fuzz.mutation import CANARY
from tests.fuzz.target import Target, demand
from tests.harness import NOVA, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.harness import Caller

PROBE_ID = "the-probe-behind"
PROBE = f"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: {PROBE_ID}\r\n\r\n".encode()
IDLE_S = 0.03
"""Silence after which the peer says that it will send no more."""
HANG_S = 60.0
EVERY = 25
"""Inputs between two good requests on connections of their own."""
LIMITS = {
    "body_timeout_ms": 5000,
    "write_timeout_ms": 20_000,
    "keepalive_timeout_ms": 20_000,
    "heartbeat_grace_ms": 3,
    "heartbeat_interval_ms": 2,
}
STATUSES = {100, 200, 400, 404, 405, 406, 408, 411, 413, 414, 415, 417, 431, 504}
"""The caller's own faults; 504 where that is the deadline which the caller gave."""
FIELDS = {"code", "message", "retryable", "param", "request_id", "upstream_request_id"}
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Door:
    """One running gateway, and the laws that hold at its door."""

    def __init__(self, caller: Caller, log: io.StringIO) -> None:
        self._caller = caller
        self._log = log
        self._host, self._port = caller.url.removeprefix("http://").split(":")
        self._count = 0
        self.defects: list[Any] = []
        """What the loop was told of; nothing may be."""

    async def __call__(self, data: bytes) -> None:
        """Hold what one connection brings to every law."""
        self._log.seek(0)
        self._log.truncate()
        got, cut_by_us = await self._exchange(data + PROBE)
        found = answers(got, may_be_cut=cut_by_us)
        for answer in found:
            _check_answer(answer)
        probes = [answer for answer in found if answer.headers.get("x-request-id") == PROBE_ID]
        demand(
            len(probes) <= 1 and probes == found[len(found) - len(probes) :], "the probe is not the last", got
        )
        _check_order(data + PROBE, found)
        demand(found or cut_by_us, "closed without a word", data)
        self._check_log()
        self._count += 1
        if self._count % EVERY == 0:
            await self.check_state()

    async def _exchange(self, data: bytes) -> tuple[bytes, bool]:
        """Return what the gateway sends until it closes, and whether we said first that we are done."""
        reader, writer = await asyncio.open_connection(self._host, int(self._port))
        got, done = b"", False
        try:
            async with asyncio.timeout(HANG_S):
                writer.write(data)
                while True:
                    try:
                        async with asyncio.timeout(None if done else IDLE_S):
                            piece = await reader.read(65536)
                    except TimeoutError:
                        if done:
                            raise
                        done = True
                        if writer.can_write_eof():
                            writer.write_eof()
                        continue
                    if not piece:
                        return got, done
                    got += piece
        except TimeoutError:
            demand(False, "the gateway does not close", got)  # noqa: FBT003 - the law is broken
        except OSError:  # a reset, or the end of a connection that is no more
            return got, True
        finally:
            writer.transport.abort()
        raise AssertionError

    def _check_log(self) -> None:
        log = self._log.getvalue()
        demand('"event":"defect"' not in log.replace(" ", ""), "a defect is in the log", log)
        demand('"level":"error"' not in log.replace(" ", ""), "an error is in the log", log)
        demand(CANARY not in log, "the log repeats what was sent", log)
        demand(not self.defects, "the loop was told of a defect", self.defects)

    async def check_state(self) -> None:
        """Ask as a good caller does, on a connection of its own; and see that nothing is still held."""
        limiter = self._caller.gateway.limiter
        async with asyncio.timeout(HANG_S):
            body = {"model": NOVA, "prompt": "Hi"}
            status, records, _ = await self._caller.stream(body)
            demand((status, records[-1]["type"]) == (200, "done"), "a good request fails", status, records)
            while limiter.running or limiter.waiting:  # noqa: ASYNC110 - nothing tells of it; bounded above
                await asyncio.sleep(0.01)


def _check_order(data: bytes, found: list[Answer]) -> None:
    """The ids that callers gave come back in their order, each as often as it was given."""
    place = 0
    for answer in found:
        given = answer.headers.get("x-request-id", "req_")
        if not given.startswith("req_"):
            place = data.find(given.encode(), place) + len(given)
            demand(place >= len(given), "answers in another order than their requests", given)


def _check_answer(answer: Answer) -> None:
    demand(answer.status in STATUSES, "a status that is not the caller's fault", answer)
    if answer.status == 100:
        return
    request_id = answer.headers.get("x-request-id", "")
    demand(answer.headers.get("server") == "bedrock-gateway", "not our head", answer)
    demand(REQUEST_ID.fullmatch(request_id), "no request id", answer)
    if answer.status == 200:
        _check_good(answer)
        return
    demand(CANARY.encode() not in answer.raw, "what was sent is reflected", answer)
    demand(answer.headers.get("content-type", "").startswith("application/json"), "not JSON", answer)
    if not answer.body:
        demand(answer.bodiless or answer.cut, "an error without a body", answer)
    elif not answer.cut:
        error = json.loads(answer.body)["error"]
        demand(
            set(error) <= FIELDS and {"code", "message", "request_id"} <= set(error), "not our shape", answer
        )
        demand(answer.status != 504 or error["code"] == "deadline_exceeded", "the gateway was slow", answer)
        demand(error["request_id"] == request_id, "two request ids", answer)
        demand(error["message"].isprintable() and error["code"] != "internal_error", "a bad message", answer)


def _check_good(answer: Answer) -> None:
    """A stream that is whole has just one terminal record; a start where anything but a failure was said."""
    kind = answer.headers.get("content-type", "")
    if answer.cut or not answer.body or not kind.startswith(("application/x-ndjson", "text/event-stream")):
        return
    lines = [line.removeprefix(b"data: ") for line in answer.body.split(b"\n") if line and line[:1] != b":"]
    records = [name for line in lines if (name := json.loads(line)["type"]) != "ping"]
    ends = [name for name in records if name in {"done", "error"}]
    demand(ends and ends == records[-1:], "not just one terminal record", answer)
    demand(records[0] == "start" or records == ["error"], "no start", answer)


@contextmanager
def _opened() -> Iterator[Callable[[bytes], None]]:
    log = io.StringIO()
    logging.configure(level="info", json=True, stream=log)
    loop = asyncio.new_event_loop()
    stack = AsyncExitStack()

    async def open_door() -> Door:
        emulator = await stack.enter_async_context(Emulator(EmulatorSettings(deltas=2)))
        return Door(await stack.enter_async_context(started(emulator, **LIMITS)), log)

    try:
        door = loop.run_until_complete(open_door())
        loop.set_exception_handler(lambda _, context: door.defects.append(context))
        yield lambda data: loop.run_until_complete(door(data))
        loop.run_until_complete(door.check_state())
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()
        logging.configure(level="error", json=True, stream=io.StringIO())


TARGET = Target(
    name="http",
    opened=_opened,
    seeds=http_inputs.seeds,
    recorded=lambda: (),
    mutate=http_inputs.mutate,
    max_length=16384,
)
