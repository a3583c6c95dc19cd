"""What `GET /models/config` shows: providers, their models, and what is known of each.

The shape is the earlier system's: `{"providers": [{"id", "name", "supportsCustomModel", "models": [{"id",
"name"}]}], "defaultProvider"}`, in camel case as its consumers know it. What more is known of a model stands
beside `id` and `name`; a model that this gateway would not serve has nothing more.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.catalog.cards import Card
    from gateway.catalog.catalog import Catalog
    from gateway.catalog.model import Model
    from gateway.catalog.prices import Prices, Rates

PROVIDER_NAMES: Mapping[str, str] = {
    "ai21": "AI21 Labs",
    "amazon": "Amazon",
    "anthropic": "Anthropic",
    "cohere": "Cohere",
    "custom": "Custom",
    "deepseek": "DeepSeek",
    "google": "Google",
    "meta": "Meta",
    "minimax": "MiniMax",
    "mistral": "Mistral AI",
    "moonshot": "Moonshot AI",
    "moonshotai": "Moonshot AI",
    "nvidia": "NVIDIA",
    "openai": "OpenAI",
    "qwen": "Qwen",
    "writer": "Writer",
    "xai": "xAI",
    "zai": "Z.AI",
}
"""A provider without a name here is shown by its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider as the operator lists it: the models are pairs of id and name, in the operator's order."""

    id: str
    name: str
    supports_custom_model: bool
    models: Sequence[tuple[str, str]]


def models_config(
    catalog: Catalog, providers: Sequence[Provider] = (), default_provider: str | None = None
) -> dict[str, Any]:
    """Return the document: the operator's list where there is one, else the catalogue's.

    `defaultProvider` is the operator's word for it, else the provider of the default model, else the first.
    """
    listed = providers or tuple(_from_catalogue(catalog))
    default = default_provider or _provider_of_the_default(catalog, listed)
    return {"providers": [_provider(catalog, one) for one in listed], "defaultProvider": default}


def _from_catalogue(catalog: Catalog) -> Iterable[Provider]:
    names: dict[str, list[tuple[str, str]]] = {}
    for name, model in catalog.models().items():
        card = catalog.card(name)
        # an alias is shown at the model that it stands for
        if card is not None and name not in catalog.choices.aliases:
            names.setdefault(model.provider, []).append((name, card.name))
    for provider, models in names.items():
        yield Provider(
            id=provider,
            name=PROVIDER_NAMES.get(provider, provider),
            supports_custom_model=catalog.choices.custom_ids,
            models=models,
        )


def _provider_of_the_default(catalog: Catalog, listed: Sequence[Provider]) -> str | None:
    asked = catalog.choices.default_model
    if asked is not None:
        target = catalog.choices.aliases.get(asked, asked)
        for provider in listed:
            if {asked, target} & {model for model, _ in provider.models}:
                return provider.id
        return catalog.provider(asked)
    return listed[0].id if listed else None


def _provider(catalog: Catalog, provider: Provider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "name": provider.name,
        "supportsCustomModel": provider.supports_custom_model,
        "models": [{"id": name, "name": title, **_facts(catalog, name)} for name, title in provider.models],
    }


def _facts(catalog: Catalog, name: str) -> dict[str, Any]:
    try:
        model = catalog.resolve(name)
    except GatewayError:  # the operator lists it all the same: a model of another gateway, or a retired one
        return {}
    aliases = [alias for alias, target in catalog.choices.aliases.items() if target == model.id]
    facts: dict[str, Any] = {
        "family": model.family,
        "operation": model.api,
        "streaming": model.streaming,
        "aliases": aliases,
        "prices": None if model.prices is None else _prices(model.prices),
    }
    card = catalog.card(name)
    return facts if card is None else {**facts, **_known(card, model)}


def _known(card: Card, model: Model) -> dict[str, Any]:
    return {
        "context": card.context,
        "maxOutput": card.max_output_tokens,
        "capabilities": {
            "takes": card.takes,
            "gives": card.gives,
            "sampling": model.sampling,
            "system": card.system,
            "tools": card.tools,
            "reasoning": card.reasoning,
            "caching": card.caching,
        },
        "profiles": [f"{geo}.{card.id}" for geo in card.profiles],
        "lifecycle": {"endOfLife": card.end_of_life},
    }


def _prices(prices: Prices) -> dict[str, Any]:
    """Return USD per million tokens; `above` holds for prompts of more than `threshold` tokens."""
    shown: dict[str, Any] = _rates(prices.rates)
    if prices.above is not None:
        shown["above"] = {"threshold": prices.threshold, **_rates(prices.above)}
    return shown


def _rates(rates: Rates) -> dict[str, float | None]:
    camel = {
        "input": "input",
        "output": "output",
        "cache_read": "cacheRead",
        "cache_write_5m": "cacheWrite5m",
        "cache_write_1h": "cacheWrite1h",
    }
    return {camel[name]: None if rate is None else float(rate) for name, rate in asdict(rates).items()}
