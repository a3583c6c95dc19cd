"""A caller and a far end in one thread, in lockstep: the next piece is sent when the last one has arrived.

So the gateway between them reads each piece by itself, whatever else the machine does, and what it does can
be counted. The pieces are what the emulator says to the same question, cut at its frames.
"""

from __future__ import annotations

import select
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from gateway.emulator.replay import split_frames
from tests.benchmarks.apis import BedrockApi, NativeApi
from tests.benchmarks.load import HOST, crowd, dechunk
from tests.benchmarks.scenarios import LLAMA

if TYPE_CHECKING:
    from types import TracebackType

    from tests.benchmarks.apis import Api

FRAMES_A_PIECE: Final = 16
_TIMEOUT_S: Final = 60.0
"""Against hanging only."""
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
    b"x-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Asked(NamedTuple):
    """How a caller asks, and which model."""

    api: Api
    model: str


NATIVE: Final = Asked(NativeApi(), LLAMA)


def pieces_of(
    emulator_port: int, deltas: int, model: str = LLAMA, frames_a_piece: int = FRAMES_A_PIECE
) -> list[bytes]:
    """Return the answer of the emulator as pieces to send, HTTP included."""
    api = BedrockApi()
    with crowd() as callers:
        request = api.request(model, prompt(deltas))
        caller = callers.join(emulator_port, request, api.text, iter(range(1)))
        callers.run()
    frames = split_frames(caller.answers[0].body)
    groups = [
        b"".join(frames[start : start + frames_a_piece]) for start in range(0, len(frames), frames_a_piece)
    ]
    pieces = [b"%x\r\n%b\r\n" % (len(group), group) for group in groups]
    return (
        [_HEAD + pieces[0], *pieces[1:-1], pieces[-1] + b"0\r\n\r\n"]
        if len(pieces) > 1
        else [_HEAD + pieces[0] + b"0\r\n\r\n"]
    )


def prompt(deltas: int) -> str:
    """Return what to say for so many deltas."""
    return f"[[emulator deltas={deltas}]] Hello"


class FarEnd:
    """Listens where the gateway believes Bedrock to be; to be used in one thread, as a context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._listener = self._stack.enter_context(socket.create_server((HOST, 0), backlog=512))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def asked(self) -> socket.socket:
        """Return the connection on which the next request has come, all of it."""
        while True:
            ready, _, _ = select.select([self._listener, *self._connections], [], [], _TIMEOUT_S)
            if not ready:
                raise TimeoutError("the gateway did not ask")
            for connection in ready:
                if connection is self._listener:
                    accepted = self._stack.enter_context(self._listener.accept()[0])
                    accepted.settimeout(_TIMEOUT_S)
                    self._connections.append(accepted)
                elif _read_request(connection):
                    return connection
                else:
                    self._connections.remove(connection)


def _read_request(connection: socket.socket) -> bool:
    data = b""
    while piece := connection.recv(65_536):
        data += piece
        head, found, body = data.partition(b"\r\n\r\n")
        if found:
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(body) >= length:
                return True
    return False


class Stream:
    """One caller's stream through the gateway, moved on piece by piece; if it is not native, in one piece."""

    def __init__(
        self,
        caller: socket.socket,
        far_end: FarEnd,
        pieces: list[bytes],
        deltas: int,
        asked: Asked = NATIVE,
    ) -> None:
        self._api = asked.api
        caller.sendall(asked.api.request(asked.model, prompt(deltas)))
        self._caller = caller
        self._upstream = far_end.asked()
        self._left = list(pieces)
        self._due = 0
        self._data = b""

    def step(self) -> bool:
        """Send a piece and return when all of it has come out; say whether there are more."""
        piece = self._left.pop(0)
        self._upstream.sendall(piece)
        self._due += piece.count(b"contentBlockDelta")
        while not self._arrived():
            data = self._caller.recv(65_536)
            if not data:
                raise ConnectionError(f"the gateway closed the connection behind {self._data[-300:]!r}")
            self._data += data
        return bool(self._left)

    def _arrived(self) -> bool:
        if not self._left:
            return self._data.endswith(b"0\r\n\r\n")
        return self._data.count(b'{"type":"text_delta",') >= self._due

    def check(self, deltas: int) -> None:
        """Raise `StreamFailedError` unless the answer is whole."""
        body = dechunk(self._data.partition(b"\r\n\r\n")[2])
        self._api.check(b"" if body is None else body, deltas)


def ask(
    gateway_port: int,
    far_end: FarEnd,
    pieces: list[bytes],
    deltas: int,
    times: int,
    asked: Asked = NATIVE,
) -> None:
    """Ask so many times on one connection."""
    with closing(socket.create_connection((HOST, gateway_port), timeout=_TIMEOUT_S)) as caller:
        for _ in range(times):
            stream = Stream(caller, far_end, pieces, deltas, asked)
            while stream.step():
                pass
            stream.check(deltas)
