"""Where the caller of an API of OpenAI's wrote what was found wrong behind the dialect.

What a model cannot do is found where its body is made, and named as the domain has it: there `system` stands
apart, tool results in a row are one message, and some fields have other names.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from gateway.dialects.bedrock_headers import GUARDRAIL, LATENCY, TIER

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from gateway.domain import Message, Part, SystemPart
    from gateway.errors import InvalidRequest

Placed: TypeAlias = "tuple[Part, str]"
"""A part, and where the caller wrote it."""
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {"guardrail": GUARDRAIL, "latency": LATENCY, "service_tier": TIER}
)
"""Fields of the domain that may have come in a header."""
_PART: Final = re.compile(r"(?:messages\[(\d+)\]\.content|system)\[(\d+)\](.*)")
_MESSAGE: Final = re.compile(r"messages\[(\d+)\](.*)")


class Conversation(NamedTuple):
    """System text and turns, and where the caller wrote each part of them, as paths."""

    system: tuple[SystemPart, ...]
    messages: tuple[Message, ...]
    system_places: list[str]
    places: list[list[str]]

    def place(self, param: str) -> str | None:
        """Return where the caller wrote a part or a turn; None for what is neither, or the operator's."""
        if (found := _PART.fullmatch(param)) is not None:
            number, part, rest = found.groups()
            places = self.system_places if number is None else self.places[int(number)]
            # system text may be the operator's default
            return places[int(part)] + rest if int(part) < len(places) else None
        if (found := _MESSAGE.fullmatch(param)) is not None:
            item, bracket, _ = self.places[int(found[1])][0].partition("]")
            return item + bracket + found[2]
        return None


def rename(fault: InvalidRequest, name: str, said: Container[str]) -> None:
    """Let a fault tell of a field by this name; what is not `said` in the body has come in a header."""
    known = fault.param or ""
    if name in HEADERS and name not in said:
        name = HEADERS[name]
    if fault.message.startswith(known):
        fault.message = name + fault.message.removeprefix(known)
    fault.param = name
