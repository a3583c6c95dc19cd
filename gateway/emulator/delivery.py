"""How an answer leaves: which bytes in which write, after which pause, and how it ends.

A `Reply` is data, made before the first byte is sent; `faults` says what may be wrong with it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aiohttp import web

from gateway.emulator import faults
from gateway.emulator.errors import invalid
from gateway.emulator.frames import Event, encode_event
from gateway.emulator.replay import EVENT_STREAM, split_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gateway.emulator.activity import Outcome
    from gateway.emulator.directives import Directives
    from gateway.emulator.errors import BedrockError
    from gateway.emulator.faults import Ending, Fault, Frames
    from gateway.emulator.metering import Metered
    from gateway.emulator.replay import Recording

_MS: Final = 1000.0
_SETTLE_S: Final = 0.02
"""Between the last bytes and the breaking of a connection: a reset overtakes what has not been read yet."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for no time: closing the socket then resets the connection."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes for one write, `pause` seconds after the one before; `deltas` end in it."""

    data: bytes
    pause: float = 0.0
    deltas: int = 0


@dataclass(slots=True)
class Sent:
    """How far an answer has come."""

    deltas: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer. `delay` seconds pass before the headers; `streamed` means chunked.

    Without an `ending` it ends as it should. `promised` is the length that the head gives for a body that is
    not streamed, where that is not the length of the writes. `before` is sent before the head; `headless`
    means that no head follows. `same`: the same request gets the same answer next time. `metered` is what
    it is measured by, None where nothing is; `deltas` are those of the whole answer, sent or not.
    """

    headers: Mapping[str, str]
    writes: Sequence[Write]
    status: int = 200
    delay: float = 0.0
    streamed: bool = False
    outcome: Outcome = "complete"
    ending: Ending | None = None
    promised: int | None = None
    before: bytes = b""
    headless: bool = False
    same: bool = True
    metered: Metered | None = None
    deltas: int = 0

    @property
    def code(self) -> str:
        """The code of an error, empty for an answer."""
        return self.headers.get("x-amzn-ErrorType", "").partition(":")[0]

    @property
    def size(self) -> int:
        """The length of the body in bytes."""
        return sum(len(write.data) for write in self.writes)


def whole_reply(
    body: bytes, headers: Mapping[str, str], *, status: int = 200, delay: float = 0.0, ok: bool = True
) -> Reply:
    """Return an answer in one piece."""
    return Reply(
        headers=headers,
        writes=(Write(body),),
        status=status,
        delay=delay,
        outcome="complete" if ok else "error",
    )


def error_reply(error: BedrockError) -> Reply:
    """Return an answer that says no."""
    reply = whole_reply(error.body(), error.headers(), status=error.status, ok=False)
    return replace(reply, same=error.same)


def stream_reply(
    events: Iterable[Event],
    headers: Mapping[str, str],
    directives: Directives,
) -> Reply:
    """Return a streamed answer, paced and broken as the directives say."""
    frames = [(encode_event(event.kind, event.payload), event.delta) for event in events]
    deltas = sum(delta for _, delta in frames)
    fault = directives.fault
    if fault is not None:
        faults.apply(fault, frames)
    reply = Reply(
        headers={"Content-Type": EVENT_STREAM, **headers},
        writes=schedule(frames, directives),
        delay=directives.first_byte_ms / _MS,
        streamed=True,
        deltas=deltas,
    )
    return reply if fault is None else _ending_in(reply, fault)


def broken_reply(reply: Reply, fault: Fault) -> Reply:
    """Return an answer in one piece that breaks off; to a fault, its body is what follows no frame at all.

    Raises:
        BedrockError: the fault needs frames, or a longer body.
    """
    if fault.kind not in faults.BREAKS or fault.place.frames > 0:
        raise invalid(f"The directive [{fault.kind}] needs, at that place, an operation that streams.")
    body: Frames = [(write.data, False) for write in reply.writes]
    faults.apply(fault, body)
    writes = tuple(Write(data) for data, _ in body)
    promised = None if fault.kind == "cut" else reply.size
    return _ending_in(replace(reply, writes=writes, promised=promised), fault)


def _ending_in(reply: Reply, fault: Fault) -> Reply:
    broken = fault.ending not in {None, "cut"} or fault.kind in {"exception", "error_frame"}
    return replace(
        reply,
        ending=fault.ending,
        before=fault.head,
        headless=fault.headless,
        outcome="error" if broken else "complete",
    )


def replay_reply(recording: Recording, directives: Directives) -> Reply:
    """Return a recorded answer: its bytes as they were, a stream's frames paced one by one."""
    delay = directives.first_byte_ms / _MS
    if not recording.streamed:
        return whole_reply(
            recording.body, recording.headers, status=recording.status, delay=delay, ok=recording.ok
        )
    frames = [(frame, True) for frame in split_frames(recording.body)]
    return Reply(
        headers=recording.headers,
        writes=schedule(frames, directives),
        status=recording.status,
        delay=delay,
        streamed=True,
    )


def schedule(frames: Sequence[tuple[bytes, bool]], directives: Directives) -> tuple[Write, ...]:
    """Return the writes of `frames`, each given with whether it carries a delta.

    A write waits `pace_ms` for each delta in it, so that the whole takes as long however it is cut.
    """
    size = directives.frames_per_write
    if size is None:
        size = 1 if directives.pace_ms else 0
    size = size or max(len(frames), 1)
    batches = [frames[start : start + size] for start in range(0, len(frames), size)]
    writes = tuple(_write_of(batch, directives.pace_ms / _MS) for batch in batches)
    return writes if not directives.slice else tuple(_sliced(writes, directives.slice, directives.slice_ms))


def _write_of(batch: Sequence[tuple[bytes, bool]], pace: float) -> Write:
    deltas = sum(delta for _, delta in batch)
    return Write(b"".join(data for data, _ in batch), pace * deltas, deltas)


def _sliced(writes: Iterable[Write], size: int, apart_ms: float) -> Iterator[Write]:
    for write in writes:
        pause = write.pause
        for start in range(0, len(write.data), size):
            last = start + size >= len(write.data)
            yield Write(write.data[start : start + size], pause, write.deltas if last else 0)
            pause = apart_ms / _MS


async def deliver(
    request: web.BaseRequest, reply: Reply, request_id: str, sent: Sent | None = None
) -> web.StreamResponse:
    """Send `reply` and return the response, which is over then; `sent` is kept up with it.

    Raises:
        ConnectionError: the client went while this was writing; while it waits, it is cancelled.
    """
    if reply.delay:
        await asyncio.sleep(reply.delay)
    headers = {"x-amzn-RequestId": request_id, **reply.headers}
    if reply.before and request.transport is not None:
        request.transport.write(reply.before)
    if reply.headless:
        return await _break(request, web.StreamResponse(), reply.ending)
    if not reply.streamed and reply.ending is None:
        whole = web.Response(status=reply.status, headers=headers, body=reply.writes[0].data)
        await whole.prepare(request)
        await whole.write_eof()
        return whole
    response = web.StreamResponse(status=reply.status, headers=headers)
    if not reply.streamed:
        response.content_length = reply.size if reply.promised is None else reply.promised
    await response.prepare(request)
    await _write(response, reply.writes, Sent() if sent is None else sent)
    if reply.ending not in {None, "cut"}:
        return await _break(request, response, reply.ending)
    await response.write_eof()
    return response


async def _write(response: web.StreamResponse, writes: Sequence[Write], sent: Sent) -> None:
    clock = asyncio.get_running_loop().time
    due = clock()
    for write in writes:
        if write.pause:
            due += write.pause  # against the start, so that the costs of sending do not add up
            await asyncio.sleep(max(0.0, due - clock()))
        await response.write(write.data)
        sent.deltas += write.deltas


async def _break(
    request: web.BaseRequest, response: web.StreamResponse, ending: Ending | None
) -> web.StreamResponse:
    """End, or do not end, the connection of an answer that is to break; aiohttp finds it gone."""
    if ending == "stall":
        await asyncio.get_running_loop().create_future()  # until the client, or the emulator, has enough
    await asyncio.sleep(_SETTLE_S)
    transport = request.transport
    if transport is not None:
        if ending == "reset":
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        transport.close()
    return response
