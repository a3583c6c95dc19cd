"""What Bedrock itself adds to InvokeModel's requests and answers, whichever family answers.

On answers these are the `amazon-bedrock-*` keys and the token headers. Counters have an order of precedence:
the provider's own usage, then `amazon-bedrock-invocationMetrics`, then the headers; they can disagree (a
recorded Claude 3.5 answer says 134 tokens of output by itself and 90 by the metrics), and the weaker source
only fills what the stronger never gave. The guardrail's trace stays here: its `modelOutput` is the text
before masking.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from gateway.codecs.parameters import check_metadata
from gateway.codecs.shapes import Json, load, malformed, optional_record, optional_text, usage
from gateway.domain import UNTOLD, FinishReason, Stop, Usage
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event

OURS = "amazon-bedrock-"
_PREFIX: Final = len(OURS)
_METRICS = "amazon-bedrock-invocationMetrics"
_GUARDRAIL = "amazon-bedrock-guardrailAction"
_INTERVENED = "INTERVENED"
_COUNTERS: Final = (
    "inputTokenCount",
    "outputTokenCount",
    "cacheReadInputTokenCount",
    "cacheWriteInputTokenCount",
)

_HEADER: Final = "X-Amzn-Bedrock-"
METADATA_HEADER: Final = f"{_HEADER}Request-Metadata"
_METADATA_LIMIT = 8500  # characters of JSON, from the service model

_DIGITS = 15
_TOKEN_HEADERS = {
    "input_tokens": "x-amzn-bedrock-input-token-count",
    "output_tokens": "x-amzn-bedrock-output-token-count",
    "cache_read_tokens": "x-amzn-bedrock-cache-read-input-token-count",
    "cache_write_tokens": "x-amzn-bedrock-cache-write-input-token-count",
}


def request_headers(request: CompletionRequest) -> dict[str, str]:
    """Return the headers in which InvokeModel takes what Converse has fields for (bedrock-wire.md §2.3).

    Raises:
        InvalidRequest: more, longer or other metadata than Bedrock takes.
    """
    guardrail, tier, latency = request.guardrail, request.service_tier, request.latency
    headers: dict[str, str] = {}
    if guardrail is not None:
        headers[f"{_HEADER}GuardrailIdentifier"] = guardrail.identifier
        headers[f"{_HEADER}GuardrailVersion"] = guardrail.version
    if latency is not None:
        headers[f"{_HEADER}PerformanceConfig-Latency"] = latency
    if tier is not None:
        headers[f"{_HEADER}Service-Tier"] = tier
    if request.metadata:
        headers[METADATA_HEADER] = _metadata(request)
    return headers


def _metadata(request: CompletionRequest) -> str:
    check_metadata(request)
    value = json.dumps(dict(request.metadata), separators=(",", ":"))  # ASCII only, as headers want it
    if len(value) > _METADATA_LIMIT:
        raise InvalidRequest(
            f"metadata is longer than {_METADATA_LIMIT} characters when written as JSON.", param="metadata"
        )
    return value


class InvokedFamily:
    """What the codecs of InvokeModel have in common."""

    def stop_is_native(self, model: Model) -> bool:  # noqa: ARG002 - the seam's signature
        """Return true: the body takes stop sequences, unless a family says otherwise."""
        return True

    def headers(self, request: CompletionRequest) -> dict[str, str]:
        """Return guardrail, tier, latency and metadata as Bedrock's headers."""
        return request_headers(request)


class Envelope:
    """Bedrock's additions to one answer, chunk by chunk or whole.

    `intervened`: a guardrail blocked or masked something. `unknown` is the answer's set of unknown names.
    """

    __slots__ = ("_given", "intervened", "unknown")

    def __init__(self) -> None:
        self.unknown: set[str] = set()
        self.intervened = False
        self._given = UNTOLD

    def open(self, event_type: str, payload: bytes, events: list[Event]) -> Json | None:
        """Return the provider's JSON in a chunk; None if the chunk has nothing of the provider's."""
        if event_type != "chunk":
            self.unknown.add(f"event:{event_type}")
            return None
        if not payload:  # a chunk without bytes has been seen by SDKs; there is nothing in it to lose
            self.unknown.add("chunk:empty")
            return None
        chunk = load(payload)
        return self.look(chunk, events) if _METRICS in chunk or _GUARDRAIL in chunk else chunk

    def look(self, answer: Json, events: list[Event]) -> Json | None:
        """Take what Bedrock added; return `answer` unless it has nothing but that."""
        if _GUARDRAIL in answer and optional_text(answer, _GUARDRAIL) == _INTERVENED:
            self.intervened = True
        if _METRICS not in answer:
            return None if _GUARDRAIL in answer and _only_ours(answer) else answer
        metrics = optional_record(answer, _METRICS)
        if metrics is not None:
            self._fill(usage(metrics, _COUNTERS), events)
        return None if _only_ours(answer) else answer

    def count(self, counted: Usage, events: list[Event]) -> None:
        """Take the provider's own counters."""
        if counted != UNTOLD:
            self._given = self._given.merge(counted)
            events.append(counted)

    def fill_from_headers(self, headers: Mapping[str, str], events: list[Event]) -> None:
        """Take the token headers of a unary answer; a header that is not a number is reported as unknown."""
        found: dict[str, int] = {}
        for counter, name in _TOKEN_HEADERS.items():
            value = headers.get(name)
            if value is not None and value.isascii() and value.isdecimal() and len(value) <= _DIGITS:
                found[counter] = int(value)
            elif value is not None:
                self.unknown.add(f"header:{name}")
        self._fill(Usage(**found), events)

    def stop(self, reason: FinishReason, raw: str) -> Stop:
        """Return how the answer ended: a guardrail's verdict counts more than the model's reason.

        `INTERVENED` covers masking as well as blocking; Converse too says `guardrail_intervened` for both.
        The model's own word stays as the raw reason, where it gave one: a masked answer may have been cut.
        """
        if self.intervened:
            return Stop(FinishReason.CONTENT_FILTER, raw or _INTERVENED)
        return Stop(reason, raw)

    def _fill(self, weaker: Usage, events: list[Event]) -> None:
        """Append of `weaker` only the counters that no stronger source gave."""
        given = self._given
        for theirs, mine in zip(weaker, given, strict=True):
            if mine is None and theirs is not None:
                break
        else:
            return  # as ever: both sources say the same
        told = zip(weaker, given, strict=True)
        events.append(Usage(*[theirs if mine is None else None for theirs, mine in told]))
        self._given = weaker.merge(given)


def _only_ours(answer: Json) -> bool:
    for key in answer:  # noqa: SIM110 - a generator costs more than all it would look at
        if key[:_PREFIX] != OURS:
            return False
    return True


class ChunkExtractor(ABC):
    """The frame of a family's extractor: chunk by chunk, until one gives the raw reason of the stop."""

    __slots__ = ("_envelope", "_raw")

    usual: Final = None

    def __init__(self) -> None:
        self._envelope = Envelope()
        self._raw: str | None = None

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of what this answer held and its family is not known to say."""
        return self._envelope.unknown

    @property
    def finished(self) -> bool:
        """Whether the terminal chunk has been seen."""
        return self._raw is not None

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this chunk says."""
        chunk = self._envelope.open(event_type, payload, events)
        if chunk is None:
            return
        if self._raw is not None:
            raise malformed("a chunk after the terminal one")
        self._read(chunk, events)

    @abstractmethod
    def _read(self, chunk: Json, events: list[Event]) -> None:
        """Append what the chunk says; set `_raw` if it is the terminal one."""
