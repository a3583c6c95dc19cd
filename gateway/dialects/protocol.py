"""The seam between a way of serving an answer and one API's shape of it: what a dialect is.

A dialect is sans-IO. It parses a JSON body into a request, encodes a stream's events into the bytes of its
own records, renders the folded answer, and shapes errors. A new one is some modules of this package, one
handler in `gateway/server` and a row in its route table.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.domain import Event, Stop, Usage
    from gateway.errors import GatewayError


class Begun(NamedTuple):
    """An answer that has begun. `model` is the id in Bedrock's URL, `provider` its maker.

    `headers` are those of Bedrock's answer; their names are lower-case.
    """

    id: str
    model: str
    provider: str
    upstream_request_id: str | None
    headers: Mapping[str, str] = MappingProxyType({})


class Ended(NamedTuple):
    """An answer that is whole. `cost_usd` is None where it cannot be known.

    `timing` tells where the time went until now, in milliseconds; few dialects ask.
    """

    stop: Stop
    usage: Usage
    timing: Callable[[], Mapping[str, float | None]]
    cost_usd: float | None


class ErrorAnswer(NamedTuple):
    """An error as an HTTP answer: its JSON body, and headers that only this dialect has."""

    status: int
    value: Any
    headers: Mapping[str, str]


ErrorShape: TypeAlias = "Callable[[GatewayError, str], ErrorAnswer]"
"""Makes the answer for a failure that came before the first byte; the text is the request's id."""


class StreamEncoder(Protocol):
    """Turns one answer into the bytes of its stream. Made for each stream where it keeps a state.

    The calls come in this order: `start`, `events` for each batch, and then exactly one of `done` and
    `error`; where an answer fails behind a heartbeat, `error` may come first.
    """

    @property
    def content_type(self) -> str:
        """The media type of the stream."""

    @property
    def heartbeat(self) -> bytes:
        """What breaks a silence at any place between two records; empty where there is no room for it."""

    def start(self, begun: Begun) -> bytes:
        """Return what stands before the first event."""

    def events(self, batch: list[Event]) -> bytes:
        """Return the bytes of what one network read brought; `Usage` and `Stop` may be left to `done`."""

    def done(self, ended: Ended) -> bytes:
        """Return the end of an answer that is whole."""

    def error(self, fault: GatewayError, usage: Usage, *, request_id: str) -> bytes | None:
        """Return the end of an answer that failed, with the usage known so far.

        None: this dialect cannot say so, and the transfer is to break instead.
        """
