"""Claude 2 and Claude Instant by InvokeModel's first body: text completions (bedrock-wire.md §4.2).

The label of the human's next turn ends the assistant's: it is always sent as a stop sequence, before the
caller's. The answer begins with the space behind `Assistant:`; it stays. Answers carry no counters of their
own.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences
from gateway.codecs.prompts import label_quoter, spoken_by_user_first
from gateway.codecs.shapes import Json, optional_text, text
from gateway.codecs.text_answers import Said, TextFamily, TextShape
from gateway.domain import FinishReason

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest

STOP_REASONS: Final = MappingProxyType(
    {"stop_sequence": FinishReason.STOP, "max_tokens": FinishReason.LENGTH}
)

_TOP_K: Final = 500
_HUMAN: Final = "\n\nHuman:"
_ASSISTANT: Final = "\n\nAssistant:"
_LABELS: Final = {"user": _HUMAN, "assistant": _ASSISTANT}

_quote_labels = label_quoter("human", "assistant")


def _prompt(request: CompletionRequest) -> str:
    prompt = _quote_labels(system) if (system := request.system_text) else ""
    said = spoken_by_user_first(request, "Claude's text completion")
    for role, words in said:
        prompt += f"{_LABELS[role]} {_quote_labels(words)}"
    return prompt + (_ASSISTANT if said[-1][0] == "user" else "")


def look(answer: Json) -> Said:
    """Return what a chunk or a whole answer says."""
    return Said(text(answer, "completion"), optional_text(answer, "stop_reason"))


class ClaudeTextCodec(TextFamily):
    """Claude's text completions."""

    name: Final = "claude_text"
    shape: ClassVar = TextShape(look, STOP_REASONS)

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        sampled = sampling(request, model, top_k=_TOP_K)
        body: dict[str, Any] = {
            "prompt": _prompt(request),
            "max_tokens_to_sample": max_tokens(request, model),
            "stop_sequences": [_HUMAN, *stop_sequences(request, "claude")],
        }
        return invoked(body | dict(sampled), request)
