"""Parameters of OpenAI's that no Bedrock model has: taken where they ask for nothing, else refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from gateway.dialects.openai_schema import ChatBody

_TOOLS: Final = "Describe functions in `tools`, and choose with `tool_choice`."
_AUDIO: Final = "Answers are text here."
_PENALTY: Final = "Bedrock's models take no penalties: leave it out, or send 0."

REFUSED: Final[dict[str, tuple[tuple[Any, ...], str]]] = {
    "audio": ((), _AUDIO),
    "frequency_penalty": ((0, 0.0), _PENALTY),
    "function_call": (("none",), _TOOLS),
    "functions": (([],), _TOOLS),
    "logit_bias": (({},), "Bedrock's models take no biases: leave it out."),
    "logprobs": ((False,), "Bedrock's models give no probabilities: leave it out, or send false."),
    "modalities": ((["text"],), _AUDIO),
    "moderation": ((), "Apply a guardrail instead, with X-Amzn-Bedrock-GuardrailIdentifier."),
    "n": ((1,), "There is one answer for each request: send it again for another one."),
    "prediction": ((), "Bedrock's models take no predicted output: leave it out."),
    "presence_penalty": ((0, 0.0), _PENALTY),
    "prompt_cache_retention": (
        ("in_memory",),
        "Bedrock keeps a prompt for 5 minutes or 1 hour: leave it out.",
    ),
    "store": ((False,), "Nothing is stored here: leave it out, or send false."),
    "top_logprobs": ((0,), "Bedrock's models give no probabilities: leave it out, or send 0."),
    "verbosity": (
        ("medium",),
        "Bedrock's models have no such control: leave it out, or say it in the prompt.",
    ),
    "web_search_options": ((), "Nothing is searched here: leave it out."),
}
"""Field → the values that ask for nothing, and what to do about others."""


def check_refused(body: ChatBody) -> None:
    """Check that nothing is asked for that nobody here can do.

    Raises:
        InvalidRequest: it is; `param` names the field.
    """
    for name in body.model_fields_set & REFUSED.keys():
        value, (neutral, words) = getattr(body, name), REFUSED[name]
        if value is not None and not any(type(value) is type(one) and value == one for one in neutral):
            raise InvalidRequest(f"`{name}` is not supported. {words}", param=name)
