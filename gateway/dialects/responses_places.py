"""Faults that were found behind the dialect, in the words of those who ask for responses."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gateway.dialects.places import rename
from gateway.dialects.responses_input import conversation
from gateway.dialects.responses_schema import ResponseBody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.errors import InvalidRequest

NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "max_tokens": "max_output_tokens",
        "messages": "input",
        "reasoning": "reasoning.effort",
        "response_format": "text.format",
        "system": "instructions",
    }
)
"""What Responses calls a field of the domain, where it is another name."""


def name_field(fault: InvalidRequest, value: Any) -> None:
    """Let a fault of a request name its field as the caller wrote it; `value` is the body, which is good."""
    if fault.param is None:
        return
    body = ResponseBody.model_validate({"model": "-", **value})
    name = conversation(body).place(fault.param) or NAMES.get(fault.param, fault.param)
    if isinstance(value["input"], str) and name.startswith("input["):  # the short form of one message
        name = "input"
    rename(fault, name, body.model_fields_set)
