"""The families that take OpenAI's Chat Completions body as it is by InvokeModel.

Qwen, Gemma, MiniMax, Kimi, Nemotron, GLM, DeepSeek V3, Writer's Palmyra, Mistral's models of the third
generation, Grok, GPT. Where they differ is in `_RULES`. The native shape is documented, not recorded: the
catalogue prefers Converse for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.codecs.chat_answers import ChatFamily, ChatWords
from gateway.codecs.chat_messages import ChatShape, chat_features, chat_messages, chat_tools
from gateway.codecs.parameters import invoked, max_tokens, sampling, stop_sequences

if TYPE_CHECKING:
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest

_WORDS: Final = ChatWords()
_SHAPE: Final = ChatShape(
    lists=True,
    reasoning=True,  # `reasoning_content` is the field of their answers, taken back by the same name
    choices={"auto": "auto", "any": "required", "none": "none"},
    named_choice=True,
)
_TEMPERATURE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """What is particular to the models whose ids begin with `prefix`.

    `stops`: the key of their limit in `MAX_STOP_SEQUENCES`. `stop` false: they refuse the field.
    """

    prefix: str
    temperature: int = _TEMPERATURE
    highest: int | None = None
    limit: str = "max_tokens"
    stop: bool = True
    stops: str = ""


_RULES: Final = (
    _Rule(prefix="moonshot.", temperature=1, stop=False),
    _Rule(prefix="moonshotai.", temperature=1, stop=False),
    _Rule(prefix="writer.", highest=8192, stops="writer"),
    _Rule(prefix="xai.", stop=False),
    _Rule(prefix="openai.gpt-5.4", limit="max_completion_tokens"),
    _Rule(prefix="openai.gpt-5.5", limit="max_completion_tokens"),
    _Rule(prefix="openai.", limit="max_completion_tokens", stop=False),  # GPT from 5.6
)
"""The first that fits. Kimi, Grok and GPT from 5.6 refuse `stop`, as other gateways found out."""
_USUAL: Final = _Rule(prefix="")


class OpenAIChatCodec(ChatFamily):
    """OpenAI's chat shape."""

    name: Final = "openai_chat"
    words = _WORDS

    def format(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the InvokeModel body.

        The output limit is always sent: Palmyra would stop after 16 tokens by itself.
        """
        rule = _rule(model)
        body: dict[str, Any] = {
            "messages": chat_messages(request, model, _SHAPE),
            rule.limit: max_tokens(request, model, rule.highest),
            **sampling(request, model, top_k=None, temperature=rule.temperature),
            **chat_tools(request, _SHAPE),
            **chat_features(request, model),
        }
        if request.stop and rule.stop:
            body["stop"] = stop_sequences(request, rule.stops)
        return invoked(body, request)

    def stop_is_native(self, model: Model) -> bool:
        """Return whether the model takes `stop`."""
        return _rule(model).stop


def _rule(model: Model) -> _Rule:
    base = model.base_id or ""
    return next((rule for rule in _RULES if base.startswith(rule.prefix)), _USUAL)
