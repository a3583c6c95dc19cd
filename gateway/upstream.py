"""The seam between the pipeline and what stands behind it: Bedrock in production, anything in a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractAsyncContextManager

    from gateway.catalog.directory import ListedModel
    from gateway.catalog.model import Family, Model
    from gateway.domain import CompletionRequest, Embedded, EmbeddingRequest, Event


class Framing(Protocol):
    """How the payloads of a stream that is passed on become the caller's bytes."""

    @property
    def known(self) -> Mapping[bytes, bytes]:
        """Payloads of chunks that need no look, and the bytes for each."""

    @property
    def usual(self) -> tuple[bytes, bytes]:
        """What stands before and behind each usual delta."""

    def payload(self, event_type: str, payload: bytes) -> bytes:
        """Return the bytes for any other payload, checked and out of its envelope; maybe none."""


class Relay(NamedTuple):
    """That an answer is passed on in its own words, and what is needed to check it on its way.

    Its reader gives `PassedOn`, `Usage` and one `Stop`. `family` says whose words they are; None where that
    cannot be told: then it is whole when Bedrock has told its counters.
    """

    operation: str
    """The last part of the operation's path."""
    family: Family | None
    framing: Framing | None = None
    """None: the frames of an event stream are passed on as they are. Unary answers have no framing."""
    path: str | None = None
    """Of an operation that is none of a model's."""


class RelayRequest(NamedTuple):
    """What a caller asks in Bedrock's own words: checked JSON for one operation, and headers."""

    model: str
    operation: RelayedOperation
    body: bytes
    headers: dict[str, str]
    framing: Framing | None = None


RelayedOperation: TypeAlias = Literal[
    "invoke", "invoke-with-response-stream", "converse", "converse-stream", "count-tokens"
]


GENERATE_NOTHING: Final = frozenset({"count-tokens", "apply"})
"""Operations on a prompt that no model answers."""


class UpstreamCall(NamedTuple):
    """One Bedrock call, ready to send: pure data."""

    model: Model
    body: bytes
    headers: dict[str, str]
    stop: tuple[str, ...] = ()
    """Stop sequences that the model does not take: they are to be looked for in its answer."""
    target: str = "default"
    """Where it is to be sent: the name of a target, of which the operator may configure several."""
    fallback: bool = False
    """Whether it asks another model than the caller did, for when that one cannot be had."""
    relay: Relay | None = None
    """None: the answer is translated into events."""
    answer_tool: str = ""
    """The name of the tool whose arguments are the text of the answer; empty where there is none."""
    caller: str = ""
    """Whose session signs it, where callers have their own; else empty."""

    @property
    def lane(self) -> str:
        """What its throttling quota belongs to: Bedrock counts by account, region and model."""
        return f"{self.target}/{self.model.id}"

    @property
    def generates(self) -> bool:
        """Whether it takes tokens of a quota, and has a price by the token."""
        return self.relay is None or self.relay.operation not in GENERATE_NOTHING


@dataclass(frozen=True, slots=True)
class EmbeddingCall:
    """One call for the vectors of `count` inputs, ready to send."""

    model: Model
    body: bytes
    count: int
    target: str = "default"
    fallback: bool = False
    """Never true: the vectors of two models do not compare."""
    elsewhere: tuple[EmbeddingCall, ...] = ()
    """The same call to other targets, the best first."""
    caller: str = ""
    """As `UpstreamCall.caller`."""

    @property
    def lane(self) -> str:
        """As `UpstreamCall.lane`."""
        return f"{self.target}/{self.model.id}"

    @property
    def generates(self) -> bool:
        """As `UpstreamCall.generates`."""
        return True


class AnswerReader(Protocol):
    """Pure: the bytes of one answer in, events out."""

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of things upstream sent that we do not know; they are logged, never lost in silence."""

    def feed(self, data: bytes, events: list[Event]) -> None:
        """Append the events in `data`; those before a fault are appended before it raises."""

    def close(self, events: list[Event]) -> None:
        """Take the end of the body; raises `UpstreamProtocolError` if the answer is not whole."""


class UpstreamAnswer(Protocol):
    """One answer whose headers have arrived with a good status."""

    @property
    def request_id(self) -> str | None:
        """The AWS request id."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer; names are lower-case."""

    @property
    def reader(self) -> AnswerReader:
        """The reader for this answer's bytes."""

    @property
    def at_end(self) -> bool:
        """Whether all of the body has been read already, as far as can be told without waiting."""

    async def read(self) -> bytes:
        """Return what the next network read brought; empty at the end of the body."""

    async def forward(self, take: Callable[[bytes], bool]) -> None:
        """Give `take` what network reads bring, each at once where it comes in, with no task's turn between.

        Returns when `take` wants no more, and at any other time: `read` knows what comes next, faults too,
        and what the end comes with: `take` is never given the last of an answer. It never raises.
        """


class CallMaker(Protocol):
    """Makes the calls for what is asked, of what may be asked; all of it is pure."""

    def format(self, request: CompletionRequest) -> Sequence[UpstreamCall]:
        """Make the calls that may answer this request, the best first, at least one.

        Pure, so it fails before it costs a slot. The others are for when the first cannot be had.
        """

    def relay(self, request: RelayRequest) -> Sequence[UpstreamCall]:
        """Make the calls that may answer a request in Bedrock's own words, as `format` does; pure."""

    def relay_guardrail(self, identifier: str, version: str, body: bytes) -> Sequence[UpstreamCall]:
        """Make the calls that apply a guardrail to a text, one for each target; pure."""

    def asked(self, name: str) -> Model:
        """Return the model that is asked first for a name; pure, and raises as `format` does."""

    def may_ask(self, model: ListedModel) -> bool:
        """Whether a model of the list may be asked."""

    def count(self, name: str) -> Sequence[UpstreamCall]:
        """Make the calls that count the tokens of a prompt for a model; their body is still to be made."""

    def count_body(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the body that counts what this request would ask Converse; pure, raises as `format` does."""

    def format_embeddings(self, request: EmbeddingRequest) -> list[EmbeddingCall]:
        """Make the calls for this request, at least one, in the order of its inputs; pure."""


class Upstream(CallMaker, Protocol):
    """What stands behind the pipeline: Bedrock."""

    async def embed(self, call: EmbeddingCall) -> Embedded:
        """Send the call and return its vectors."""

    def invoke_stream(self, call: UpstreamCall) -> AbstractAsyncContextManager[UpstreamAnswer]:
        """Send the call; inside the block the answer may be read, after it the connection is given back."""
