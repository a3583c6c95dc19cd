"""Where a prompt may be cut for the cache, and what Bedrock says to points where none may be."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.emulator.answer import measure, tokens
from gateway.emulator.cache import Prefix
from gateway.emulator.errors import BedrockError, invalid
from gateway.emulator.families.claude_models import traits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gateway.emulator.models import ModelId

_CACHING: Final = re.compile(r"amazon\.nova-|anthropic\.claude-(?!v\d|instant)")
_MOST_POINTS: Final = 4
_POINT: Final = "cachePoint"
_CONTROL: Final = "cache_control"
_UNSUPPORTED: Final = (
    "You invoked an unsupported model or your request did not allow prompt caching. See the documentation "
    "for more information."
)


def block_prefixes(body: Mapping[str, Any], model: ModelId) -> tuple[Prefix, ...]:
    """Return the cached beginnings of a body in the manner of Converse, with points of their own.

    Raises:
        BedrockError: the model has no cache, or not for so many points.
    """
    config = body.get("toolConfig") or {}
    items = _items(config.get("tools"), body.get("system"), body["messages"])
    return _checked(_prefixes(items, _POINT), model)


def claude_prefixes(body: Mapping[str, Any], model: ModelId) -> tuple[Prefix, ...]:
    """Return the cached beginnings of Claude's own body, whose blocks carry the points; raises alike."""
    items = _items(body.get("tools"), body.get("system"), body["messages"])
    return _checked(_prefixes(items, _CONTROL), model)


def _items(tools: Any, system: Any, messages: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield each piece of a prompt with where it stands, in the order in which the provider reads them."""
    for number, tool in enumerate(tools or ()):
        yield f"tools.{number}", tool
    if isinstance(system, list):
        for number, block in enumerate(system):
            yield f"system.{number}", block
    elif system:
        yield "system", system
    for turn, message in enumerate(messages):
        content = message["content"]
        for number, block in enumerate(content if isinstance(content, list) else [content]):
            yield f"messages.{turn}.content.{number}", block


def _prefixes(given: Iterable[tuple[str, Any]], key: str) -> Iterator[tuple[str, Prefix]]:
    items = list(given)
    if not any(isinstance(item, dict) and key in item for _, item in items):
        return  # as most prompts are: nothing to measure
    digest, chars = sha256(), 0
    for where, item in items:
        chars += measure(item)
        point = item.get(key) if isinstance(item, dict) else None
        if point is None or key == _CONTROL:
            rest = {name: part for name, part in item.items() if name != key} if point is not None else item
            part = where.partition(".")[0]
            digest.update(f"{part}:".encode() + orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))
        if point is not None:
            yield where, Prefix(tokens(chars), digest.hexdigest(), point.get("ttl") or "5m")


def _checked(found: Iterator[tuple[str, Prefix]], model: ModelId) -> tuple[Prefix, ...]:
    prefixes = list(found)
    if not prefixes:
        return ()
    traits = traits_of(model)
    if model.base and not (_CACHING.match(model.base) if traits is None else traits.caches):
        raise BedrockError("AccessDeniedException", _UNSUPPORTED)
    if len(prefixes) > _MOST_POINTS:
        raise invalid(
            f"A maximum of {_MOST_POINTS} blocks with cache_control may be provided. Found {len(prefixes)}."
        )
    seen_short = False
    for where, prefix in prefixes:
        if prefix.ttl == "1h" and seen_short:
            raise invalid(
                f"{where}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: `tools`, "
                "`system`, `messages`."
            )
        if prefix.ttl == "1h" and traits is not None and not traits.caches_an_hour:
            raise invalid(f"{where}.cache_control.ephemeral.ttl: Extra inputs are not permitted")
        seen_short = seen_short or prefix.ttl == "5m"
    return tuple(prefix for _, prefix in prefixes)
