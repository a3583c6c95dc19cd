"""AI21 Jamba: OpenAI's shapes, Bedrock's counters in a chunk of their own (bedrock-wire.md §4.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.emulator.errors import invalid
from gateway.emulator.families.chat_rules import ask, call, usage
from gateway.emulator.families.chat_shapes import JambaBody, UserMessage
from gateway.emulator.families.native import METRICS, TEXT_REASONS, chunk, counters, metrics
from gateway.emulator.shapes import read_anthropic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer, Question
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId

_ID_CHARS: Final = 24
_FIRST: Final = "ai21.jamba-instruct"


class Jamba:
    """Speaks for Jamba; the first one has no tools and hears one user turn."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the conversation asks."""
        del streamed  # the same body for both operations
        asked = read_anthropic(JambaBody, body)
        if model.base.startswith(_FIRST):
            if asked.tools:
                raise invalid("tools: Extra inputs are not permitted")
            if sum(isinstance(message, UserMessage) for message in asked.messages) > 1:
                raise invalid("messages: the model supports a single user message only")
        return ask(asked, body, max_tokens=asked.max_tokens)

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the role, a chunk a delta, one for all tool calls, the end with the usage, the metrics."""
        del model, body
        yield chunk(_choice(answer, {"role": "assistant"}))
        for text in answer.text:
            yield chunk(_choice(answer, {"content": text}), delta=True)
        if answer.tool_calls:
            calls = [{"index": index, **made} for index, made in enumerate(_calls(answer))]
            yield chunk(_choice(answer, {"tool_calls": calls}))
        yield chunk({**_choice(answer, {"content": ""}, TEXT_REASONS[answer.stop]), "usage": usage(answer)})
        yield chunk({METRICS: metrics(answer)})

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the completion."""
        del model, body
        message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.text)}
        if answer.tool_calls:
            message["tool_calls"] = _calls(answer)
        choice = {"index": 0, "message": message, "finish_reason": TEXT_REASONS[answer.stop]}
        return {"id": _id(answer), "choices": [choice], "usage": usage(answer)}

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters."""
        return counters(answer)


def _id(answer: Answer) -> str:
    return f"chatcmpl-{answer.key[:_ID_CHARS]}"


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [call(made, f"call_{made.key[:_ID_CHARS]}", made.arguments) for made in answer.tool_calls]


def _choice(answer: Answer, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"id": _id(answer), "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
