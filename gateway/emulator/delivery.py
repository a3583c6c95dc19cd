"""How an answer leaves: which bytes in which write, after which pause, and what breaks on the way.

A `Reply` is data, made before the first byte is sent. More faults (an abort of the connection, a stall, a
damaged frame) are more kinds of `Write`: they belong here and into `directives`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from gateway.emulator.frames import Event, encode_event, encode_exception
from gateway.emulator.replay import EVENT_STREAM, split_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.emulator.activity import Outcome
    from gateway.emulator.directives import Directives
    from gateway.emulator.errors import BedrockError
    from gateway.emulator.replay import Recording

_MS: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes for one write, `pause` seconds after the one before."""

    data: bytes
    pause: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer. `delay` seconds pass before the headers; `streamed` means chunked."""

    headers: Mapping[str, str]
    writes: Sequence[Write]
    status: int = 200
    delay: float = 0.0
    streamed: bool = False
    outcome: Outcome = "complete"

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
    return whole_reply(error.body(), error.headers(), status=error.status, ok=False)


def stream_reply(
    events: Iterable[Event],
    headers: Mapping[str, str],
    directives: Directives,
) -> Reply:
    """Return a streamed answer, paced and broken as the directives say."""
    frames = [(encode_event(event.kind, event.payload), event.delta) for event in events]
    if directives.cut is not None:
        del frames[directives.cut :]
    if directives.exception is not None:
        frames[directives.after or 0 :] = [(encode_exception(directives.exception), False)]
    return Reply(
        headers={"Content-Type": EVENT_STREAM, **headers},
        writes=schedule(frames, directives),
        delay=directives.first_byte_ms / _MS,
        streamed=True,
        outcome="error" if directives.exception is not None else "complete",
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
    return tuple(
        Write(
            b"".join(data for data, _ in batch),
            directives.pace_ms / _MS * sum(delta for _, delta in batch),
        )
        for batch in batches
    )


async def deliver(request: web.BaseRequest, reply: Reply, request_id: str) -> web.StreamResponse:
    """Send `reply` and return the response, which is over then.

    Raises:
        ConnectionError: the client went while this was writing; while it waits, it is cancelled.
    """
    if reply.delay:
        await asyncio.sleep(reply.delay)
    headers = {"x-amzn-RequestId": request_id, **reply.headers}
    if not reply.streamed:
        whole = web.Response(status=reply.status, headers=headers, body=reply.writes[0].data)
        await whole.prepare(request)
        await whole.write_eof()
        return whole
    response = web.StreamResponse(status=reply.status, headers=headers)
    await response.prepare(request)
    clock = asyncio.get_running_loop().time
    due = clock()
    for write in reply.writes:
        if write.pause:
            due += write.pause  # against the start, so that the costs of sending do not add up
            await asyncio.sleep(max(0.0, due - clock()))
        await response.write(write.data)
    await response.write_eof()
    return response
