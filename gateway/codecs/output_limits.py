"""Where a body in Bedrock's own words names the most tokens that an answer may have."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


HIGHEST: Final[Mapping[Family, int]] = MappingProxyType(
    {
        "llama": 2048,
        "mistral": 8192,
        "cohere_command": 4096,
        "cohere_command_r": 4000,
        "jurassic": 8191,
        "jamba": 4096,
        "deepseek_r1": 32_768,
    }
)
"""What InvokeModel takes of a family whatever the model (AWS's parameter reference); Llama 4 takes more."""
OF_THE_MODEL: Final = "additionalModelRequestFields"
"""What Converse hands to the model beside its own fields, deep inside of them too."""
_EVERY: Final = tuple(dict.fromkeys(place for places in PLACES.values() for place in places))


def said(body: Mapping[str, Any]) -> Iterator[tuple[Place, Any]]:
    """Yield all that a body says where any family reads a limit, with its place, number or not.

    Whose words a body is in is a guess where a model has two languages, and what a server makes of two names
    for one thing is its own business: a limit that may not be passed is looked for in all of them.
    """
    for place in _EVERY:
        value = _at(body, place)
        if value is not None:
            yield place, value
    added = body.get(OF_THE_MODEL)
    if type(added) is dict:
        yield from (((OF_THE_MODEL, *place), value) for place, value in said(added))


def limited(body: Mapping[str, Any], family: Family) -> bool:
    """Whether a body says anything where its family reads its limit."""
    return any(_at(body, place) is not None for place in PLACES[family])


def _at(body: Mapping[str, Any], place: Place) -> Any:
    value: Any = body
    for name in place:
        value = value.get(name) if type(value) is dict else None
    return value


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
