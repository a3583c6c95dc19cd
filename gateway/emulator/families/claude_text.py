"""Claude's text completions: the dialogue that its oldest models continue (bedrock-wire.md §4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from gateway.emulator.answer import Question, tokens
from gateway.emulator.families.native import METRICS, chunk, counters, metrics
from gateway.emulator.families.templates import last_words, read_claude
from gateway.emulator.frames import remember_words
from gateway.emulator.shapes import NonEmpty, Shape, read_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId

_HUMAN: Final = "\n\nHuman:"
_MAX_STOPS: Final = 8191

Share = Annotated[float, Field(ge=0, le=1)]


class ClaudeTextBody(Shape):
    """The body of the text completions; the version is optional, and there is but one."""

    prompt: NonEmpty
    max_tokens_to_sample: Annotated[int, Field(ge=1)]
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Field(ge=0, le=500)] | None = None
    stop_sequences: Annotated[list[NonEmpty], Field(max_length=_MAX_STOPS)] = Field(default_factory=list)
    anthropic_version: Annotated[str, Field(pattern=r"^bedrock-2023-05-31$")] | None = None


class ClaudeText:
    """Speaks for Claude 2 and Claude Instant by their first body."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the human asks last."""
        del model, streamed  # the same for both operations
        asked = read_schema(ClaudeTextBody, body)
        said, _ = last_words(read_claude(asked.prompt), asked.prompt)
        return Question(
            said=said,
            input_tokens=tokens(len(asked.prompt)),
            max_tokens=asked.max_tokens_to_sample,
            stop_sequences=tuple(asked.stop_sequences),
            speaks_reasoning=False,
        )

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield one chunk a delta, the last one empty."""
        del model, body
        for text in answer.text:
            yield _delta(0, text)
        yield chunk({**_completion("", *_ending(answer)), METRICS: metrics(answer)})

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the completion."""
        del model, body
        return _completion("".join(answer.text), *_ending(answer))

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters, the only ones there are."""
        return counters(answer)


def _ending(answer: Answer) -> tuple[str, str | None]:
    """Return why it ended and on what: the human's turn is what ends the assistant's."""
    if answer.stop == "max_tokens":
        return "max_tokens", None
    return "stop_sequence", answer.stop_sequence or _HUMAN


def _completion(text: str, reason: str | None, stop: str | None) -> dict[str, Any]:
    return {"type": "completion", "completion": text, "stop_reason": reason, "stop": stop}


@remember_words
def _delta(_: int, text: str) -> Event:
    return chunk(_completion(text, None, None), delta=True)
