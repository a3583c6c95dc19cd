"""How each family is told to think, and how much.

Claude takes a budget of tokens (to 4.6), or thinks as it sees fit and is told an effort (from 4.6 on). Nova 2
has `reasoningConfig`, OpenAI's models and Grok have `reasoning_effort`. Sources: AWS's pages "Extended
thinking" and "Adaptive thinking", Nova 2's user guide, and the service model for Converse's
`outputConfig.effort`. OpenAI's word goes to the other families that speak its shape too; Bedrock judges it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.codecs.parameters import DEFAULT_MAX_TOKENS
from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.catalog.features import Thinking
    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest, Effort, Reasoning

LEAST: Final = 1024
"""Tokens of Claude's smallest budget."""
ENDLESS: Final = 1 << 30
BUDGETS: Final[Mapping[Effort, int]] = {"minimal": LEAST, "low": 2048, "medium": 8192, "high": 16_384}
"""What an effort is worth to a Claude that takes budgets only; ours, as nobody has said."""
_OPENAI: Final = frozenset({"openai_chat", "gpt_oss"})
_FREE: Final[Mapping[str, tuple[float, float]]] = {"temperature": (1, 1), "top_p": (0.95, 1)}
"""Where Claude's sampling may still be while it thinks; top_k may not be given at all."""


class ClaudeThinking(NamedTuple):
    """What a Claude request says of thinking; None: nothing."""

    thinking: dict[str, Any] | None
    effort: str | None
    max_tokens: int | None
    """The output limit that goes with it, None for the usual one."""


def wanted(request: CompletionRequest) -> bool:
    """Tell whether the model is asked to think."""
    return request.reasoning is not None and request.reasoning.effort != "none"


def available(reasoning: Reasoning, model: Model) -> bool | None:
    """Tell whether the model can be told to think so; None: it is not known."""
    kind, effort, efforts = kind_of(model), reasoning.effort, model.features.efforts
    if kind == "none":
        return effort == "none"
    if reasoning.budget_tokens is not None:
        return kind in {"budget", "both"}
    if effort == "none" and kind != "effort":
        return kind != "fixed" and not model.features.always_thinks
    if kind == "budget":
        return effort in BUDGETS
    return kind != "fixed" and (None if efforts is None else effort in efforts)


def kind_of(model: Model) -> Thinking:
    """Return how the model is told to think; `none` too where nobody knows a word for it."""
    known = model.features.thinking
    if known is not None:
        return known
    if model.native_family == "claude":  # newer than the catalogue
        return "adaptive"
    if model.native_family in _OPENAI or (model.base_id or "").startswith(("openai.", "xai.")):
        return "effort"
    return "none"


def words(model: Model) -> str:
    """Return what the model can be told, for the message of a refusal; empty where that is nothing."""
    kind, efforts = kind_of(model), model.features.efforts
    if kind == "budget":
        return f" It takes a budget of tokens or an effort of {', '.join(BUDGETS)}."
    if kind == "both" and efforts:
        return f" It takes a budget of tokens or an effort of {', '.join(efforts)}."
    if efforts:
        return f" It takes an effort of {', '.join(efforts)}."
    return ""


def claude_thinking(request: CompletionRequest, model: Model) -> ClaudeThinking:
    """Return what the request says of thinking, in Claude's words.

    Raises:
        InvalidRequest: what goes with it cannot: sampling, a forced tool, a limit that leaves no room.
    """
    reasoning = request.reasoning
    if reasoning is None:
        return ClaudeThinking(None, None, None)
    kind = kind_of(model)
    if reasoning.effort == "none":  # who only thinks as he sees fit does not, unless he is told to
        off = {"type": "disabled"} if kind in {"budget", "both"} else None
        return ClaudeThinking(off, None, None)
    _check_beside(request)
    if reasoning.effort is not None and kind in {"adaptive", "both"}:
        return ClaudeThinking({"type": "adaptive"}, reasoning.effort, None)
    budget, limit = _budget(reasoning, request, model)
    return ClaudeThinking({"type": "enabled", "budget_tokens": budget}, None, limit)


def nova_config(request: CompletionRequest) -> dict[str, Any] | None:
    """Return Nova 2's `reasoningConfig`, None where the caller says nothing about it.

    Raises:
        InvalidRequest: a parameter that Nova refuses when it thinks hard.
    """
    if request.reasoning is None:
        return None
    effort = request.reasoning.effort
    if effort == "none":
        return {"type": "disabled"}
    if effort == "high":
        for name in ("max_tokens", "temperature", "top_p", "top_k"):
            if getattr(request, name) is not None:
                raise InvalidRequest(
                    f"{name}: with an effort of high this model decides it by itself.", param=name
                )
    return {"type": "enabled", "maxReasoningEffort": effort}


def nova_decides(request: CompletionRequest, model: Model) -> bool:
    """Tell whether it is Nova, thinking as hard as it can: then it refuses an output limit."""
    return kind_of(model) == "nova" and request.reasoning is not None and request.reasoning.effort == "high"


def _check_beside(request: CompletionRequest) -> None:
    """Refuse what Claude refuses beside thinking (bedrock-wire.md §4.1)."""
    if request.top_k is not None:
        raise InvalidRequest("top_k: Claude does not take it together with reasoning.", param="top_k")
    for name, (low, high) in _FREE.items():
        value = getattr(request, name)
        if value is not None and not low <= value <= high:
            allowed = f"{low}" if low == high else f"between {low} and {high}"
            raise InvalidRequest(
                f"{name}: together with reasoning Claude takes {allowed} only; leave it out.", param=name
            )
    choice = request.tool_choice
    if choice is not None and choice.mode in {"any", "tool"}:
        raise InvalidRequest(
            "tool_choice: Claude cannot be made to call a tool while it reasons.", param="tool_choice"
        )


def _budget(reasoning: Reasoning, request: CompletionRequest, model: Model) -> tuple[int, int | None]:
    """Return the budget, and the output limit that has room for it where the caller gave none.

    An effort is a wish, so it gets no more than half of the limit; a budget is a figure, and stays.
    """
    limit, allowed = request.max_tokens, request.allowance
    most = limit or model.max_output_tokens or ENDLESS
    usual = most
    if limit is None and allowed is not None:
        most = min(most, allowed.highest or most)
        usual = min(most, allowed.default)
    if reasoning.effort is not None:
        budget = max(LEAST, min(BUDGETS[reasoning.effort], usual // 2))
    else:
        budget = reasoning.budget_tokens or 0
    if budget < LEAST:
        raise InvalidRequest(f"reasoning: Claude's smallest budget is {LEAST} tokens.", param="reasoning")
    answer = DEFAULT_MAX_TOKENS
    if allowed is not None:  # the figure that the caller gives stands beside its default, not in it
        answer = max(LEAST, allowed.default - budget) if reasoning.effort is not None else allowed.default
    room = min(budget + answer, most) if limit is None else limit
    if budget >= room:
        raise InvalidRequest(
            f"{'reasoning' if limit is None else 'max_tokens'}: the limit of {room} tokens must be more than "
            f"the {budget} of the reasoning, which count in it.",
            param="reasoning" if limit is None else "max_tokens",
        )
    return budget, room
