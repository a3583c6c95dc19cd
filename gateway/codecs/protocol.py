"""The seam between the pipeline and one model family: what a codec is.

A codec is pure. It turns a `CompletionRequest` into the JSON body of one Bedrock operation, and that
operation's answer, streamed or whole, into events. A new family is one module in this package, one row in
`CODECS` and one folder in `tests/codecs/data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event


class Extractor(Protocol):
    """Turns one streamed answer into events. Made per answer, not reusable, does no IO.

    Invariant: `close` returns only if the family's terminal event was seen and everything in the answer
    was accounted for.
    """

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this payload says.

        `event_type` is the frame's `:event-type`. For InvokeModel streams it is `chunk` and `payload` is
        the provider's JSON, already taken out of its base64 envelope; for Converse streams `payload` is the
        event's JSON.

        Appending, instead of returning a list, keeps the events that came before a fault in the same read.

        Raises:
            UpstreamProtocolError: the payload is not what the family speaks.
            UpstreamFailed: the payload says that the model failed.
        """

    def close(self) -> None:
        """Say that the answer is over.

        Raises:
            UpstreamProtocolError: the family's terminal event has not been seen: the answer is truncated.
        """


class Codec(Protocol):
    """One model family's dialect of one Bedrock operation."""

    @property
    def name(self) -> str:
        """The family's name, as in the catalogue and the file's name."""

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the JSON body for `request`. Every parameter is applied or refused.

        Raises:
            InvalidRequest: the family cannot do what is asked; `param` names the field.
        """

    def extractor(self) -> Extractor:
        """Return a new extractor for one streamed answer."""

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> None:
        """Append the events of a whole (unary) answer; `headers` has lower-case names.

        Law: folding these events gives the same completion as folding the stream of the same answer.

        Raises:
            UpstreamProtocolError: the body is not what the family speaks.
        """
