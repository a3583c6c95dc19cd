"""AI21 Jurassic-2: no stream, and more about its tokens than text (bedrock-wire.md §4.8, recorded)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from gateway.emulator.answer import Question, tokens
from gateway.emulator.families.native import counters
from gateway.emulator.families.unstreamed import Unstreamed
from gateway.emulator.shapes import CamelShape, NonEmpty, Shape, read_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.emulator.answer import Answer
    from gateway.emulator.models import ModelId

_MAX_TOKENS: Final = 8191
_REASONS: Final = {"end": "endoftext", "max_tokens": "length", "stop_sequence": "stop"}
_WORD: Final = re.compile(r"\S+")

Share = Annotated[float, Field(ge=0, le=1)]


class Penalty(Shape):
    """How much repetition costs."""

    scale: Annotated[float, Field(ge=0)]


class JurassicBody(CamelShape):
    """The body of Jurassic-2."""

    prompt: NonEmpty
    max_tokens: Annotated[int, Field(ge=0, le=_MAX_TOKENS)] = 200
    temperature: Share | None = None
    top_p: Share | None = None
    stop_sequences: list[NonEmpty] = Field(default_factory=list)
    count_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None


class Jurassic(Unstreamed):
    """Speaks for Jurassic-2."""

    def ask(self, body: Any, model: ModelId) -> Question:
        """Return what the prompt asks; all of it is the user's."""
        del model  # the same body for every model
        asked = read_schema(JurassicBody, body)
        return Question(
            said=asked.prompt,
            input_tokens=tokens(len(asked.prompt)),
            max_tokens=asked.max_tokens,
            stop_sequences=tuple(asked.stop_sequences),
            speaks_reasoning=False,
        )

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the one completion, with a token for each word."""
        del model
        text = "".join(answer.text)
        completion = {
            "data": {"text": text, "tokens": _tokens(text)},
            "finishReason": {"reason": _REASONS[answer.stop]},
        }
        prompt = body["prompt"]
        return {
            "id": 1234,
            "prompt": {"text": prompt, "tokens": _tokens(prompt)},
            "completions": [completion],
        }

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters, the only ones there are."""
        return counters(answer)


def _tokens(text: str) -> list[dict[str, Any]]:
    return [
        {
            "generatedToken": {"token": f"▁{match[0]}", "logprob": -1.5, "raw_logprob": -1.5},
            "topTokens": None,
            "textRange": {"start": match.start(), "end": match.end()},
        }
        for match in _WORD.finditer(text)
    ]
