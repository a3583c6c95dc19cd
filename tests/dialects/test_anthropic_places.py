"""What a model cannot do is named as the caller wrote it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dialects.anthropic_places import rename
from gateway.errors import InvalidRequest

MARK = {"cache_control": {"type": "ephemeral"}}
TEXT = {"type": "text", "text": "a"}
BLOCKS: dict[str, Any] = {
    "system": [{**TEXT, **MARK}, TEXT],
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": [TEXT, {**TEXT, **MARK}, TEXT]},
    ],
}


@pytest.mark.parametrize(
    ("param", "body", "place"),
    [
        ("max_tokens", {}, "max_tokens"),
        ("betas", {}, "anthropic-beta"),
        ("stop[2]", {}, "stop_sequences[2]"),
        ("parallel_tool_calls", {}, "tool_choice.disable_parallel_tool_use"),
        ("reasoning", {"thinking": {"type": "adaptive"}}, "thinking"),
        ("reasoning", {"output_config": {"effort": "low"}}, "output_config.effort"),
        ("response_format", {"output_config": {}}, "output_config.format"),
        ("response_format", {"output_format": {}}, "output_format"),
        ("messages[0].content[0]", BLOCKS, "messages[0].content"),
        ("messages[0].content[1]", BLOCKS, "cache_control"),
        ("messages[1].content[0]", BLOCKS, "messages[1].content[0]"),
        ("messages[1].content[1].source", BLOCKS, "messages[1].content[1].source"),
        ("messages[1].content[2]", BLOCKS, "messages[1].content[1].cache_control"),
        ("messages[1].content[3]", BLOCKS, "messages[1].content[2]"),
        ("messages[1].content[4]", BLOCKS, "cache_control"),
        ("system[1]", BLOCKS, "system[0].cache_control"),
        ("system[2]", BLOCKS, "system[1]"),
    ],
)
def test_places(param: str, body: dict[str, Any], place: str) -> None:
    """In the error's field, and where its words begin with it."""
    error = InvalidRequest(f"{param}: the model does not take it.", param=param)
    other = InvalidRequest("It does not.", param=param)

    rename(error, body)
    rename(other, body)

    assert (error.param, error.message) == (place, f"{place}: the model does not take it.")
    assert (other.param, other.message) == (place, "It does not.")


def test_no_place() -> None:
    """An error that names nothing stays as it is."""
    error = InvalidRequest("It does not.")

    rename(error, {})

    assert error.param is None
