"""Mistral's chat completions, nearly OpenAI's, without counts in the body (bedrock-wire.md §4.6)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from gateway.emulator.errors import invalid
from gateway.emulator.families.chat_rules import ask, call
from gateway.emulator.families.chat_shapes import AssistantMessage, MistralChatBody
from gateway.emulator.families.native import METRICS, TEXT_REASONS, chunk, counters, metrics
from gateway.emulator.shapes import read_anthropic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.emulator.answer import Answer, Question
    from gateway.emulator.frames import Event
    from gateway.emulator.models import ModelId

_USUAL_MAX_TOKENS: Final = 8192
_CALL_ID_CHARS: Final = 9
_CALL_ID: Final = re.compile(r"[a-zA-Z0-9]{9}")


class MistralChat:
    """Speaks for Mistral Large 2402 and 2407."""

    def question(self, body: Any, model: ModelId, *, streamed: bool) -> Question:
        """Return what the conversation asks."""
        del model, streamed  # the same for both models and both operations
        asked = read_anthropic(MistralChatBody, body)
        _check_ids(asked)
        return ask(asked, body, max_tokens=asked.max_tokens or _USUAL_MAX_TOKENS)

    def stream(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> Iterator[Event]:
        """Yield one message a delta, all tool calls in one, and an empty one with the reason."""
        del model, body
        for text in answer.text:
            yield chunk(_choices({"role": "assistant", "content": text}, None), delta=True)
        if answer.tool_calls:
            yield chunk(_choices({"role": "assistant", "content": "", "tool_calls": _calls(answer)}, None))
        last = _choices({"role": "assistant", "content": ""}, TEXT_REASONS[answer.stop])
        yield chunk({**last, METRICS: metrics(answer)})

    def whole(self, answer: Answer, model: ModelId, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the message."""
        del model, body
        message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.text)}
        if answer.tool_calls:
            message["tool_calls"] = _calls(answer)
        return _choices(message, TEXT_REASONS[answer.stop])

    def counters(self, answer: Answer) -> Mapping[str, str]:
        """Return the three counters, the only ones there are."""
        return counters(answer)


def _check_ids(asked: MistralChatBody) -> None:
    for message in asked.messages:
        for made in (message.tool_calls or ()) if isinstance(message, AssistantMessage) else ():
            if not _CALL_ID.fullmatch(made.id):
                raise invalid(f"Tool call id was {made.id} but must be a-z, A-Z, 0-9, with a length of 9.")


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [call(made, made.key[:_CALL_ID_CHARS], made.arguments) for made in answer.tool_calls]


def _choices(message: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "stop_reason": reason}]}
