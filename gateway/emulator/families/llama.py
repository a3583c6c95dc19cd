"""Meta Llama: a prompt in the template of its generation, one `generation` back (bedrock-wire.md §4.5)."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from gateway.emulator.answer import Question, tokens
from gateway.emulator.errors import malformed
from gateway.emulator.families.native import METRICS, TEXT_REASONS, chunk, counters, metrics
from gateway.emulator.families.templates import find_last_user_text, last_words, read_headed, read_llama_2
from gateway.emulator.shapes import Base64, NonEmpty, Shape, read_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer
    from gateway.emulator.families.templates import Turn
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId

_USUAL_MAX_TOKENS: Final = 512
_MAX_GEN_LEN: Final = MappingProxyType({"2": 2048, "3": 2048, "4": 8192})
_LONGEST: Final = max(_MAX_GEN_LEN.values())
_GENERATION: Final = re.compile(r"llama(\d)")
_SEES: Final = re.compile(r"llama(?:3-2-(?:11|90)b|4)")
_IMAGE: Final = "<|image|>"
_CHARS_OF_AN_IMAGE: Final = 6400

Share = Annotated[float, Field(ge=0, le=1)]


class LlamaBody(Shape):
    """The body of Llama. There is no field to stop by."""

    prompt: NonEmpty
    max_gen_len: Annotated[int, Field(ge=1, le=_LONGEST)] = _USUAL_MAX_TOKENS
    temperature: Share | None = None
    top_p: Share | None = None
    images: list[Base64] | None = None


class Llama:
    """Speaks for Llama 2, 3 and 4, and for imported models, whose template is their owner's business."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the last user turn of the prompt asks."""
        del streamed  # the same body for both operations
        asked = read_schema(LlamaBody, body)
        named = _GENERATION.search(model.name)
        if named is None:
            said, returned = find_last_user_text(asked.prompt), ""
        else:
            _check(asked, named[1], model)
            said, returned = last_words(_turns(asked.prompt, named[1]), asked.prompt)
        return Question(
            said=said,
            returned=returned,
            input_tokens=tokens(len(asked.prompt) + _CHARS_OF_AN_IMAGE * len(asked.images or ())),
            max_tokens=asked.max_gen_len,
            speaks_reasoning=False,
        )

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield one chunk a delta, numbered; only the first counts the prompt, the last one is empty."""
        del model, body
        prompt_tokens: int | None = answer.input_tokens
        for number, text in enumerate(answer.text, start=1):
            yield chunk(_generation(text, prompt_tokens, number, None), delta=True)
            prompt_tokens = None
        last = _generation("", prompt_tokens, answer.output_tokens, TEXT_REASONS[answer.stop])
        yield chunk({**last, METRICS: metrics(answer)})

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the generation."""
        del model, body
        text = "".join(answer.text)
        return _generation(text, answer.input_tokens, answer.output_tokens, TEXT_REASONS[answer.stop])

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters."""
        return counters(answer)


def _check(asked: LlamaBody, generation: str, model: ModelId) -> None:
    longest = _MAX_GEN_LEN.get(generation, _LONGEST)
    if asked.max_gen_len > longest:
        raise malformed(f"#/max_gen_len: {asked.max_gen_len} is not less or equal to {longest}")
    images = len(asked.images or ())
    if asked.images is not None and not _SEES.search(model.name):
        raise malformed("#: extraneous key [images] is not permitted")
    if _SEES.search(model.name) and asked.prompt.count(_IMAGE) != images:
        raise malformed(f"#/prompt: {asked.prompt.count(_IMAGE)} of {_IMAGE} for {images} images")


def _turns(prompt: str, generation: str) -> list[Turn]:
    return read_llama_2(prompt) if generation == "2" else read_headed(prompt, generation)


def _generation(text: str, prompt_tokens: int | None, count: int, stop: str | None) -> dict[str, Any]:
    return {
        "generation": text,
        "prompt_token_count": prompt_tokens,
        "generation_token_count": count,
        "stop_reason": stop,
    }
