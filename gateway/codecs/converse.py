"""Converse and ConverseStream: one shape for every model that has no codec of its own, or none chosen."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.block_events import BlockEvents, read_answer
from gateway.codecs.blocks import (
    WRITERS,
    conversation,
    inference_config,
    system_blocks,
    tool_config,
)
from gateway.codecs.converse_features import add_features, is_more_than_plain
from gateway.codecs.invocation import Envelope
from gateway.codecs.parameters import check_metadata, encode, sampling
from gateway.codecs.shapes import load
from gateway.domain import FinishReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event

STOP_REASONS = MappingProxyType(
    {
        "end_turn": FinishReason.STOP,
        "stop_sequence": FinishReason.STOP,
        "tool_use": FinishReason.TOOL_CALLS,
        "max_tokens": FinishReason.LENGTH,
        "model_context_window_exceeded": FinishReason.LENGTH,
        "guardrail_intervened": FinishReason.CONTENT_FILTER,
        "content_filtered": FinishReason.CONTENT_FILTER,
        "refusal": FinishReason.REFUSAL,  # Claude's word; Converse passes on words that its model lacks
    }
)

_TOP_K: tuple[tuple[str, int, Callable[[int], dict[str, Any]]], ...] = (
    ("anthropic.claude-", 500, lambda k: {"top_k": k}),
    ("amazon.nova-", 128, lambda k: {"inferenceConfig": {"topK": k}}),
    ("mistral.", 200, lambda k: {"top_k": k}),
    ("cohere.command-", 500, lambda k: {"k": k}),
)
"""Converse has no field for it: (id, highest, the family's own `additionalModelRequestFields`)."""


class ConverseExtractor(BlockEvents):
    """Reads one ConverseStream answer; `metadata` is its terminal event."""

    __slots__ = ("unknown",)

    def __init__(self) -> None:
        envelope = Envelope()
        super().__init__(envelope, STOP_REASONS)
        self.unknown: AbstractSet[str] = envelope.unknown
        """Names of what this answer held and Converse is not known to say."""

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this event says."""
        self.event(event_type, load(payload), events)


class ConverseCodec:
    """The Converse operations, for any model."""

    name: Final = "converse"

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the Converse body; what it has no field for goes where the family looks for it."""
        messages = conversation(request, WRITERS)
        top_k = _top_k(model.base_id or "")
        sampled = sampling(request, model, top_k=top_k[0] if top_k else None)
        check_metadata(request)
        extra = top_k[1](request.top_k) if top_k and request.top_k is not None else {}
        optional: dict[str, Any] = {
            "system": system_blocks(request, WRITERS) if request.system else None,
            "inferenceConfig": inference_config(request, model, sampled, "converse"),
            "toolConfig": tool_config(request),
            "additionalModelRequestFields": extra,
            "requestMetadata": request.metadata,
        }
        if is_more_than_plain(request):
            add_features(request, model, optional)
        return encode({"messages": messages} | {name: value for name, value in optional.items() if value})

    def stop_is_native(self, model: Model) -> bool:  # noqa: ARG002 - the seam's signature
        """Return true: the body takes them."""
        return True

    def headers(self, request: CompletionRequest) -> dict[str, str]:  # noqa: ARG002 - the seam's signature
        """Return no headers: Converse takes everything in the body."""
        return {}

    def extractor(self) -> ConverseExtractor:
        """Return a new extractor."""
        return ConverseExtractor()

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of a Converse answer."""
        envelope = Envelope()
        read_answer(load(body), headers, envelope, STOP_REASONS, events)
        return envelope.unknown


@lru_cache(maxsize=256)
def _top_k(base: str) -> tuple[int, Callable[[int], dict[str, Any]]] | None:
    return next(((highest, shape) for prefix, highest, shape in _TOP_K if base.startswith(prefix)), None)
