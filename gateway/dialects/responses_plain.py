"""The usual request for a response, read without a schema; see `native_plain`, which does the same."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.dialects.limits import MAX_MODEL, MAX_TOKENS
from gateway.dialects.native_plain import are_sampling, text_turns
from gateway.dialects.responses_objects import Echo
from gateway.domain import CompletionRequest, Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS = frozenset(
    {"model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "stream", "store"}
)


class Asked(NamedTuple):
    """What a body means: the question, whether to stream the answer, what the answer says of the question."""

    request: CompletionRequest
    stream: bool
    echo: Echo


def read(value: Any, *, default_model: str | None = None) -> Asked | None:
    """Return what `responses.parse` makes of this body, None where the schema has to look at it."""
    if type(value) is not dict or not _FIELDS.issuperset(value):
        return None
    model, told, limit = (
        value.get("model", default_model),
        value.get("instructions"),
        value.get("max_output_tokens"),
    )
    messages = _messages(value)
    if (
        messages is None
        or type(model) is not str
        or not 0 < len(model) <= MAX_MODEL
        or not (told is None or type(told) is str)
        or not (limit is None or (type(limit) is int and 0 < limit <= MAX_TOKENS))
        or type(value.get("stream", False)) is not bool
        or value.get("store") not in (None, False)
        or not are_sampling(value)
    ):
        return None
    request = CompletionRequest(
        model=model,
        messages=messages,
        system=(TextPart(told),) if told else (),
        max_tokens=limit,
        temperature=value.get("temperature"),
        top_p=value.get("top_p"),
    )
    return Asked(request, bool(value.get("stream")), Echo.of(value))


def _messages(value: Mapping[str, Any]) -> tuple[Message, ...] | None:
    said = value.get("input")
    if type(said) is str:
        return (Message("user", (TextPart(said),)),)
    turns = text_turns(said)
    if turns is None or any(one.role == other.role for one, other in pairwise(turns)):
        return None  # items of one answer are one turn
    if TextPart("") in [turn.content[0] for turn in turns]:  # texts of nothing are left out
        return None
    return turns
