"""The usual chat completion of OpenAI's, read without a schema: text turns and a few plain parameters.

As `native_plain`: only what is certainly right is read here, and of it the schema makes the same request.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.dialects.limits import MAX_MODEL, MAX_TOKENS
from gateway.dialects.native_plain import are_sampling
from gateway.domain import CompletionRequest, Message, TextPart

_FIELDS = frozenset(
    {
        *("model", "messages", "max_completion_tokens", "max_tokens", "temperature", "top_p"),
        *("stream", "stream_options"),
    }
)
_ROLES = ("user", "assistant")
_SYSTEM = ("system", "developer")


class ChatRequest(NamedTuple):
    """A request, and how its answer is wanted."""

    completion: CompletionRequest
    stream: bool = False
    include_usage: bool = False
    """Whether the stream has a chunk of the usage."""


def read(value: Any, *, default_model: str | None = None) -> ChatRequest | None:
    """Return what `openai_chat.parse` makes of this body, None where the schema has to look at it."""
    if type(value) is not dict or not _FIELDS.issuperset(value):
        return None
    model, streamed = value.get("model", default_model), value.get("stream")
    wants_usage = _wants_usage(value.get("stream_options"), streamed)
    conversation = _conversation(value.get("messages"))
    if (
        conversation is None
        or wants_usage is None
        or type(model) is not str
        or not 0 < len(model) <= MAX_MODEL
        or not are_sampling(value)
        or not _is_limit(value)
    ):
        return None
    system, messages = conversation
    request = CompletionRequest(
        model=model,
        messages=messages,
        system=system,
        max_tokens=value.get("max_completion_tokens") or value.get("max_tokens"),
        temperature=value.get("temperature"),
        top_p=value.get("top_p"),
    )
    return ChatRequest(request, streamed is True, wants_usage)


def _conversation(value: Any) -> tuple[tuple[TextPart, ...], tuple[Message, ...]] | None:
    if type(value) is not list:
        return None
    system: list[TextPart] = []
    messages = []
    for message in value:
        if type(message) is not dict or len(message) != 2:  # noqa: PLR2004 - role and content
            return None
        role, content = message.get("role"), message.get("content")
        if type(content) is not str or not content:
            return None
        if role in _ROLES:
            messages.append(Message(role, (TextPart(content),)))
        elif role in _SYSTEM:
            system.append(TextPart(content))
        else:
            return None
    return (tuple(system), tuple(messages)) if messages else None


def _wants_usage(options: Any, streamed: Any) -> bool | None:
    """Say whether the usage is wanted; None where it takes a schema to tell."""
    if streamed is not None and type(streamed) is not bool:
        return None
    if options is None:
        return False
    if streamed is True and type(options) is dict and options.keys() == {"include_usage"}:
        wanted = options["include_usage"]
        return wanted if type(wanted) is bool else None
    return None


def _is_limit(value: dict[str, Any]) -> bool:
    """Say whether there is no more than one limit of the output, and that one is in range."""
    new, old = value.get("max_completion_tokens"), value.get("max_tokens")
    limit = old if new is None else new
    if limit is None:
        return True
    return (new is None or old is None) and type(limit) is int and 0 < limit <= MAX_TOKENS
