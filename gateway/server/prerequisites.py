"""What this process needs of its host and its interpreter before it may listen."""

from __future__ import annotations

import resource
from typing import Final

from aiohttp import http_parser

from gateway.server.connections import SURPLUS

MARGIN: Final = 128
"""File descriptors for all that is no connection of a caller or to Bedrock: files, STS, the loop, the log."""


def problems(*, max_connections: int, upstream_connections: int, handshakes: int = 0) -> list[str]:
    """Return why the process cannot serve; raise the soft limit of file descriptors where that helps."""
    found = []
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        found.append(
            "aiohttp runs without its C extensions, and its parser in Python reads requests more loosely: "
            "install a wheel that has them, and unset AIOHTTP_NO_EXTENSIONS"
        )
    besides = SURPLUS + MARGIN + handshakes
    needed = max_connections + upstream_connections + besides
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if needed <= soft or soft == resource.RLIM_INFINITY:
        return found
    if needed > hard != resource.RLIM_INFINITY:
        found.append(
            f"{needed} file descriptors are needed (max_connections {max_connections}, to Bedrock "
            f"{upstream_connections}, {besides} besides), and the hard limit is {hard}: "
            "raise it (ulimit -Hn, LimitNOFILE), or lower max_connections or max_concurrency"
        )
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else needed, hard))
    return found
