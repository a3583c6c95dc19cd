"""From settings to what stands behind the server: catalogues, routes, clients, and the listing.

All that a change of the settings changes is built here; sockets and limiters are not part of it. The AWS SDK
is imported where clients are opened: a supervisor of workers only checks its settings.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from random import Random
from typing import TYPE_CHECKING

import orjson

from gateway.admission.quotas import Quota, QuotaRule, Quotas
from gateway.bedrock.routing import Router
from gateway.catalog.catalog import Catalog
from gateway.catalog.choices import ModelOverride
from gateway.catalog.defaults import Defaults
from gateway.catalog.directory import directory
from gateway.catalog.listing import Provider, models_config
from gateway.catalog.timeouts import Timeouts
from gateway.errors import UnknownModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from gateway.bedrock.client import BedrockClient
    from gateway.bedrock.targets import Target
    from gateway.bedrock.upstream import BedrockUpstream
    from gateway.catalog.directory import ModelDirectory
    from gateway.settings import DefaultSettings, Settings, TimeoutSettings


class StartError(Exception):
    """The process cannot start with these settings; `problems` says why, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Backend:
    """Bedrock as the settings describe it, opened. `targets` go by name, the preferred one first.

    `label` gives what a model's id is called in the metrics.
    """

    targets: Mapping[str, Target]
    upstream: BedrockUpstream
    models: ModelDirectory
    models_config: Callable[[], bytes]
    label: Callable[[str], str]


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Mapping[str, BedrockClient]]:
    """Open the clients of the targets for as long as the block runs.

    Raises:
        StartError: the settings of the catalogue, of the routes or of AWS cannot work.
    """
    from gateway.bedrock.targets import BrokenTargets, open_clients  # noqa: PLC0415 - see the module

    build_router(settings)  # what cannot work is told before anything is opened
    opening = open_clients(settings.bedrock, settings.places(), max_concurrency=settings.max_concurrency)
    try:
        async with opening as clients:
            yield clients
    except BrokenTargets as error:
        named = {
            name: f"targets.{name}" if settings.targets else "AWS configuration" for name in error.problems
        }
        problems = [f"{named[name]}: {problem}" for name, problem in error.problems.items()]
        raise StartError(problems) from error


def same_clients(one: Settings, other: Settings) -> bool:
    """Whether the clients that `opened` gives for one will do for the other."""
    return (one.bedrock, one.places(), one.max_concurrency) == (
        other.bedrock,
        other.places(),
        other.max_concurrency,
    )


def assemble(
    settings: Settings,
    clients: Mapping[str, BedrockClient],
    free_share: Callable[[str], float] = lambda _lane: 1.0,
) -> Backend:
    """Return what stands behind the server; pure. `free_share`: see `Router`.

    Raises:
        StartError: the settings of the catalogue or of the routes cannot work.
    """
    from gateway.bedrock.targets import Target  # noqa: PLC0415 - see the module
    from gateway.bedrock.upstream import BedrockUpstream  # noqa: PLC0415 - see the module

    router = build_router(settings, next(iter(clients.values())).region, free_share)
    targets = {name: Target(name, clients[name], router.catalogs[name]) for name in router.catalogs}
    return Backend(
        targets,
        BedrockUpstream(targets, router, settings.bedrock, Random()),  # noqa: S311 - shares of load
        directory(router.preferred, router.resolve),
        cache(partial(build_models_config, settings, router.preferred)),
        build_labels(settings, router.preferred),
    )


def build_router(
    settings: Settings,
    default_region: str | None = None,
    free_share: Callable[[str], float] = lambda _lane: 1.0,
) -> Router:
    """Return the routes, with a catalogue for each target; pure.

    `default_region` is that of the one target that AWS's variables describe, as far as it is known.

    Raises:
        StartError: a choice cannot work.
    """
    regions = {name: aws.region or default_region for name, (aws, _) in settings.places().items()}
    by_region: dict[str | None, Catalog] = {}
    problems: dict[str, None] = {}
    for region in regions.values():
        if region not in by_region:
            try:
                by_region[region] = build_catalog(settings, region)
            except ValueError as error:
                problems |= dict.fromkeys(str(error).splitlines())
    if problems:
        raise StartError(list(problems))
    catalogs = {name: by_region[region] for name, region in regions.items()}
    general = next(choices for _, choices in settings.target_lists())
    router = Router(catalogs, general, settings.routing, settings.models, free_share)
    if found := router.problems():
        raise StartError(found)
    return router


def _defaults(section: DefaultSettings) -> Defaults:
    return Defaults(temperature=section.temperature, top_p=section.top_p, system=section.system)


def _timeouts(section: TimeoutSettings) -> Timeouts:
    milliseconds = section.model_dump(exclude_none=True)
    return Timeouts(**{name.removesuffix("_ms"): value / 1000 for name, value in milliseconds.items()})


def _group_defaults(settings: Settings) -> dict[str, Defaults]:
    """Return the defaults of the providers: by provider, and by each model that is listed under one."""
    groups: dict[str, Defaults] = {}
    for name, provider in settings.providers.items():
        for key in (name, *(model.id for model in provider.models)):
            groups[key] = _defaults(provider.defaults)
    return groups


def build_models_config(settings: Settings, catalog: Catalog) -> bytes:
    """Return the body of `GET /models/config`."""
    providers = [
        Provider(
            id=name,
            name=provider.name,
            supports_custom_model=provider.supports_custom_model,
            models=[(model.id, model.name) for model in provider.models],
        )
        for name, provider in settings.providers.items()
    ]
    return orjson.dumps(models_config(catalog, providers, settings.default_provider))


def build_quotas(settings: Settings) -> Quotas:
    """Return what Bedrock gives, as far as the settings say."""
    return Quotas(
        QuotaRule(
            pattern,
            quota.targets,
            Quota(
                quota.tokens_per_minute,
                quota.requests_per_minute,
                quota.tokens_per_day,
                quota.output_burndown,
            ),
        )
        for pattern, quota in settings.quotas.items()
    )


def build_labels(settings: Settings, catalog: Catalog, other: str = "other") -> Callable[[str], str]:
    """Return what gives the label of a model's id: its name in the catalogue or the settings, else `other`.

    Callers choose ids, and each label costs memory for ever (reliability.md R60): an id of the catalogue has
    a hundred forms, and it is called by its base id.
    """

    def known(model_id: str) -> str | None:
        try:
            card = catalog.card(model_id)
        except UnknownModel:
            return None
        return None if card is None else card.id

    own = {name: known(name) or name for name in (*settings.models, *settings.aliases.values())}
    for name, model in settings.models.items():
        own |= {choice.model: own[name] for choice in model.targets if choice.model is not None}
    return lambda model_id: own.get(model_id) or known(model_id) or other


def build_catalog(settings: Settings, region: str | None = None) -> Catalog:
    """Return the catalogue with the operator's choices, for the region where Bedrock is called.

    Raises:
        ValueError: a choice cannot work.
    """
    return Catalog(
        region=region,
        operation=settings.bedrock.operation,
        streaming=settings.bedrock.streaming,
        custom_ids=settings.custom_model_ids,
        aliases=settings.aliases,
        overrides={
            name: ModelOverride(
                operation=model.operation,
                streaming=model.streaming,
                base_model=model.base_model,
                on_demand=model.on_demand,
                defaults=_defaults(model.defaults),
                timeouts=_timeouts(model.timeouts),
                residency=model.residency,
                features={str(name): known for name, known in model.features.items()},
                renamed=bool(model.targets) and all(place.model for place in model.targets),
            )
            for name, model in settings.models.items()
        },
        allowed=settings.allowed_models,
        default_model=settings.default_model,
        defaults=_defaults(settings.defaults),
        group_defaults=_group_defaults(settings),
        residency=settings.routing.residency,
    )
