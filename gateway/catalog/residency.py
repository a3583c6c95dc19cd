"""Where a call's prompt may be processed: its reach, and whether that is inside the operator's rules.

A call is processed in the region that it is sent to, and where its inference profile leads from there
(AWS's documentation of cross-region inference: a geographic profile stays in its geography, a global one
goes to any commercial region). What cannot be told may lead anywhere: under a rule it is refused.

A geography is taken as a whole, with regions that AWS has yet to open in it: AWS adds regions to the
profiles of newer models, and a rule must not wait for a list here to be brought up to date.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from gateway.catalog.model_id import PROVIDERS
from gateway.catalog.profiles import serves

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.catalog.model_id import Kind, ModelId

ANYWHERE = ("us-east-1", "eu-west-1", "ap-south-1", "sa-east-1", "xx-yet-to-be-opened-1")
REACH: Mapping[str, tuple[str, ...]] = {
    "us": ("us-east-1", "us-east-2", "us-west-1", "us-west-2", "us-new-1"),
    "us-gov": ("us-gov-east-1", "us-gov-west-1", "us-gov-new-1"),
    "eu": (
        *("eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2"),
        *("eu-west-3", "eu-new-1"),
    ),
    "apac": (
        *("ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2"),
        *("ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-new-1"),
    ),
    "jp": ("ap-northeast-1", "ap-northeast-3"),
    "kr": ("ap-northeast-2",),
    "au": ("ap-southeast-2", "ap-southeast-4"),
    "in": ("ap-south-1", "ap-south-2"),
    "sg": ("ap-southeast-1",),
    "ca": ("ca-central-1", "ca-west-1", "ca-new-1"),
    "sa": ("sa-east-1", "sa-new-1"),
    "mx": ("mx-central-1", "mx-new-1"),
    "il": ("il-central-1", "il-new-1"),
    "me": ("me-central-1", "me-south-1", "me-new-1"),
    "uk": ("eu-west-2",),
    "global": ANYWHERE,
}
"""Geo prefix of a profile → the regions that a rule must cover; `new` stands for those yet to be opened.

A rule covers `ANYWHERE` only by a pattern that covers everything, such as `*`."""

IN_REGION: frozenset[Kind] = frozenset(
    {"provisioned-model", "custom-model", "custom-model-deployment", "imported-model", "sagemaker-endpoint"}
)
"""Resources that live, and answer, in the region of their ARN."""
NAMED: frozenset[Kind] = frozenset({"base", "geo-profile", "foundation-model", "inference-profile"})


def outside(
    model_id: ModelId, known: ModelId, region: str | None, *, on_demand: bool, rule: Iterable[str]
) -> str | None:
    """Return why the call would leave the regions of the rule, None where it stays inside.

    `known` is the model behind an opaque id as the operator tells it, `on_demand` that it is called without
    any profile behind. Without `region`, where the call is sent to is not looked at.
    """
    patterns = tuple(rule)
    source = [place for place in (region, model_id.region) if place is not None]
    for place in source:
        if not inside(place, patterns):
            return f"it would be processed in {place}"
    led = reach(model_id, known, on_demand=on_demand)
    away = next((place for place in (ANYWHERE if led is None else led) if not inside(place, patterns)), None)
    if away is None:
        return None
    if led is None:
        return "it cannot be told where it would be processed"
    return f"its inference profile may lead {'anywhere' if led is ANYWHERE else f'to {away}'}"


def inside(region: str, rule: Iterable[str]) -> bool:
    """Say whether a region is one of the rule's."""
    return any(fnmatchcase(region, pattern) for pattern in rule)


def reach(model_id: ModelId, known: ModelId, *, on_demand: bool) -> tuple[str, ...] | None:
    """Return where a call may be led besides the region it is sent to; None where that cannot be told."""
    if model_id.kind in IN_REGION:
        return ()
    named = model_id if model_id.kind in NAMED else known
    if named.geo is not None:
        return REACH.get(named.geo)
    if model_id.kind in NAMED:  # a provider that nobody knows may be the prefix of a new geography
        return () if named.provider in PROVIDERS else None
    # an application profile may be made of a geographic one, though its base model has no prefix
    return () if on_demand and model_id.kind == "application-inference-profile" else None


def elsewhere(model_id: ModelId, region: str) -> str | None:
    """Return why an id cannot be called from `region`, None where it can as far as its name tells."""
    if model_id.region not in {None, region}:
        return f"its ARN belongs to {model_id.region}, not to {region}"
    if model_id.geo is not None and not serves(model_id.geo, region):
        return f"its inference profile cannot be called from {region}"
    return None
