"""Mistral's text completions by InvokeModel (7B, 8x7B, Small and Large 2402): a prompt of instructions.

The template has no place for a system text, so it goes before the first instruction. Answers carry no
counters of their own: Bedrock's metrics and headers have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from gateway.codecs.output_limits import HIGHEST
from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences
from gateway.codecs.prompts import spoken_by_user_first, token_breaker, under_system
from gateway.codecs.shapes import Json, optional_text, text
from gateway.codecs.text_answers import STOPS, Said, TextFamily, TextShape, only

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest

_MAX_TOKENS: Final = HIGHEST["mistral"]
_TOP_K: Final = 200
_LARGE: Final = "mistral.mistral-large"  # has no top_k

_break_tokens = token_breaker(
    r"<(?=/?s>|unk>)", r"\[(?=(?i:/?inst)\])", r"\[(?=/?(?:AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\])"
)


def _prompt(request: CompletionRequest) -> str:
    prompt = "<s>"
    said = under_system(request.system_text, spoken_by_user_first(request, "Mistral"))
    last = len(said) - 1
    for number, (role, words) in enumerate(said):
        if role == "assistant":
            prompt += f" {_break_tokens(words)}" + ("</s> " if number < last else "")
        else:
            prompt += f"[INST] {_break_tokens(words)} [/INST]"
    return prompt


def look(answer: Json) -> Said:
    """Return what a chunk or a whole answer says."""
    output = only(answer, "outputs")
    return Said(text(output, "text"), optional_text(output, "stop_reason"))


class MistralCodec(TextFamily):
    """Mistral's text completions."""

    name: Final = "mistral"
    shape: ClassVar = TextShape(look, STOPS)

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        large = (model.base_id or "").startswith(_LARGE)
        sampled = sampling(request, model, top_k=None if large else _TOP_K)
        body: dict[str, Any] = {
            "prompt": _prompt(request),
            "max_tokens": max_tokens(request, model, _MAX_TOKENS),
        }
        if request.stop:
            body["stop"] = stop_sequences(request, "mistral")
        return invoked(body | dict(sampled), request)
