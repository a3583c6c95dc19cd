"""What is heard of an answer that is passed on: its counters, about how much it says, and how it ended."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import orjson

from gateway.codecs import CODECS
from gateway.codecs.guardrail_trace import redacted
from gateway.codecs.invocation import Envelope
from gateway.domain import FinishReason, PassedOn, ReasoningDelta, Stop, TextDelta, ToolCallDelta, Usage
from gateway.errors import UpstreamFailed, UpstreamProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Family
    from gateway.codecs.protocol import Extractor
    from gateway.domain import Event
    from gateway.upstream import Relay

METRICS: Final = b'"amazon-bedrock-invocationMetrics"'
WELL_KNOWN: Final[frozenset[Family]] = frozenset({"claude", "nova", "converse"})
"""Families that say one answer in one way. The bodies of others may ask for what is never asked in
translating, such as several answers at once: what is strange there is no proof of a fault."""
WHOLE: Final[frozenset[Family]] = frozenset({"claude", "converse"})
"""Those whose unary answers are all alike, too. What is called Nova and newer than the catalogue may give
images or vectors."""
MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
"""Reasons of a stop which fail a translation. Here they are the caller's to read, as Bedrock says them."""

JUDGED: Final = frozenset({"", "application/json", "text/html"})
"""Types of an answer that is JSON, or broken, or a page of whoever stands between."""


def extractor_for(family: Family | None) -> Extractor:
    """Return what judges a stream in the words of this family."""
    extractor = CODECS[family].extractor() if family is not None else None
    if extractor is not None and family in WELL_KNOWN:
        return extractor
    return MeteredExtractor(extractor)


class MeteredExtractor:
    """Judges a stream by what Bedrock adds to it: it is whole when its counters have come.

    As far as the words are those of `extractor`, that one's judgement counts.
    """

    usual: Final = None

    def __init__(self, extractor: Extractor | None) -> None:
        self._extractor = extractor
        self._envelope = Envelope()
        self._metered = False
        self.unknown: AbstractSet[str] = self._envelope.unknown if extractor is None else extractor.unknown
        """Names of what this answer held and nobody here is known to say."""

    @property
    def finished(self) -> bool:
        """Whether the end has been seen, by either sign."""
        return self._metered if self._extractor is None else self._extractor.finished

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append the counters in this chunk, or what the extractor says."""
        self._metered = self._metered or METRICS in payload
        if self._extractor is not None:
            heard: list[Event] = []
            try:
                self._extractor.feed(event_type, payload, heard)
            except UpstreamProtocolError:
                self._give_up()
            else:
                events += heard
                return
        with suppress(UpstreamProtocolError):  # such as Writer's last chunk, a string (§1.1)
            self._envelope.open(event_type, payload, events)

    def close(self, events: list[Event]) -> None:
        """Append the stop, or raise `UpstreamProtocolError` if no sign of an end has been seen."""
        if self._extractor is not None:
            heard: list[Event] = []
            try:
                self._extractor.close(heard)
            except UpstreamProtocolError:
                if not self._metered:
                    raise
                self._give_up()
            else:
                events += heard
                return
        if not self._metered:
            raise UpstreamProtocolError("the answer is truncated: it ended before Bedrock's counters")
        events.append(self._envelope.stop(FinishReason.STOP, ""))

    def _give_up(self) -> None:
        self._extractor = None
        self.unknown = {*self.unknown, "payload"}


class RelayedAnswer:
    """Reads a whole answer, as a codec does, and passes its body on."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the body, the counters and the stop.

        That the body is not what its family speaks is no fault where families have more than one way to
        speak: it is JSON, so it is whole, and its caller's to read.

        Raises:
            UpstreamFailed: it says that the model failed.
            UpstreamProtocolError: it is not whole, or not what a family says that has one way.
        """
        family, envelope = self._relay.family, Envelope()
        heard: list[Event] = []
        unknown: AbstractSet[str] = frozenset()
        try:
            if family is not None:
                unknown = CODECS[family].read(body, headers, heard)
            else:
                self._check_whole(body, headers)
        except UpstreamProtocolError:
            if family is None or family in WHOLE:
                raise
            self._check_whole(body, headers)
            heard, unknown = [], {"payload"}
        except UpstreamFailed as verdict:
            heard.append(stop_of(verdict))
        if not (heard and type(heard[-1]) is Stop):
            envelope.fill_from_headers(headers, heard)
            heard = [_of_input(event) if type(event) is Usage else event for event in heard]
            heard.append(Stop(FinishReason.STOP, ""))
        kept: list[Event] = []
        characters = keep(heard, kept)
        events.append(PassedOn(redacted(body), characters))
        events += kept
        return unknown

    def _check_whole(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Raise `UpstreamProtocolError` for a body that ends before its JSON does, or is none of Bedrock's.

        Another type than JSON is for whoever asked a model for it by `Accept`: an image, for one.
        """
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._relay.operation == "invoke" and kind not in JUDGED:
            return
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise UpstreamProtocolError(
                "Bedrock sent an answer that is not JSON.", detail=str(error)
            ) from None


def keep(heard: list[Event], events: list[Event]) -> int:
    """Append the counters and the stop; return how many characters the rest says."""
    characters = 0
    for event in heard:
        kind = type(event)
        if kind is Usage or kind is Stop:
            events.append(event)
        elif type(event) is TextDelta:
            characters += len(event.text)
        elif type(event) is ToolCallDelta:
            characters += len(event.arguments)
        elif type(event) is ReasoningDelta:
            characters += len(event.text or "")
    return characters


def _of_input(told: Usage) -> Usage:
    """Where only input is counted, as of embeddings, there was no output."""
    return told if told.output_tokens is not None else told._replace(output_tokens=0)


def stop_of(verdict: UpstreamFailed) -> Stop:
    """Return the stop that a verdict is to the caller; raises it where it is none of a stop's reasons."""
    if verdict.upstream_code not in MALFORMED:
        raise verdict
    return Stop(FinishReason.STOP, verdict.upstream_code)
