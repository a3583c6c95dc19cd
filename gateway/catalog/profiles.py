"""Which inference profile serves a model in a region.

Many models have no on-demand throughput under their base id; Bedrock then answers with its most repeated
error ("on-demand throughput isn't supported") without saying which profile to ask for. A profile's id is the
base id behind a geo prefix. Which geo serves which source region is AWS's documentation of cross-region
inference ("Supported Regions and models for inference profiles").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.catalog.cards import Card

GEOS_BY_REGION: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("us-gov-", ("us-gov",)),
    ("us-", ("us", "global")),
    ("ca-", ("ca", "us", "global")),
    ("sa-", ("sa", "global")),
    ("mx-", ("mx", "global")),
    ("eu-", ("eu", "global")),
    ("il-", ("il", "global")),
    ("me-", ("me", "global")),
    ("af-", ("global",)),
    ("ap-northeast-1", ("jp", "apac", "global")),
    ("ap-northeast-2", ("kr", "apac", "global")),
    ("ap-northeast-3", ("jp", "apac", "global")),
    ("ap-southeast-2", ("au", "apac", "global")),
    ("ap-southeast-4", ("au", "apac", "global")),
    ("ap-south-", ("in", "apac", "global")),
    ("ap-", ("apac", "global")),
)
"""Prefix of the source region → geos that may serve it, nearest first: data stays as close as it can."""


def profile_ids(card: Card, region: str | None) -> tuple[str, ...]:
    """Return the ids of the profiles that serve a model from `region`, the best first; all, if it is None."""
    geos = card.profiles if region is None else [geo for geo in _geos(region) if geo in card.profiles]
    return tuple(f"{geo}.{card.id}" for geo in geos)


def serves(geo: str, region: str) -> bool:
    """Say whether profiles of this geography can be called from `region`; true where that is not known."""
    known = {name for _, geos in GEOS_BY_REGION for name in geos}
    return geo not in known or geo in _geos(region)


def advice(card: Card, region: str | None) -> str:
    """Return what to ask for instead of the base id, as the end of a sentence."""
    suitable, known = profile_ids(card, region), ", ".join(profile_ids(card, None))
    if region is None:
        return f"use the one that suits the gateway's region: {known}"
    if suitable:
        return f"use {suitable[0]}"
    return f"none is known for {region}, elsewhere there is {known}"


def _geos(region: str) -> tuple[str, ...]:
    return next((geos for prefix, geos in GEOS_BY_REGION if region.startswith(prefix)), ())
