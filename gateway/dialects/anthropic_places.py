"""What a model cannot do, named as Anthropic's caller wrote it: the domain's fields and places are others.

Looked up on failure only, in the body as it came.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.dialects.bedrock_headers import METADATA
from gateway.dialects.places import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.errors import InvalidRequest

NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "betas": "anthropic-beta",
        "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
        "stop": "stop_sequences",
    }
)
"""Fields of the domain that are always called the same here."""
_CACHED_TOOL: Final = re.compile(r"(tools\[\d+\])\.cache(.*)")
_PART: Final = re.compile(r"(?P<list>system|messages\[(?P<turn>\d+)\]\.content)\[(?P<part>\d+)\](?P<rest>.*)")


def rename(error: InvalidRequest, body: Mapping[str, Any]) -> None:
    """Let the error name the caller's own field, in `param` and at the beginning of its words."""
    param = error.param
    if param is None:
        return
    error.param = found = _place(param, body)
    for told, called in ((param, found), (param.partition("[")[0], found.partition("[")[0])):
        if re.match(rf"{re.escape(told)}(?![\w.\[])", error.message) is not None:
            error.message = called + error.message[len(told) :]
            return


def _place(param: str, body: Mapping[str, Any]) -> str:
    part = _PART.fullmatch(param)
    if part is not None:
        return _block(part, body)
    if (tool := _CACHED_TOOL.fullmatch(param)) is not None:
        return f"{tool[1]}.cache_control{tool[2]}"
    name, bracket, rest = param.partition("[")
    return _field(name, body) + bracket + rest


def _field(param: str, body: Mapping[str, Any]) -> str:
    """Return what a field of the domain is called, of those names that the caller has used."""
    if param == "reasoning":
        return "output_config.effort" if body.get("thinking") is None else "thinking"
    if param == "response_format":
        return "output_config.format" if body.get("output_format") is None else "output_format"
    if param == "metadata":
        return "metadata.user_id" if (body.get("metadata") or {}).get("user_id") else METADATA
    if param in HEADERS and body.get(param) is None:
        return HEADERS[param]
    return NAMES.get(param, param)


def _block(part: re.Match[str], body: Mapping[str, Any]) -> str:
    """Return the path of the block of a part; a block with `cache_control` is two parts."""
    path, rest = part["list"], part["rest"]
    content = body.get("system") if part["turn"] is None else body["messages"][int(part["turn"])]["content"]
    position = int(part["part"])
    if type(content) is not list:  # behind a text there is only the cache point of the whole body
        return f"{path if position == 0 else 'cache_control'}{rest}"
    places = [place for number, block in enumerate(content) for place in _parts(f"{path}[{number}]", block)]
    return (places[position] if position < len(places) else "cache_control") + rest


def _parts(path: str, block: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of the parts that a block is; system text that is empty is none."""
    if not path.startswith("system") or block["text"]:
        yield path
    if block.get("cache_control") is not None:
        yield f"{path}.cache_control"
