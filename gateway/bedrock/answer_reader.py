"""Reading answers that a model gives as the arguments of a tool: see `gateway.codecs.structured`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.codecs.structured import AnswerFilter
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from gateway.bedrock.reader import StreamReader, UnaryReader
    from gateway.domain import Event


class AnsweringReader:
    """Reads as another reader does, and makes the arguments of one tool the answer's text."""

    cut: Final = False

    def __init__(self, reader: StreamReader | UnaryReader, tool: str) -> None:
        self._reader = reader
        self._filter = AnswerFilter(tool)

    @property
    def unknown(self) -> AbstractSet[str]:
        """What upstream sent that we do not know, or that is no part of the answer."""
        return self._reader.unknown | self._filter.unknown

    @property
    def finished(self) -> bool:
        """As the other reader says."""
        return self._reader.finished

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Append the events in `data`; raises as the other reader does, after what came before the fault."""
        heard: list[Event] = []
        try:
            self._reader.feed(data, heard)
        except GatewayError:
            self._filter.feed(heard, events)
            self._filter.flush(events)
            raise
        self._filter.feed(heard, events)

    def close(self, events: list[Event]) -> None:
        """Take the end of the body, and append how the answer ended; raises as the other reader does."""
        heard: list[Event] = []
        try:
            self._reader.close(heard)
        except GatewayError:
            self._filter.feed(heard, events)
            self._filter.flush(events)
            raise
        self._filter.feed(heard, events)
