"""DeepSeek R1: a prompt in its template, thoughts and answer in one text (bedrock-wire.md §4.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from gateway.emulator.answer import Question, tokens
from gateway.emulator.families.native import METRICS, TEXT_REASONS, chunk, counters, metrics
from gateway.emulator.families.templates import last_words, read_r1
from gateway.emulator.frames import remember_words
from gateway.emulator.shapes import NonEmpty, Shape, read_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId

_MAX_TOKENS: Final = 32_768
_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"

Share = Annotated[float, Field(ge=0, le=1)]


class DeepSeekBody(Shape):
    """The body of R1."""

    prompt: NonEmpty
    max_tokens: Annotated[int, Field(ge=1, le=_MAX_TOKENS)] = _MAX_TOKENS
    temperature: Share | None = None
    top_p: Share | None = None
    stop: Annotated[list[NonEmpty], Field(max_length=10)] = Field(default_factory=list)


class DeepSeek:
    """Speaks for R1, which always thinks."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the last user turn asks."""
        del model, streamed  # the same for both operations
        asked = read_schema(DeepSeekBody, body)
        said, _ = last_words(read_r1(asked.prompt), asked.prompt)
        return Question(
            said=said,
            input_tokens=tokens(len(asked.prompt)),
            max_tokens=asked.max_tokens,
            stop_sequences=tuple(asked.stop),
            reasoning=True,
        )

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield one chunk a delta, the tags of the thoughts in chunks of their own; the last one is empty."""
        del model
        for text in _said(answer, body):
            yield _delta(0, text)
        yield chunk({**_choices("", TEXT_REASONS[answer.stop]), METRICS: metrics(answer)})

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the one choice."""
        del model
        return _choices("".join(_said(answer, body)), TEXT_REASONS[answer.stop])

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters, the only ones there are."""
        return counters(answer)


def _said(answer: Answer, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield thoughts, tags and text; the opening tag only where the prompt has not opened the thoughts.

    Thoughts that a limit cuts off are never closed.
    """
    if not body["prompt"].rstrip().endswith(_OPEN):
        yield f"{_OPEN}\n"
    yield from answer.reasoning
    if answer.text or answer.stop != "max_tokens":
        yield "\n"
        yield _CLOSE
        yield "\n\n"
    yield from answer.text


def _choices(text: str, stop: str | None) -> dict[str, Any]:
    return {"choices": [{"text": text, "stop_reason": stop}]}


@remember_words
def _delta(_: int, text: str) -> Event:
    return chunk(_choices(text, None), delta=True)
