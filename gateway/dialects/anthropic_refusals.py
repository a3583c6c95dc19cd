"""What Anthropic serves at its own place and no model on Bedrock has: refused first of all, and told why.

A shallow walk over the parsed body that knows the few places where such things stand. It is all that looks
at the conversation of a Claude model before Bedrock does, so it takes any JSON and leaves wrong shapes to
others.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "container": "Containers run at Anthropic, Bedrock has none: leave `container` out.",
        "mcp_servers": "Bedrock does not connect to MCP servers: connect to them yourself, and give their "
        "tools in `tools`.",
        "inference_geo": "On Bedrock the model's id chooses the place (`us.`, `eu.`, …): leave this out.",
        "fallbacks": "Other models to answer are the operator's choice here: leave `fallbacks` out.",
        "thread": "Threads are kept at Anthropic, Bedrock has none: send the whole conversation.",
        "diagnostics": "Bedrock tells nothing about misses of the prompt cache: leave `diagnostics` out.",
    }
)
"""Fields of the body, and why they are refused."""
_NAMES: Final = frozenset(FIELDS)
SERVER_TOOLS: Final = ("web_search_", "web_fetch_", "code_execution_", "advisor_", "mcp_toolset")
"""How the types of the tools begin that Anthropic runs itself."""
SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "url": "No URL is ever fetched here: send the content itself, in base64.",
        "file": "Bedrock has no Files API: send the content itself, in base64.",
    }
)
"""Types of a source, and why they are refused."""


def check(body: Mapping[str, Any]) -> None:
    """Return if nothing in the body is served by Anthropic alone.

    Raises:
        InvalidRequest: something is; `param` is its path.
    """
    if not _NAMES.isdisjoint(body):
        for name, reason in FIELDS.items():
            if body.get(name):
                raise InvalidRequest(reason, param=name)
    tools, messages = body.get("tools"), body.get("messages")
    if type(tools) is list:
        _check_tools(tools)
    if type(messages) is list:
        for number, message in enumerate(messages):
            if type(message) is dict and type(content := message.get("content")) is list:
                _check_content(content, f"messages[{number}].content")


def _check_tools(tools: list[Any]) -> None:
    for number, tool in enumerate(tools):
        kind = tool.get("type") if type(tool) is dict else None
        if type(kind) is str and kind.startswith(SERVER_TOOLS):
            raise InvalidRequest(
                "This tool runs at Anthropic, Bedrock does not have it: give a tool of your own instead.",
                param=f"tools[{number}].type",
            )


def _check_content(content: list[Any], path: str) -> None:
    for number, block in enumerate(content):
        if type(block) is not dict:
            continue
        source, inner = block.get("source"), block.get("content")
        if type(source) is dict:
            _check_source(source, f"{path}[{number}].source")
        if type(inner) is list:
            _check_content(inner, f"{path}[{number}].content")


def _check_source(source: Mapping[str, Any], path: str) -> None:
    kind, inner = source.get("type"), source.get("content")
    if type(kind) is str and kind in SOURCES:
        raise InvalidRequest(SOURCES[kind], param=f"{path}.type")
    if type(inner) is list:
        _check_content(inner, f"{path}.content")
