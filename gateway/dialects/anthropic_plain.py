"""The usual request, read without a schema, as `native_plain` does for the native API.

Only what is certainly right is read here; a test asks both, and the schema makes the same request of it.
"""

from __future__ import annotations

from typing import Any

from gateway.dialects.limits import MAX_MODEL, MAX_TOKENS
from gateway.dialects.native_plain import are_sampling, text_turns
from gateway.domain import CompletionRequest, TextPart

_FIELDS = frozenset({"model", "messages", "max_tokens", "system", "stream", "temperature", "top_p"})


def read(
    value: Any, *, betas: tuple[str, ...] = (), default_model: str | None = None
) -> CompletionRequest | None:
    """Return what `anthropic_messages.parse` makes of this body, None where the schema has to look."""
    if type(value) is not dict or not _FIELDS.issuperset(value):
        return None
    get = value.get
    model, limit, system, stream = (
        get("model", default_model),
        get("max_tokens"),
        get("system"),
        get("stream"),
    )
    if (
        type(model) is not str
        or not 0 < len(model) <= MAX_MODEL
        or type(limit) is not int
        or not 0 < limit <= MAX_TOKENS
        or not (system is None or type(system) is str)
        or not (stream is None or type(stream) is bool)
        or not are_sampling(value)
        or (get("temperature") or 0) > 1
        or (messages := text_turns(get("messages"))) is None
    ):
        return None
    return CompletionRequest(
        model=model,
        messages=messages,
        max_tokens=limit,
        system=(TextPart(system),) if system else (),
        temperature=get("temperature"),
        top_p=get("top_p"),
        betas=betas,
    )
