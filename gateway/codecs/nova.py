"""Amazon Nova by InvokeModel: Converse's blocks in a body of its own, its events wrapped by name.

Nova 1 writes `<thinking>…</thinking>` into its text where tools are present: that is its text, and stays.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.block_events import BlockEvents, read_answer
from gateway.codecs.blocks import NOVA_WRITERS, conversation, inference_config, system_blocks, tool_config
from gateway.codecs.invocation import OURS, Envelope, InvokedFamily
from gateway.codecs.parameters import invoked, sampling
from gateway.codecs.reasoning import kind_of, nova_config
from gateway.codecs.shapes import load
from gateway.domain import FinishReason

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Event

STOP_REASONS = MappingProxyType(
    {
        "end_turn": FinishReason.STOP,
        "stop_sequence": FinishReason.STOP,
        "tool_use": FinishReason.TOOL_CALLS,
        "max_tokens": FinishReason.LENGTH,
        "guardrail_intervened": FinishReason.CONTENT_FILTER,
        "content_filtered": FinishReason.CONTENT_FILTER,
    }
)
_TOP_K = 128


class NovaExtractor:
    """Reads one streamed Nova answer; `metadata` is its terminal event."""

    __slots__ = ("_blocks", "_envelope")

    usual: Final = None

    def __init__(self) -> None:
        self._envelope = Envelope()
        self._blocks = BlockEvents(self._envelope, STOP_REASONS)

    @property
    def unknown(self) -> AbstractSet[str]:
        """Names of what this answer held and Nova is not known to say."""
        return self._envelope.unknown

    @property
    def finished(self) -> bool:
        """Whether `metadata` has been seen."""
        return self._blocks.finished

    def feed(self, event_type: str, payload: bytes, events: list[Event]) -> None:
        """Append to `events` what this chunk says."""
        chunk = self._envelope.open(event_type, payload, events)
        if chunk is None:
            return
        for name, body in chunk.items():
            if not name.startswith(OURS):
                self._blocks.event(name, body, events)

    def close(self, events: list[Event]) -> None:
        """Append the stop, or raise `UpstreamProtocolError` if the answer is not whole."""
        self._blocks.close(events)


class NovaCodec(InvokedFamily):
    """Amazon Nova's understanding models."""

    name: Final = "nova"

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        sampled = sampling(request, model, top_k=_TOP_K)
        config = inference_config(request, model, sampled, "nova")
        if request.top_k is not None:
            config["topK"] = request.top_k
        body: dict[str, Any] = {
            "schemaVersion": "messages-v1",
            "messages": conversation(request, NOVA_WRITERS),
            "inferenceConfig": config,
        }
        if request.system:
            body["system"] = system_blocks(request, NOVA_WRITERS)
        tools = tool_config(request)
        if tools:
            body["toolConfig"] = tools
        if request.reasoning is not None and kind_of(model) == "nova":  # Nova 1 refuses to be told not to
            body["reasoningConfig"] = nova_config(request)
        return invoked(body, request)

    def extractor(self) -> NovaExtractor:
        """Return a new extractor."""
        return NovaExtractor()

    def read(self, body: bytes, headers: Mapping[str, str], events: list[Event]) -> AbstractSet[str]:
        """Append the events of an InvokeModel answer."""
        envelope = Envelope()
        answer = load(body)
        envelope.look(answer, events)
        read_answer(answer, headers, envelope, STOP_REASONS, events)
        return envelope.unknown
