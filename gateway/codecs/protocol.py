"""The seam between the pipeline and one model family: what a codec is.

A codec is pure. It turns a `CompletionRequest` into the JSON body of one Bedrock operation, and that
operation's answer, streamed or whole, into events. A new family is one module in this package, one row in
`CODECS` and one folder in `tests/codecs/data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event


class UsualDelta(NamedTuple):
    """What a family's usual delta looks like, byte by byte, so that it need not be parsed.

    A promise: as long as the extractor names it, a payload that is `before`, the rest of a JSON string and
    `behind` means `make(text)` if the text is not empty, nothing if it is, and changes nothing else. Payloads
    that are spelt otherwise are parsed, so a spelling that Bedrock gives up costs time and no more.
    """

    event_type: str
    before: bytes
    """With the quotation mark that opens the text."""
    behind: bytes
    """With the one that closes it; ends with the end of the payload's outermost object."""
    make: Callable[[str], Event]


class Extractor(Protocol):
    """Turns one streamed answer into events. Made per answer, not reusable, does no IO.

    Invariant: `close` returns only if the family's terminal payload was seen and everything in the answer
    was accounted for. The `Stop` is the very last event: `feed` never appends it, `close` does, because
    Bedrock may send its metrics, a guardrail's verdict or the family its usage in payloads of their own
    behind the terminal one.
    """

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of what the answer held and this family does not know (`content_block:web_fetch`, …).

        They neither break the stream nor become events; the gateway logs them. Names only, never content.
        """

    @property
    def finished(self) -> bool:
        """Whether the family's terminal payload has been seen: the model has said all it had to say.

        What may still come tells of the answer and is not part of it: counters, metrics, a verdict. A payload
        that goes on with the answer itself is an error (`feed` raises). If this is true, `close` succeeds or
        finds a fault in what was said, such as no stop reason; it never finds the answer truncated.
        """

    @property
    def usual(self) -> UsualDelta | None:
        """What most payloads that may come now look like, None if that is not known or no delta may come.

        It changes with `feed` only. Payloads of this look need not be fed.
        """

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this payload says; never a `Stop`.

        `event_type` is the frame's `:event-type`. For InvokeModel streams it is `chunk` and `payload` is
        the provider's JSON, already taken out of its base64 envelope; for Converse streams `payload` is the
        event's JSON.

        Appending, instead of returning a list, keeps the events that came before a fault in the same read.

        Raises:
            UpstreamProtocolError: the payload is not what the family speaks.
            UpstreamFailed: the payload says that the model failed.
        """

    def close(self, events: list[Event]) -> None:
        """Say that the answer is over, and append what only now is sure, the `Stop` last.

        Raises:
            UpstreamProtocolError: the family's terminal payload has not been seen: the answer is truncated.
            UpstreamFailed: the reason of the stop says that the model failed.
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

    def stop_is_native(self, model: Model) -> bool:
        """Tell whether `format` puts the stop sequences into the body for this model.

        Where it does not, the gateway looks for them in the answer itself (`stop_sequences`), and `format`
        leaves them alone: they have been checked.
        """

    def headers(self, request: CompletionRequest) -> dict[str, str]:
        """Return the request headers in which Bedrock takes what is not part of the body.

        InvokeModel takes `CompletionRequest.metadata` as `X-Amzn-Bedrock-Request-Metadata`, so the transport
        must send these with the body of `format`; Converse takes it in the body and needs none.

        Raises:
            InvalidRequest: the metadata is more than Bedrock takes.
        """

    def extractor(self) -> Extractor:
        """Return a new extractor for one streamed answer."""

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of a whole (unary) answer; `headers` has lower-case names.

        Returns the same kind of names as `Extractor.unknown`. Law: folding these events gives the same
        completion as folding the stream of the same answer (tool arguments up to JSON's white space).

        Raises:
            UpstreamProtocolError: the body is not what the family speaks.
            UpstreamFailed: the body says that the model failed.
        """
