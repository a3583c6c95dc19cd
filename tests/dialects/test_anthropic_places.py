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
        ("system[1].ttl", BLOCKS, "system[0].cache_control.ttl"),
        ("messages[0].content[1].ttl", BLOCKS, "cache_control.ttl"),
        ("messages[1].content[4].ttl", BLOCKS, "cache_control.ttl"),
        ("system[0]", {}, "system"),  # the operator's own
        ("system[0]", {"system": None}, "system"),
        ("system[0]", {"system": [{**TEXT, "text": ""}, TEXT]}, "system[1]"),
        ("tools[3].cache", {}, "tools[3].cache_control"),
        ("tools[3].cache.ttl", {}, "tools[3].cache_control.ttl"),
        ("tools[3].strict", {}, "tools[3].strict"),
        ("guardrail", {}, "X-Amzn-Bedrock-GuardrailIdentifier"),
        ("latency", {}, "X-Amzn-Bedrock-PerformanceConfig-Latency"),
        ("service_tier", {"service_tier": None}, "X-Amzn-Bedrock-Service-Tier"),
        ("service_tier", {"service_tier": "standard_only"}, "service_tier"),
        ("metadata", {"metadata": {}}, "X-Amzn-Bedrock-Request-Metadata"),
        ("metadata", {"metadata": {"user_id": "u"}}, "metadata.user_id"),
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


@pytest.mark.parametrize(
    ("param", "words", "told"),
    [
        ("stop[1]", "stop: at most 40 characters.", "stop_sequences: at most 40 characters."),
        ("metadata", "metadata is too long.", "X-Amzn-Bedrock-Request-Metadata is too long."),
        ("stop[1]", "stopping is not for it.", "stopping is not for it."),
    ],
)
def test_words(param: str, words: str, told: str) -> None:
    """They name the field as `param` does, though they name its list alone."""
    error = InvalidRequest(words, param=param)

    rename(error, {})

    assert error.message == told


def test_no_place() -> None:
    """An error that names nothing stays as it is."""
    error = InvalidRequest("It does not.")

    rename(error, {})

    assert error.param is None
