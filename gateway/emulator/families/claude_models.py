"""What each Claude can and cannot do, by its version, and how it says so (bedrock-wire.md §4.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.emulator.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.emulator.families.claude_shapes import OutputConfig, ThinkingMode
    from gateway.emulator.models import ModelId

_VERSION: Final = re.compile(
    r"claude-(?:(?P<major>\d)(?:-(?P<minor>\d))?-(?P<line>opus|sonnet|haiku)"
    r"|(?P<new_line>[a-z]{4,})-(?P<new_major>\d+)(?:-(?P<new_minor>\d{1,2})(?!\d))?)"
)


_BUDGET: Final = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
    '"output_config.effort" to control thinking behavior.'
)
_ONE_WAY: Final = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
_NEVER: Final = (99, 0)
_UNFORCED: Final = {"opus": (5, 5), "sonnet": (5, 5), "fable": (5, 1)}
"""The version from which a line cannot be made to call a tool."""

_PREFILL: Final = (
    "This model does not support assistant message prefill. The conversation must end with a user message."
)


class ClaudeTraits(NamedTuple):
    """One Claude: its line and its version."""

    name: str
    line: str
    version: tuple[int, int]

    @property
    def thinks(self) -> bool:
        """Whether it has extended thinking."""
        return self.version >= (3, 7)

    @property
    def adapts(self) -> bool:
        """Whether it decides by itself how much to think."""
        return self.version >= (4, 6)

    @property
    def budgets(self) -> bool:
        """Whether it takes a budget of tokens to think with."""
        return (3, 7) <= self.version < (4, 7)

    @property
    def samples(self) -> bool:
        """Whether it takes temperature, top_p and top_k."""
        return self.version < (4, 7)

    @property
    def samples_one_way(self) -> bool:
        """Whether it takes temperature or top_p, and not both."""
        return self.version in {(4, 1), (4, 5)}

    @property
    def prefills(self) -> bool:
        """Whether it goes on from a last turn of the assistant."""
        return self.version < (4, 6)

    @property
    def can_be_forced(self) -> bool:
        """Whether a request can make it call a tool."""
        return self.version < _UNFORCED.get(self.line, _NEVER)

    @property
    def tries(self) -> bool:
        """Whether it takes an effort."""
        return self.version >= ((4, 5) if self.line == "opus" else (4, 6))

    @property
    def structures(self) -> bool:
        """Whether it answers by a schema."""
        return self.version >= (4, 5)

    @property
    def caches(self) -> bool:
        """Whether it has a prompt cache."""
        return self.version >= (3, 5)

    @property
    def caches_an_hour(self) -> bool:
        """Whether it keeps a prompt for an hour."""
        return self.version >= (4, 5)


def traits_of(model: ModelId) -> ClaudeTraits | None:
    """Return what is known of a model, None for one that is no Claude or does not tell its version."""
    match = _VERSION.match(model.name)
    if match is None or model.provider != "anthropic":
        return None
    major, minor = match["major"] or match["new_major"], match["minor"] or match["new_minor"]
    return ClaudeTraits(match[0], match["line"] or match["new_line"], (int(major), int(minor or 0)))


def check_traits(
    traits: ClaudeTraits,
    *,
    thinking: ThinkingMode | None,
    output: OutputConfig | None,
    sampling: Sequence[str],
    forced: bool,
    ends_with_assistant: bool,
) -> None:
    """Return if a model has what a request asks for; `sampling` names the parameters that are set.

    Raises:
        BedrockError: it has not.
    """
    wanted = "disabled" if thinking is None else thinking.type
    effort = output is not None and output.effort is not None
    structure = output is not None and output.format is not None
    complaints = (
        (wanted == "adaptive" and not traits.adapts, "adaptive thinking is not supported on this model"),
        (wanted == "enabled" and not traits.thinks, "thinking: Extra inputs are not permitted"),
        (wanted == "enabled" and not traits.budgets, _BUDGET),
        (effort and not traits.tries, "This model does not support the effort parameter."),
        (structure and not traits.structures, f"'{traits.name}' does not support output format."),
        (sampling and not traits.samples, f"`{next(iter(sampling), '')}` is deprecated for this model."),
        ({"temperature", "top_p"} <= set(sampling) and traits.samples_one_way, _ONE_WAY),
        (forced and not traits.can_be_forced, "tool_choice: forced tool use is not supported by this model."),
        (ends_with_assistant and not traits.prefills, _PREFILL),
    )
    complaint = next((words for wrong, words in complaints if wrong), None)
    if complaint is not None:
        raise invalid(complaint)
