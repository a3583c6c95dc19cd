"""Where a body in Bedrock's own words names the most tokens that an answer may have."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.catalog.model import Family

Place = tuple[str, ...]

PLACES: Final[Mapping[Family, tuple[Place, ...]]] = MappingProxyType(
    {
        "claude": (("max_tokens",),),
        "claude_text": (("max_tokens_to_sample",),),
        "nova": (("inferenceConfig", "maxTokens"), ("inferenceConfig", "max_new_tokens")),
        "titan": (("textGenerationConfig", "maxTokenCount"),),
        "llama": (("max_gen_len",),),
        "mistral": (("max_tokens",),),
        "mistral_chat": (("max_tokens",),),
        "cohere_command": (("max_tokens",),),
        "cohere_command_r": (("max_tokens",),),
        "jurassic": (("maxTokens",),),
        "jamba": (("max_tokens",),),
        "deepseek_r1": (("max_tokens",),),
        "openai_chat": (("max_tokens",), ("max_completion_tokens",)),
        "gpt_oss": (("max_completion_tokens",), ("max_tokens",)),
        "imported": (("max_tokens",), ("max_gen_len",)),
        "converse": (("inferenceConfig", "maxTokens"),),
    }
)
"""Family → the fields that it reads (bedrock-wire.md §3); the first is where one that is missing is put.
`converse` is the body of Converse, whatever the model."""


def named(body: Mapping[str, Any], family: Family) -> tuple[Place, int] | None:
    """Return the largest limit that a body names and where; None where it names none, or no whole number."""
    found: tuple[Place, int] | None = None
    for place in PLACES[family]:
        value: Any = body
        for name in place:
            value = value.get(name) if type(value) is dict else None
        if type(value) is int and (found is None or value > found[1]):
            found = place, value
    return found


def with_limit(body: Mapping[str, Any], family: Family, limit: int) -> dict[str, Any]:
    """Return the body with this limit where its family reads it."""
    *path, last = PLACES[family][0]
    changed = dict(body)
    inner = changed
    for name in path:
        inside = inner.get(name)
        inner[name] = inner = dict(inside) if type(inside) is dict else {}
    inner[last] = limit
    return changed
