"""Cohere Command: a prompt without a template; the body says too that it streams (bedrock-wire.md §4.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from gateway.emulator.answer import Question, tokens
from gateway.emulator.errors import malformed
from gateway.emulator.families.native import COHERE_REASONS, METRICS, chunk, counters, metrics
from gateway.emulator.frames import remember_words
from gateway.emulator.shapes import NonEmpty, Shape, read_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId

_MAX_TOKENS: Final = 4096
_USUAL_MAX_TOKENS: Final = 20

Share = Annotated[float, Field(ge=0, le=1)]


class CommandBody(Shape):
    """The body of Command. The emulator gives one generation and no likelihoods."""

    prompt: NonEmpty
    max_tokens: Annotated[int, Field(ge=1, le=_MAX_TOKENS)] = _USUAL_MAX_TOKENS
    temperature: Annotated[float, Field(ge=0, le=5)] | None = None
    p: Share | None = None
    k: Annotated[int, Field(ge=0, le=500)] | None = None
    stop_sequences: Annotated[list[NonEmpty], Field(max_length=4)] = Field(default_factory=list)
    return_likelihoods: Literal["NONE"] = "NONE"
    num_generations: Annotated[int, Field(ge=1, le=1)] = 1
    logit_bias: dict[str, float] | None = None
    truncate: Literal["NONE", "START", "END"] | None = None
    stream: bool = False


class Command:
    """Speaks for Command and Command Light."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the prompt asks; all of it is the user's."""
        del model  # the same body for both models
        asked = read_schema(CommandBody, body)
        if asked.stream != streamed:
            needed = "true to be streamed" if streamed else "false for an answer in one piece"
            raise malformed(f"#/stream: must be {needed}")
        return Question(
            said=asked.prompt,
            input_tokens=tokens(len(asked.prompt)),
            max_tokens=asked.max_tokens,
            stop_sequences=tuple(asked.stop_sequences),
            speaks_reasoning=False,
        )

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield one chunk a delta; the last one has no text."""
        del model, body
        for text in answer.text:
            yield _delta(0, text)
        reason = COHERE_REASONS[answer.stop]
        yield chunk({"index": 0, "is_finished": True, "finish_reason": reason, METRICS: metrics(answer)})

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the one generation, with the prompt."""
        del model
        generation = {
            "id": str(UUID(hex=answer.key[32:64])),
            "text": "".join(answer.text),
            "finish_reason": COHERE_REASONS[answer.stop],
        }
        return {
            "id": str(UUID(hex=answer.key[:32])),
            "generations": [generation],
            "prompt": body["prompt"],
        }

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters, the only ones there are."""
        return counters(answer)


@remember_words
def _delta(_: int, text: str) -> Event:
    return chunk({"index": 0, "is_finished": False, "text": text}, delta=True)
