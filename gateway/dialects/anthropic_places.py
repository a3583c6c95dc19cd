"""What a model cannot do, named as Anthropic's caller wrote it: the domain's fields and places are others.

Looked up on failure only, in the body as it came.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.errors import InvalidRequest

NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "betas": "anthropic-beta",
        "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
        "stop": "stop_sequences",
        "metadata": "metadata.user_id",
    }
)
"""Fields of the domain that are always called the same here."""
_PART: Final = re.compile(r"(?P<list>system|messages\[(?P<turn>\d+)\]\.content)\[(?P<part>\d+)\](?P<rest>.*)")


def rename(error: InvalidRequest, body: Mapping[str, Any]) -> None:
    """Let the error name the caller's own field, in `param` and at the beginning of its words."""
    param = error.param
    if param is None:
        return
    error.param = found = _place(param, body)
    if error.message.startswith(f"{param}: "):
        error.message = found + error.message[len(param) :]


def _place(param: str, body: Mapping[str, Any]) -> str:
    part = _PART.fullmatch(param)
    if part is not None:
        return _block(part, body)
    if param == "reasoning":
        return "output_config.effort" if body.get("thinking") is None else "thinking"
    if param == "response_format":
        return "output_config.format" if body.get("output_format") is None else "output_format"
    name, bracket, rest = param.partition("[")
    return NAMES.get(name, name) + bracket + rest


def _block(part: re.Match[str], body: Mapping[str, Any]) -> str:
    """Return the path of the block of a part; a block with `cache_control` is two parts."""
    owner = body if part["turn"] is None else body["messages"][int(part["turn"])]
    path = part["list"]
    content = owner["system" if part["turn"] is None else "content"]
    position = int(part["part"])
    if type(content) is str:  # behind it there is only the cache point of the whole body
        return f"{path}{part['rest']}" if position == 0 else "cache_control"
    for number, block in enumerate(content):
        if position == 0:
            return f"{path}[{number}]{part['rest']}"
        position -= 1
        if block.get("cache_control") is not None:
            if position == 0:
                return f"{path}[{number}].cache_control"
            position -= 1
    return "cache_control"
