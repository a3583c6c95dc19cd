"""AI21's Jamba by InvokeModel: OpenAI's chat shape without images, and without a word for tool choices.

No tool at all is told by leaving the tools out. Jamba-Instruct, the first of them, takes one user message and
no tools. Bedrock sends its metrics in a chunk of their own behind the last one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.chat_answers import ChatFamily, ChatWords
from gateway.codecs.chat_messages import ChatShape, chat_messages, chat_tools
from gateway.codecs.output_limits import HIGHEST
from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences, tool_choice
from gateway.codecs.turns import turns
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest

_WORDS: Final = ChatWords()
_SHAPE: Final = ChatShape(lists=False, reasoning=False, choices={}, named_choice=False)
_MAX_TOKENS: Final = HIGHEST["jamba"]
_TEMPERATURE: Final = 2
_TOP_P: Final = (0.01, 1)
_INSTRUCT: Final = "ai21.jamba-instruct"


class JambaCodec(ChatFamily):
    """AI21's Jamba."""

    name: Final = "jamba"
    words = _WORDS

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        if (model.base_id or "").startswith(_INSTRUCT):
            _refuse_more_than_one_message(request)
        body: dict[str, Any] = {
            "messages": chat_messages(request, model, _SHAPE),
            "max_tokens": max_tokens(request, model, _MAX_TOKENS),
            **sampling(request, model, top_k=None, temperature=_TEMPERATURE, top_p=_TOP_P),
            **chat_tools(_spoken(request), _SHAPE),
        }
        if request.stop:
            body["stop"] = stop_sequences(request, self.name)
        if request.response_format is not None:
            body["response_format"] = {"type": "json_object"}  # it knows no schema
        return invoked(body, request)


def _spoken(request: CompletionRequest) -> CompletionRequest:
    """Return the request with its tool choice in Jamba's words: `auto` is silence, `none` is no tools."""
    choice = tool_choice(request)
    if choice is not None and choice.mode == "none":
        return replace(request, tools=(), tool_choice=None)
    if choice is not None and choice.mode == "auto":
        return replace(request, tool_choice=None)
    return request


def _refuse_more_than_one_message(request: CompletionRequest) -> None:
    if request.tools:
        raise InvalidRequest("Jamba-Instruct does not take tools.", param="tools")
    if len(turns(request)) > 1:
        raise InvalidRequest("Jamba-Instruct takes one user message, not a conversation.", param="messages")
