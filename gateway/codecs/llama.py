"""Meta Llama 2, 3 and 4 by InvokeModel: a raw prompt, in the template of the model's generation.

Sources: AWS's page "Meta Llama models" for the body, Meta's prompt formats for the templates; recorded whole
answers of Llama 2, 3 and 3.1. There are no stop sequences: the gateway looks for them itself. Images of
Llama 3.2 and 4 and tools by template are not documented well enough to be sent; Converse takes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from gateway.codecs.output_limits import HIGHEST
from gateway.codecs.parameters import invoked, max_tokens, sampling
from gateway.codecs.prompts import BARRED, spoken, spoken_by_user_first, token_breaker
from gateway.codecs.shapes import Json, count, optional_text, text
from gateway.codecs.text_answers import STOPS, Said, TextFamily, TextShape

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest

_WHO: Final = "Llama"


class _Generation(NamedTuple):
    """One generation: how it wants its prompt, and the most it writes."""

    prompt: Callable[[CompletionRequest], str]
    max_tokens: int


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────

_break_instructions = token_breaker(r"<(?=/?s>)", r"<(?=<(?i:/?sys)>>)", r"\[(?=(?i:/?inst)\])")
_break_headers = token_breaker(BARRED)


def _llama_2(request: CompletionRequest) -> str:
    prompt = "<s>[INST] "
    if text := request.system_text:
        prompt += f"<<SYS>>\n{_break_instructions(text)}\n<</SYS>>\n\n"
    said = spoken_by_user_first(request, f"{_WHO} 2")
    last = len(said) - 1
    for number, (role, words) in enumerate(said):
        if role == "assistant":
            prompt += f" {_break_instructions(words)}" + (" </s>" if number < last else "")
        else:
            prompt += ("<s>[INST] " if number else "") + f"{_break_instructions(words)} [/INST]"
    return prompt


def _headed(start: str, end: str, turn_end: str) -> Callable[[CompletionRequest], str]:
    """Return what writes a prompt of turns with headers: Llama 3's, or 4's with other words for the same."""

    def prompt(request: CompletionRequest) -> str:
        turns: list[tuple[str, str]] = [("system", system)] if (system := request.system_text) else []
        turns += spoken(request, _WHO)
        written = [f"{start}{role}{end}\n\n{_break_headers(words)}" for role, words in turns]
        if turns[-1][0] == "user":
            written.append(f"{start}assistant{end}\n\n")
        return "<|begin_of_text|>" + turn_end.join(written)

    return prompt


_LLAMA_3: Final = _Generation(
    _headed("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), HIGHEST["llama"]
)
_GENERATIONS: Final = (
    ("meta.llama2", _Generation(_llama_2, HIGHEST["llama"])),
    ("meta.llama4", _Generation(_headed("<|header_start|>", "<|header_end|>", "<|eot|>"), 8192)),
)
"""By the beginning of the model's id; Llama 3 where it says nothing else, or cannot be told."""


# ── answering ─────────────────────────────────────────────────────────────────────────────────────────


def look(answer: Json) -> Said:
    """Return what a chunk or a whole answer says. The prompt is counted in the first chunk only."""
    return Said(
        text(answer, "generation"),
        optional_text(answer, "stop_reason"),
        count(answer, "prompt_token_count"),
        count(answer, "generation_token_count"),
    )


class LlamaCodec(TextFamily):
    """Meta Llama."""

    name: Final = "llama"
    shape: ClassVar = TextShape(look, STOPS)
    native_stop: ClassVar = False

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        generation = next(
            (generation for start, generation in _GENERATIONS if (model.base_id or "").startswith(start)),
            _LLAMA_3,
        )
        sampled = sampling(request, model, top_k=None)
        body: dict[str, Any] = {
            "prompt": generation.prompt(request),
            "max_gen_len": max_tokens(request, model, generation.max_tokens),
        }
        return invoked(body | dict(sampled), request)
