"""Mistral's text completions: a prompt of instructions, no counts in the body (bedrock-wire.md §4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from gateway.emulator.answer import Question, tokens
from gateway.emulator.errors import malformed
from gateway.emulator.families.native import METRICS, TEXT_REASONS, chunk, counters, metrics
from gateway.emulator.families.templates import last_words, read_mistral
from gateway.emulator.frames import remember_words
from gateway.emulator.shapes import NonEmpty, Shape, read_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId

_MAX_TOKENS: Final = 8192
_USUAL_MAX_TOKENS: Final = 512
_LARGE: Final = "mistral-large"

Share = Annotated[float, Field(ge=0, le=1)]


class MistralBody(Shape):
    """The body of Mistral's text completions."""

    prompt: NonEmpty
    max_tokens: Annotated[int, Field(ge=1, le=_MAX_TOKENS)] | None = None
    stop: Annotated[list[NonEmpty], Field(max_length=10)] = Field(default_factory=list)
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Field(ge=0, le=200)] | None = None


class Mistral:
    """Speaks for Mistral's older models."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the last instruction asks."""
        del streamed  # the same body for both operations
        asked = read_schema(MistralBody, body)
        large = model.name.startswith(_LARGE)
        if large and asked.top_k is not None:
            raise malformed("#: extraneous key [top_k] is not permitted")
        said, _ = last_words(read_mistral(asked.prompt), asked.prompt)
        return Question(
            said=said,
            input_tokens=tokens(len(asked.prompt)),
            max_tokens=asked.max_tokens or (_MAX_TOKENS if large else _USUAL_MAX_TOKENS),
            stop_sequences=tuple(asked.stop),
            speaks_reasoning=False,
        )

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield one chunk a delta, the last one empty."""
        del model, body
        for text in answer.text:
            yield _delta(0, text)
        yield chunk({**_outputs("", TEXT_REASONS[answer.stop]), METRICS: metrics(answer)})

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the one output."""
        del model, body
        return _outputs("".join(answer.text), TEXT_REASONS[answer.stop])

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters, the only ones there are."""
        return counters(answer)


def _outputs(text: str, stop: str | None) -> dict[str, Any]:
    return {"outputs": [{"text": text, "stop_reason": stop}]}


@remember_words
def _delta(_: int, text: str) -> Event:
    return chunk(_outputs(text, None), delta=True)
