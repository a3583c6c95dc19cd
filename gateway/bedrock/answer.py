"""One answer of Bedrock as the pipeline reads it: bytes under clocks, until no more of them are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from gateway.bedrock import faults
from gateway.bedrock.answer_reader import AnsweringReader
from gateway.bedrock.exceptions import FOREIGN, from_exception
from gateway.bedrock.reader import CuttingReader, StreamReader, UnaryReader
from gateway.errors import UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.bedrock.clocks import Clocks
    from gateway.bedrock.exchange import Exchange

Reader: TypeAlias = StreamReader | UnaryReader | CuttingReader | AnsweringReader


class BedrockAnswer:
    """One answer with a good status; see `gateway.upstream.UpstreamAnswer`."""

    __slots__ = ("_clocks", "_exchange", "headers", "reader", "request_id")

    def __init__(self, exchange: Exchange, reader: Reader, clocks: Clocks) -> None:
        self.request_id = faults.request_id_of(exchange.headers)
        self.headers: Mapping[str, str] = exchange.headers
        self.reader = reader
        self._exchange = exchange
        self._clocks = clocks

    @property
    def at_end(self) -> bool:
        """Whether the end of the body has been seen; see `gateway.upstream.UpstreamAnswer`."""
        return self._exchange.at_end

    async def read(self) -> bytes:
        """Return the next read of the body; empty at its end, or when no more of it is wanted.

        Raises:
            UpstreamTimeout: a clock struck; the message names it.
            UpstreamProtocolError: the connection broke.
        """
        if self.reader.cut:  # the model may go on for long: leaving is what ends it, and costs the connection
            return b""
        if self.reader.finished:
            return await self._read_past_the_last_event()
        try:
            while not self._exchange.ready:
                await self._clocks.arrival(self._exchange)
            data = self._exchange.take()
        except FOREIGN as error:
            raise from_exception(error) from error
        self._clocks.answered = True
        return data

    async def forward(self, take: Callable[[bytes], bool]) -> None:
        """Let `take` have what comes until it has had enough; see `gateway.upstream.UpstreamAnswer`.

        Raises:
            UpstreamTimeout: a clock struck; the message names it.
        """
        reader = self.reader

        def taken(data: bytes) -> bool:
            return take(data) and not (reader.finished or reader.cut)

        if not (self._exchange.ready or reader.finished or reader.cut):
            await self._clocks.forward(self._exchange, taken)

    async def _read_past_the_last_event(self) -> bytes:
        try:
            return await self._clocks.tail(self._exchange.read())
        except (*FOREIGN, UpstreamProtocolError):
            return b""  # the answer is whole; only the connection and late counters are lost
