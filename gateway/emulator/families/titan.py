"""Amazon Titan Text: one string in, a few chunks out (bedrock-wire.md §4.3)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from gateway.emulator.answer import Question, tokens
from gateway.emulator.families.native import METRICS, chunk, counters, metrics
from gateway.emulator.shapes import CamelShape, NonEmpty, read_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer, StopReason
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId

_USUAL_MAX_TOKENS: Final = 512
_LAST_TURN: Final = "User:"
_ANSWER_MARK: Final = "Bot:"

# FINISH and LENGTH are recorded; the third is AWS's documentation's.
_REASONS: Final[Mapping[StopReason, str]] = MappingProxyType(
    {"end": "FINISH", "max_tokens": "LENGTH", "stop_sequence": "STOP_CRITERIA_MET"}
)

Share = Annotated[float, Field(ge=0, le=1)]


class TextGenerationConfig(CamelShape):
    """How to generate."""

    max_token_count: Annotated[int, Field(ge=1, le=8192)] = _USUAL_MAX_TOKENS
    temperature: Share | None = None
    top_p: Share | None = None
    stop_sequences: list[NonEmpty] = Field(default_factory=list)


class TitanBody(CamelShape):
    """The body of Titan Text."""

    input_text: NonEmpty
    text_generation_config: TextGenerationConfig = TextGenerationConfig()


class Titan:
    """Speaks for Titan Text. It knows no tools, no system prompt and no reasoning."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the text asks; a conversation in it counts from its last `User:`."""
        del model, streamed  # the same for every Titan and both operations
        asked = read_schema(TitanBody, body)
        said = asked.input_text.rpartition(_LAST_TURN)[2].strip().removesuffix(_ANSWER_MARK)
        return Question(
            said=said,
            input_tokens=tokens(len(asked.input_text)),
            max_tokens=asked.text_generation_config.max_token_count,
            stop_sequences=tuple(asked.text_generation_config.stop_sequences),
            speaks_reasoning=False,
        )

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield one chunk a delta: the first has the input's count, the last all the rest."""
        del model, body
        parts = answer.text or ("",)
        for number, text in enumerate(parts):
            payload: dict[str, Any] = {"outputText": text, "index": 0}
            if number == len(parts) - 1:
                payload["totalOutputTextTokenCount"] = answer.output_tokens
                payload["completionReason"] = _REASONS[answer.stop]
            if number == 0:
                payload["inputTextTokenCount"] = answer.input_tokens
            if number == len(parts) - 1:
                payload[METRICS] = metrics(answer)
            yield chunk(payload, delta=True)

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the one result."""
        del model, body
        result = {
            "tokenCount": answer.output_tokens,
            "outputText": "".join(answer.text),
            "completionReason": _REASONS[answer.stop],
        }
        return {"inputTextTokenCount": answer.input_tokens, "results": [result]}

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters."""
        return counters(answer)
