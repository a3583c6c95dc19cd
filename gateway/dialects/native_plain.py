"""The usual request, read without a schema: text turns, and at most a few plain parameters.

Only what is certainly right is read here. Everything else is the schema's to read or to refuse, and of what
is read here the schema makes the same request: a test asks both.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from gateway.dialects.limits import MAX_MODEL, MAX_TOKENS
from gateway.domain import CompletionRequest, Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS = frozenset({"model", "messages", "system", "max_tokens", "temperature", "top_p"})
_ROLES = ("user", "assistant")


def read(value: Any, *, default_model: str | None = None) -> CompletionRequest | None:
    """Return the request that `native.parse` makes of this body, None where the schema has to look at it."""
    if type(value) is not dict or not _FIELDS.issuperset(value):
        return None
    model, system, limit = value.get("model", default_model), value.get("system"), value.get("max_tokens")
    messages = text_turns(value.get("messages"))
    if (
        messages is None
        or type(model) is not str
        or not 0 < len(model) <= MAX_MODEL
        or not (system is None or type(system) is str)
        or not (limit is None or (type(limit) is int and 0 < limit <= MAX_TOKENS))
        or not are_sampling(value)
    ):
        return None
    return CompletionRequest(
        model=model,
        messages=messages,
        system=(TextPart(system),) if system else (),
        max_tokens=limit,
        temperature=value.get("temperature"),
        top_p=value.get("top_p"),
    )


def text_turns(value: Any) -> tuple[Message, ...] | None:
    """Return turns that are nothing but a role and a string; None where they are more, or there are none."""
    if type(value) is not list or not value:
        return None
    messages = []
    for message in value:
        if type(message) is not dict or len(message) != 2:  # noqa: PLR2004 - role and content
            return None
        role, content = message.get("role"), message.get("content")
        if role not in _ROLES or type(content) is not str:
            return None
        messages.append(Message(role, (TextPart(content),)))
    return tuple(messages)


def are_sampling(value: Mapping[str, Any]) -> bool:
    """Say whether temperature and top_p are left out, or floats in range: the schema turns integers."""
    temperature, top_p = value.get("temperature"), value.get("top_p")
    return (temperature is None or (type(temperature) is float and 0 <= temperature < inf)) and (
        top_p is None or (type(top_p) is float and 0 <= top_p <= 1)
    )
