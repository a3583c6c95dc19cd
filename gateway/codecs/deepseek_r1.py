"""DeepSeek R1 by InvokeModel: a raw prompt, and one text that holds the reasoning and the answer.

The prompt opens the reasoning (`<think>`), so the text begins as reasoning, which `</think>` ends; where it
never comes, all of it is reasoning. Stop sequences are Bedrock's, so they end the reasoning as well as the
answer. R1 was trained without a system text: it goes before the first question, as its makers advise. They
also refuse earlier reasoning in a conversation, and so does this codec. Answers carry no counters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from gateway.codecs.output_limits import HIGHEST
from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences
from gateway.codecs.prompts import BARRED, spoken_by_user_first, token_breaker, under_system
from gateway.codecs.shapes import Json, optional_text, text
from gateway.codecs.text_answers import STOPS, Said, TextFamily, TextShape, only
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest

_WHO: Final = "DeepSeek R1"
_MAX_TOKENS: Final = HIGHEST["deepseek_r1"]
_TAGS: Final = ("<think>", "</think>")

_break_tokens = token_breaker(BARRED, r"<(?=/?think>)")


def _prompt(request: CompletionRequest) -> str:
    said = spoken_by_user_first(request, _WHO)
    if said[-1][0] != "user":
        raise InvalidRequest(
            f"{_WHO} cannot go on with an answer: it begins with its reasoning. The last message must be the "
            "user's.",
            param=f"messages[{len(request.messages) - 1}].role",
        )
    prompt = "<｜begin▁of▁sentence｜>"
    for role, words in under_system(request.system_text, said):
        if role == "user":
            prompt += f"<｜User｜>{_break_tokens(words)}"
        else:
            prompt += f"<｜Assistant｜>{_break_tokens(words)}<｜end▁of▁sentence｜>"
    return f"{prompt}<｜Assistant｜>{_TAGS[0]}\n"


def look(answer: Json) -> Said:
    """Return what a chunk or a whole answer says."""
    choice = only(answer, "choices")
    return Said(text(choice, "text"), optional_text(choice, "stop_reason"))


class DeepSeekR1Codec(TextFamily):
    """DeepSeek R1."""

    name: Final = "deepseek_r1"
    shape: ClassVar = TextShape(look, STOPS, _TAGS)

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        sampled = sampling(request, model, top_k=None)
        body: dict[str, Any] = {
            "prompt": _prompt(request),
            "max_tokens": max_tokens(request, model, _MAX_TOKENS),
        }
        if request.stop:
            body["stop"] = stop_sequences(request, "deepseek_r1")
        return invoked(body | dict(sampled), request)
