"""What a model weighs against a quota: its longest answer, and how much faster than input output counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gateway.emulator.families.claude_models import traits_of

if TYPE_CHECKING:
    from gateway.emulator.models import ModelId

_BURNDOWN: Final = 5
_BURNDOWN_SINCE: Final = (3, 7)
_UNTOLD: Final = 4096

# The first row whose pattern begins the id decides (bedrock-models.json; a test compares them all).
_LONGEST: Final = tuple(
    (re.compile(pattern), longest)
    for pattern, longest in (
        (r"anthropic\.claude-(?:v\d|instant|3-(?:haiku|opus|sonnet)-|3-5-sonnet-20240620)", 4096),
        (r"anthropic\.claude-3-", 8192),
        (r"anthropic\.claude-opus-4-(?:1-|2025)", 32_000),
        (r"anthropic\.claude-(?:opus-4-5|sonnet-4-|haiku-4-)", 64_000),
        (r"anthropic\.claude-", 128_000),
        (r"amazon\.nova-2-", 64_000),
        (r"amazon\.nova-", 10_000),
        (r"amazon\.titan-text-express", 8192),
        (r"amazon\.titan-text-premier", 3072),
        (r"ai21\.j2-", 8191),
        (r"cohere\.command-r-", 4000),
        (r"deepseek\.r1-", 8192),
        (r"meta\.llama(?:3-(?:8b|70b)-|4-)", 8192),
        (r"mistral\.(?:devstral|mistral-large-3)", 32_000),
        (r"mistral\.magistral", 40_000),
        (r"mistral\.mistral-large-2407", 8191),
        (r"mistral\.pixtral", 16_384),
        (r"mistral\.voxtral", 8192),
        (r"(?:deepseek\.|google\.gemma|minimax\.|mistral\.ministral|nvidia\.nemotron-nano)", 8000),
        (r"moonshotai\.kimi-k3", 131_072),
        (r"(?:moonshot|moonshotai)\.|openai\.gpt-oss-safeguard|qwen\.qwen3-coder-next", 16_000),
        (r"nvidia\.nemotron-super", 32_000),
        (r"openai\.gpt-oss-|qwen\.qwen3-coder-", 16_384),
        (r"openai\.gpt-6\.1-sol", 131_072),
        (r"openai\.|zai\.", 128_000),
        (r"qwen\.qwen3-(?:next|vl)-", 8000),
        (r"qwen\.|writer\.palmyra-x", 8192),
        (r"xai\.grok-4\.6", 500_000),
        (r"xai\.", 524_288),
    )
)


def longest_answer(model: ModelId) -> int:
    """Return the output tokens that a request without a limit of its own may use."""
    return next((longest for pattern, longest in _LONGEST if pattern.match(model.base)), _UNTOLD)


def burndown(model: ModelId) -> int:
    """Return how many tokens of a quota an output token uses: 5 since Claude 3.7 (bedrock-wire.md §7.2)."""
    traits = traits_of(model)
    return _BURNDOWN if traits is not None and traits.version >= _BURNDOWN_SINCE else 1
