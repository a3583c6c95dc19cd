"""The names of the quotas that bound a model: Service Quotas is a service of its own, which we do not ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.catalog.model_id import parse

if TYPE_CHECKING:
    from gateway.catalog.cards import Card

PROVIDERS = {
    "ai21": "AI21 Labs",
    "amazon": "Amazon",
    "anthropic": "Anthropic",
    "cohere": "Cohere",
    "deepseek": "DeepSeek",
    "meta": "Meta",
    "mistral": "Mistral AI",
    "openai": "OpenAI",
    "qwen": "Qwen",
    "writer": "Writer",
}


def quota_name(model_id: str, card: Card | None) -> str | None:
    """Return the name to look up; None for what has no such quota or is not known.

    The pools of base id and inference profile are apart, and each holds for one region (bedrock-wire.md §7).
    """
    known = parse(model_id)
    if card is None or known.base_id is None:
        return None
    scope = "On-demand" if known.geo is None else "Cross-Region"
    if known.geo == "global":
        scope = "Global cross-Region"
    provider = PROVIDERS.get(known.provider or "", known.provider)
    return f"{scope} InvokeModel tokens per minute for {provider} {card.name}"
