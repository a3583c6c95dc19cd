"""OpenAI's open-weight models (gpt-oss) by InvokeModel: the chat shape, with the reasoning in the text.

The content of an answer is `<reasoning>…</reasoning>` and then what the model has to say. Where the reasoning
of earlier turns would go is documented nowhere, so it is not taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.chat_answers import ChatFamily, ChatWords
from gateway.codecs.chat_messages import ChatShape, chat_features, chat_messages, chat_tools
from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest

_WORDS: Final = ChatWords(tags=("<reasoning>", "</reasoning>"))
_SHAPE: Final = ChatShape(
    lists=True,
    reasoning=False,
    choices={"auto": "auto", "any": "required", "none": "none"},
    named_choice=True,
)
_TEMPERATURE: Final = 2


class GptOssCodec(ChatFamily):
    """OpenAI's open-weight models."""

    name: Final = "gpt_oss"
    words = _WORDS

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body."""
        body: dict[str, Any] = {
            "messages": chat_messages(request, model, _SHAPE),
            "max_completion_tokens": max_tokens(request, model),
            **sampling(request, model, top_k=None, temperature=_TEMPERATURE),
            **chat_tools(request, _SHAPE),
            **chat_features(request, model),
        }
        if request.stop:
            body["stop"] = stop_sequences(request, self.name)
        return invoked(body, request)
