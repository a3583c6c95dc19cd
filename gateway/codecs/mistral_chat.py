"""Mistral's chat shape by InvokeModel (Large 2407, Pixtral): OpenAI's, with a vocabulary of its own.

Answers say `stop_reason` or, from newer models, `finish_reason`; streamed chunks hold a `message` or a
`delta`. Counters are there or have to be taken from the headers. There is no word for one particular tool.
Ids of tool calls must be nine letters or digits, so ids that other models made are replaced, in the call and
in its result alike.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.chat_answers import ChatFamily, ChatWords
from gateway.codecs.chat_messages import ChatShape, chat_messages, chat_tools
from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest

_WORDS: Final = ChatWords(stops=("stop_reason", "finish_reason"), deltas=("delta", "message"))
_SHAPE: Final = ChatShape(
    lists=True,
    reasoning=False,
    choices={"auto": "auto", "any": "any", "none": "none"},
    named_choice=False,
)
_ID: Final = re.compile(r"[a-zA-Z0-9]{9}")
_ID_BYTES: Final = 5  # as many as nine hexadecimal digits need


class MistralChatCodec(ChatFamily):
    """Mistral's chat models."""

    name: Final = "mistral_chat"
    words = _WORDS

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        body: dict[str, Any] = {
            "messages": [_with_short_ids(message) for message in chat_messages(request, model, _SHAPE)],
            "max_tokens": max_tokens(request, model),
            **sampling(request, model, top_k=None),
            **chat_tools(request, _SHAPE),
        }
        if request.stop:
            body["stop"] = stop_sequences(request, self.name)
        return invoked(body, request)


def _with_short_ids(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message with ids that Mistral takes."""
    if "tool_call_id" in message:
        return message | {"tool_call_id": _short(message["tool_call_id"])}
    if "tool_calls" in message:
        return message | {"tool_calls": [call | {"id": _short(call["id"])} for call in message["tool_calls"]]}
    return message


def _short(call_id: str) -> str:
    """Return the id itself, or nine characters of its hash: the same for the same id, whatever the turn."""
    if _ID.fullmatch(call_id):
        return call_id
    return blake2b(call_id.encode(errors="replace"), digest_size=_ID_BYTES).hexdigest()[:9]
