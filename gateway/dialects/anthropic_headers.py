"""The headers of Anthropic's API: the version, and the flags of what is in trial.

Bedrock does not look at `anthropic-beta`: the flags go into the body (`anthropic_beta`), and one that it does
not know makes it refuse the request. So each flag is one of three: passed on to Claude, without meaning any
more because what it switched on is there for all, or refused here, by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSIONS: Final = ("2023-06-01", "2026-10-21")
"""The second is what the SDKs send since Python's 2.0. It has taken temperature, top_p and top_k away, which
Bedrock's own version of the body has: they are applied in both."""
VERSION_HEADER: Final = "anthropic-version"
BETA_HEADER: Final = "anthropic-beta"

PASSED_ON: Final = frozenset(
    {
        "compact-2026-01-12",
        "computer-use-2024-10-22",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "effort-2025-11-24",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "model-context-window-exceeded-2025-08-26",
        "output-128k-2025-02-19",
        "token-efficient-tools-2025-02-19",
        "tool-examples-2025-10-29",
        "tool-search-tool-2025-10-19",
    }
)
"""What Bedrock takes of Claude (bedrock-wire.md §4.1 and AWS's page on the Messages API)."""
RENAMED: Final = {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}
"""What Bedrock has under another name."""
WITHOUT_MEANING: Final = frozenset(
    {
        "claude-code-20250219",
        "extended-cache-ttl-2025-04-11",
        "messages-2023-12-15",
        "oauth-2025-04-20",
        "pdfs-2024-09-25",
        "prompt-caching-2024-07-31",
        "prompt-caching-scope-2026-01-05",
        "structured-outputs-2025-11-13",
        "token-counting-2024-11-01",
        "tools-2024-04-04",
    }
)
"""What is there for all, says who calls, or only matters at Anthropic: accepted, and not passed on."""


def check_version(version: str | None) -> None:
    """Return if this version of the API is one that is spoken here; None: the caller named none.

    Raises:
        InvalidRequest: it is another.
    """
    if version is not None and version.strip() not in VERSIONS:
        raise InvalidRequest(
            f"Send `{VERSION_HEADER}: {VERSIONS[0]}` or `{VERSIONS[1]}`, or leave it out.",
            param=VERSION_HEADER,
        )


def betas(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the flags for Bedrock that these header lines ask for, each once, in their order.

    Raises:
        InvalidRequest: a flag is not on the list.
    """
    return known_flags([piece for line in lines for piece in line.split(",")], BETA_HEADER)


def known_flags(asked: Iterable[str], param: str) -> tuple[str, ...]:
    """Return those of these flags that Bedrock is to be told, each once, in their order.

    Raises:
        InvalidRequest: a flag is not on the list; `param` is where it came from.
    """
    found: dict[str, None] = {}
    for flag in [piece.strip() for piece in asked]:
        if flag in PASSED_ON:
            found[flag] = None
        elif flag in RENAMED:
            found[RENAMED[flag]] = None
        elif flag and flag not in WITHOUT_MEANING:
            raise InvalidRequest(_unknown(flag, param), param=param)
    return tuple(found)


def _unknown(flag: str, param: str) -> str:
    name = f"`{flag}`" if len(flag) <= 64 and flag.isascii() and flag.isprintable() else "a flag"  # noqa: PLR2004 - as long as a name
    return f"{param}: {name} is not known to Bedrock. Known are: {', '.join(sorted(PASSED_ON))}."
