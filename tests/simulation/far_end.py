"""A simulated Bedrock behind the `Upstream` seam: real frames, random faults, and an account of every call.

Everything above the socket is real: clocks, fault tables, decoder, readers. What is simulated is the network.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import aiohttp
import orjson
from botocore.exceptions import ConnectTimeoutError

from gateway.bedrock import faults
from gateway.bedrock.answer import BedrockAnswer
from gateway.bedrock.clocks import Clocks
from gateway.bedrock.exceptions import FOREIGN, before_the_head
from gateway.bedrock.reader import StreamReader
from gateway.codecs import codec_for
from gateway.emulator.frames import CHUNK, encode_event, encode_exception
from gateway.settings import BedrockSettings

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

    from gateway.bedrock.exchange import Exchange
    from gateway.upstream import UpstreamCall

CLOCKS: Final = BedrockSettings(
    first_byte_timeout_ms=4_000, gap_timeout_ms=3_000, total_timeout_ms=20_000, connect_timeout_ms=1_000
)

HEADS: Final = {
    "throttled": (429, "ThrottlingException"),
    "asks_to_wait": (429, "ThrottlingException"),
    "not_ready": (429, "ModelNotReadyException"),
    "unavailable": (503, "ServiceUnavailableException"),
    "internal": (500, "InternalServerException"),
    "denied": (403, "AccessDeniedException"),
    "not_here": (404, "ResourceNotFoundException"),
    "invalid": (400, "ValidationException"),
    "slow_model": (408, "ModelTimeoutException"),
}
NO_WORK: Final = ("refused", "denied", "not_here")
"""What is no work to the far end."""
BEFORE: Final = (*HEADS, "refused", "disconnected", "reset", "never_answers")
BODIES: Final = ("exception", "cut", "broken", "silent", "bit", "garbage", "no_end")
EXCEPTIONS: Final = (
    "throttlingException",
    "serviceUnavailableException",
    "internalServerException",
    "modelStreamErrorException",
    "validationException",
)
WORDS: Final = ("Hel", "lo ", "wörld ", "\u2028", "🙂", "\n", "a", "tokens of some length ")


@dataclass(eq=False)
class Sent:
    """One call as this end saw it."""

    request: int
    lane: str
    at: float
    fault: str
    pieces: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """For each piece of text, how many bytes of the body must have come for it to be known."""
    delivered: int = 0
    whole: bool = False
    """Whether the body ends as it should."""
    open: bool = True

    @property
    def known_text(self) -> str:
        """The text in the frames that have been delivered whole."""
        return "".join(
            piece for piece, end in zip(self.pieces, self.ends, strict=True) if end <= self.delivered
        )


def claude_frames(pieces: list[str]) -> list[bytes]:
    """Return the frames of an answer of Claude's, in InvokeModel's envelope."""
    deltas = [{"type": "text_delta", "text": text} for text in pieces]
    usage = {"output_tokens": len(pieces)}
    payloads: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ]
    return [encode_event(CHUNK, orjson.dumps(payload)) for payload in payloads]


def converse_frames(pieces: list[str]) -> list[bytes]:
    """Return the frames of an answer of ConverseStream's."""
    usage = {"inputTokens": 3, "outputTokens": len(pieces), "totalTokens": 3 + len(pieces)}
    events: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        *(("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}) for text in pieces),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 5}}),
    ]
    return [encode_event(kind, orjson.dumps(payload)) for kind, payload in events]


class Answer:
    """What `Exchange` is to the gateway: reads of random sizes at random times, then an end."""

    def __init__(self, sent: Sent, data: bytes, ending: str, chance: random.Random, request_id: str) -> None:
        self.headers = {"x-amzn-requestid": request_id}
        self._sent = sent
        self._data = data
        self._ending = ending
        self._chance = chance
        self._pace = chance.choice([0.0, 0.01, 0.3])
        self._piece = b""
        self._taker: Callable[[bytes], bool] | None = None
        self._broken = False
        self._eof = False

    @property
    def ready(self) -> bool:
        """Say whether there is something to take."""
        return bool(self._piece) or self._broken or self._eof

    @property
    def at_end(self) -> bool:
        """Say whether the end has been seen."""
        return self._eof and not self._piece

    def arrival(self) -> asyncio.Future[None]:
        """Return what is done when the next read has come; of a silent end, never."""
        assert self._sent.open, "read after the answer was given back"
        future = asyncio.get_running_loop().create_future()
        self._go_on(future)
        return future

    def forward(self, take: Callable[[bytes], bool]) -> asyncio.Future[None]:
        """Give reads to whoever wants them at once."""
        self._taker = take
        return self.arrival()

    def _go_on(self, future: asyncio.Future[None]) -> None:
        if self._ending != "silent" or self._sent.delivered < len(self._data):
            loop = asyncio.get_running_loop()
            loop.call_later(self._pace * self._chance.random(), self._come, future)

    def _come(self, future: asyncio.Future[None]) -> None:
        if future.done():  # nobody waits any more
            return
        left = self._data[self._sent.delivered :]
        size = self._chance.choice([1, 40, 300, len(left)])
        self._piece = left[:size]
        if not left and self._ending == "broken":
            self._broken = True
        elif not left or (size >= len(left) and self._ending == "end" and self._chance.random() < 0.5):
            self._eof = True
        if self._piece and not self._eof and self._taker is not None and self._taker(self.take()):
            self._go_on(future)
            return
        self._taker = None
        future.set_result(None)

    def take(self) -> bytes:
        """Return what has come."""
        assert self._sent.open, "read after the answer was given back"
        if not self._piece and self._broken:
            raise aiohttp.ClientPayloadError("broken")
        piece, self._piece = self._piece, b""
        self._sent.delivered += len(piece)
        return piece

    async def read(self) -> bytes:
        """Wait for what `take` returns."""
        while not self.ready:
            await self.arrival()
        return self.take()


class FarEnd:
    """Answers calls; `faults` is the share of those that go wrong somewhere."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.faults = chance.choice([0.05, 0.3, 0.8])
        self.capacity = chance.choice([3, 8, 1000])
        self.ill: set[str] = set()
        """Lanes on which every call fails."""
        self.calls: list[Sent] = []
        self.on_call: list[Any] = []
        """Functions that look at each call when it comes."""

    @property
    def open(self) -> int:
        """How many calls are being answered."""
        return sum(sent.open for sent in self.calls)

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self.faults, self.capacity, self.ill = 0.0, 1000, set()

    @asynccontextmanager
    async def invoke_stream(self, call: UpstreamCall) -> AsyncIterator[BedrockAnswer]:
        """Answer this call; see `gateway.upstream.Upstream`. Its body is the number of the request."""
        loop = asyncio.get_running_loop()
        clocks = Clocks(CLOCKS, call.model.timeouts, streaming=True)
        sent = Sent(int(call.body), call.lane, loop.time(), self._choose(call.lane))
        self.calls.append(sent)
        try:
            for look in self.on_call:
                look(sent)
            try:
                await clocks.bound(self._head(sent))
            except FOREIGN as error:
                raise before_the_head(error) from error
            codec = codec_for(call.model)
            reader = StreamReader(codec.extractor(), enveloped=call.model.api == "invoke")
            answer = self._answer(sent, call, f"id-{len(self.calls)}")
            yield BedrockAnswer(cast("Exchange", answer), reader, clocks)
        finally:
            sent.open = False
            clocks.close()

    def _choose(self, lane: str) -> str:
        if sum(sent.open for sent in self.calls if sent.lane == lane) >= self.capacity:
            return "throttled"
        if lane in self.ill:
            return self.chance.choice(["unavailable", "internal", "refused", "never_answers"])
        if self.chance.random() >= self.faults:
            return "none"
        return self.chance.choice(BEFORE + BODIES)

    async def _head(self, sent: Sent) -> None:
        await asyncio.sleep(self.chance.choice([0.001, 0.05, 0.5]) * self.chance.random())
        if sent.fault in HEADS:
            status, code = HEADS[sent.fault]
            headers = {"x-amzn-errortype": code}
            if sent.fault == "asks_to_wait":
                headers["x-amz-retry-after"] = str(self.chance.choice([1, 900, 30_000]))
            raise faults.from_answer(status, headers, b'{"message":"no"}')
        if sent.fault == "never_answers":
            await asyncio.get_running_loop().create_future()
        if sent.fault in BEFORE:
            _break(sent.fault)

    def _answer(self, sent: Sent, call: UpstreamCall, request_id: str) -> Answer:
        chance = self.chance
        sent.pieces = [chance.choice(WORDS) + str(number) for number in range(chance.randrange(1, 12))]
        frames = (claude_frames if call.model.api == "invoke" else converse_frames)(sent.pieces)
        first_text = 2 if call.model.api == "invoke" else 1
        place = chance.randrange(len(frames))
        ends = [sum(map(len, frames[: number + 1])) for number in range(len(frames))]
        sent.ends = ends[first_text : first_text + len(sent.pieces)]
        start, data, ending = ends[place] - len(frames[place]), b"".join(frames), "end"
        if sent.fault == "none":
            sent.whole = True
            return Answer(sent, data, ending, chance, request_id)
        if sent.fault == "exception":
            data = data[:start] + encode_exception(chance.choice(EXCEPTIONS))
        elif sent.fault in {"cut", "broken", "silent"}:
            data = data[: start + chance.randrange(len(frames[place]))]
            ending = "end" if sent.fault == "cut" else sent.fault
        elif sent.fault == "bit":
            middle = start + len(frames[place]) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        elif sent.fault == "garbage":
            data = data[:start] + b"HTTP/1.1 502 Bad Gateway\r\n\r\n" + data[start:]
        else:  # no_end: whole frames, but none of those that say that the answer is over
            start = ends[-2 if call.model.api == "invoke" else -3]
            data = data[:start]
        sent.ends = [end if end <= start else len(data) + 1 for end in sent.ends]
        return Answer(sent, data, ending, chance, request_id)


def _break(fault: str) -> NoReturn:
    if fault == "refused":
        raise ConnectTimeoutError(endpoint_url="here")
    if fault == "disconnected":
        raise aiohttp.ServerDisconnectedError
    raise ConnectionResetError(104, "reset")
