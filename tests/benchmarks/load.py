"""The callers: raw HTTP/1.1 on sockets in one epoll loop, because it is not them that is measured.

A thousand of them must cost little: they share a core with the far end. Bounded in count and in time,
loopback only. Every answer is kept to its end and checked when all have come; one that failed fails the run,
since a subject that drops work is cheap.
"""

from __future__ import annotations

import heapq
import select
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
STREAM_TIMEOUT = 60.0
"""Seconds for one stream; the longest of the tables takes three, of a peer ten."""
_READ = 262_144
_POLL_S = 0.5
_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_OK = b"HTTP/1.1 200 "
_CHUNKED = b"\r\ntransfer-encoding: chunked\r\n"


class StreamFailedError(Exception):
    """A stream was refused, cut, late, or not what was asked for."""


class Answer(NamedTuple):
    """One whole answer, as its caller saw it.

    `first` is how many seconds after the request the first text came, `gap` the longest time without a
    byte, the one before the first included; `reads` counts what came in turns.
    """

    body: bytes
    first: float
    gap: float
    reads: int


@dataclass(slots=True, kw_only=True)
class Caller:
    """One kept connection, on which a request follows the other after a pause.

    It asks again as long as `turns` gives something, which may be shared with others.
    """

    connection: socket.socket
    request: bytes
    text: re.Pattern[bytes]
    turns: Iterator[object]
    pauses: Iterator[float]
    answers: list[Answer] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    body_at: int = 0
    sent: float = 0.0
    last: float = 0.0
    first: float = 0.0
    gap: float = 0.0
    reads: int = 0

    @property
    def talking(self) -> bool:
        """Whether text has come of an answer that goes on."""
        return self.first > 0


def encode_post(path: str, body: bytes) -> bytes:
    """Return a whole POST request with a JSON body."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Crowd:
    """Callers in one loop. `open` gives one."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._waiting: dict[int, Caller] = {}
        self._due: list[tuple[float, int, Caller]] = []
        self._numbers = count()
        self._room = bytearray(_READ)
        self._view = memoryview(self._room)
        self._sockets: list[socket.socket] = []

    def close(self) -> None:
        """Close all connections, whatever they wait for."""
        for connection in self._sockets:
            connection.close()
        self._epoll.close()

    def join(
        self,
        port: int,
        request: bytes,
        text: re.Pattern[bytes],
        turns: Iterator[object],
        *,
        delay: float = 0.0,
        pauses: Iterator[float] | None = None,
    ) -> Caller:
        """Connect one more caller, who begins to ask after `delay` seconds of `run`."""
        connection = socket.create_connection((HOST, port), timeout=STREAM_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(0)
        self._sockets.append(connection)
        self._epoll.register(connection.fileno(), select.EPOLLIN)
        caller = Caller(
            connection=connection,
            request=request,
            text=text,
            turns=turns,
            pauses=iter(float, None) if pauses is None else pauses,
        )
        heapq.heappush(self._due, (delay, next(self._numbers), caller))
        return caller

    def run(self, ended: Callable[[], bool] | None = None) -> None:
        """Let them ask until nobody has anything to ask, or `ended` says so; to be called once.

        Raises:
            StreamFailedError: an answer was refused or broke, or took too long.
        """
        begun = time.monotonic()
        self._due = [(begun + delay, number, caller) for delay, number, caller in self._due]
        patience = begun + STREAM_TIMEOUT
        while not (ended is not None and ended()):
            now = time.monotonic()
            self._send_due(now)
            if not self._due and not self._waiting:
                break
            wait = min(self._due[0][0] - now, _POLL_S) if self._due else _POLL_S
            ready = self._epoll.poll(max(wait, 0.0))
            now = time.monotonic()
            for descriptor, _ in ready:
                self._receive(descriptor, now)
            if now > patience:
                self._check_patience(now)
                patience = now + _POLL_S

    def _send_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _, _, caller = heapq.heappop(self._due)
            if next(caller.turns, None) is None:
                continue
            caller.data.clear()
            caller.body_at, caller.reads, caller.gap, caller.first = 0, 0, 0.0, 0.0
            caller.sent = caller.last = time.monotonic()
            self._waiting[caller.connection.fileno()] = caller
            caller.connection.sendall(caller.request)

    def _receive(self, descriptor: int, now: float) -> None:
        caller = self._waiting.get(descriptor)
        if caller is None:
            raise StreamFailedError("a connection was closed, or spoken on, between two requests")
        try:
            size = caller.connection.recv_into(self._room)
        except OSError as error:
            raise StreamFailedError(f"the connection broke: {error}") from error
        data = caller.data
        if not size:
            raise StreamFailedError(f"the connection broke after {len(data)} bytes: {bytes(data[-200:])!r}")
        data += self._view[:size]
        caller.gap = max(caller.gap, now - caller.last)
        caller.last = now
        caller.reads += 1
        if not caller.body_at:
            caller.body_at = _body_at(data)
        if not caller.first and caller.text.search(data, caller.body_at):
            caller.first = now - caller.sent
        if data.endswith(_LAST_CHUNK):
            body = dechunk(bytes(data[caller.body_at :]))
            if body is not None:
                self._finish(caller, body, now)

    def _finish(self, caller: Caller, body: bytes, now: float) -> None:
        caller.answers.append(Answer(body, caller.first, caller.gap, caller.reads))
        caller.first = 0.0
        del self._waiting[caller.connection.fileno()]
        heapq.heappush(self._due, (now + next(caller.pauses), next(self._numbers), caller))

    def _check_patience(self, now: float) -> None:
        for caller in self._waiting.values():
            if now - caller.sent > STREAM_TIMEOUT:
                raise StreamFailedError(f"no end of the stream within {STREAM_TIMEOUT:g} s")


def _body_at(data: bytearray) -> int:
    """Return where the body begins, 0 where the head is not all there.

    Raises:
        StreamFailedError: this is no stream.
    """
    end = data.find(_HEAD_END)
    head = bytes(data if end < 0 else data[: end + 2])
    if not head.startswith(_OK[: len(head)]) or (end >= 0 and _CHUNKED not in head.lower()):
        raise StreamFailedError(f"not a stream: {bytes(data[:400])!r}")
    return 0 if end < 0 else end + len(_HEAD_END)


@contextmanager
def crowd() -> Iterator[Crowd]:
    """Give callers for as long as the block runs."""
    callers = Crowd()
    try:
        yield callers
    finally:
        callers.close()


def dechunk(data: bytes) -> bytes | None:
    """Return the body that was transferred in chunks, None where its last chunk has not come."""
    chunks: list[bytes] = []
    start = 0
    while (line_end := data.find(b"\r\n", start)) >= 0:
        size = int(data[start:line_end], 16)
        if not size:
            return b"".join(chunks)
        chunk_start = line_end + 2
        start = chunk_start + size + 2
        chunks.append(data[chunk_start : start - 2])
    return None
