"""What a policy of IAM must let through so that Bedrock may be asked for a model.

Sources: AWS's documentation of cross-region inference ("Prerequisites for inference profiles": the profile in
the region asked, and the foundation model in every region that it leads to, by `bedrock:InferenceProfileArn`;
for global profiles the foundation model without a region, too), of prompt routers, of prompt management, of
Bedrock Marketplace, and of reranking. The regions that a profile leads to grow: where a geography is not a
short list, its pattern stands here, and the condition keeps it from being more than the profile's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.catalog.model_id import GEO_PREFIXES
from gateway.catalog.residency import ANYWHERE, REACH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.catalog.model_id import ModelId

PARTITIONS: Final = (("us-gov-", "aws-us-gov"), ("cn-", "aws-cn"))
BY_PROFILE: Final = "bedrock:InferenceProfileArn"
BY_ROUTER: Final = "bedrock:PromptRouterArn"
IN_ACCOUNT: Final = (
    *("inference-profile", "application-inference-profile", "provisioned-model", "custom-model"),
    *("custom-model-deployment", "imported-model", "prompt-router", "default-prompt-router"),
)
"""Resources of an account that stand where a model is named."""
_NEW: Final = "new-1"


class Permission(NamedTuple):
    """A resource that is asked; with `condition` only by way of `by`, a key of conditions and its value."""

    resource: str
    condition: str | None = None
    by: str | None = None


class Place(NamedTuple):
    """From where Bedrock is asked. `*` for a region or an account that is not known."""

    region: str
    account: str

    @property
    def partition(self) -> str:
        """AWS's partition of the region."""
        return next((name for prefix, name in PARTITIONS if self.region.startswith(prefix)), "aws")

    def owned(self, kind: str, name: str) -> str:
        """Return the ARN of a resource of the account."""
        return f"arn:{self.partition}:bedrock:{self.region}:{self.account}:{kind}/{name}"

    def model(self, name: str, region: str | None = None) -> str:
        """Return the ARN of a foundation model, in another region where one is named."""
        where = self.region if region is None else region
        return f"arn:{self.partition}:bedrock:{where}::foundation-model/{name}"


def of_model(model_id: ModelId, base_id: str | None, place: Place) -> Iterator[Permission]:
    """Yield what calls of one model need; `base_id` is the model behind it, as far as it is known."""
    kind, raw = model_id.kind, model_id.raw
    if kind == "base":
        yield Permission(place.model(raw))
    elif kind in {"geo-profile", "inference-profile"}:
        arn = raw if kind == "inference-profile" else place.owned("inference-profile", raw)
        source = Place(model_id.region or place.region, place.account)
        name = raw.partition("/")[2] if kind == "inference-profile" else raw
        yield from _profile(arn, model_id.geo, name, source)
    else:
        yield Permission(raw)
        yield from _behind(model_id, base_id, place)


def _behind(model_id: ModelId, base_id: str | None, place: Place) -> Iterator[Permission]:
    if model_id.kind == "application-inference-profile":  # which geography it is made of does not show
        yield Permission(place.model(base_id or "*", "*"), BY_PROFILE, model_id.raw)
    elif model_id.kind in {"prompt-router", "default-prompt-router"}:
        yield Permission(place.model("*", "*"), BY_ROUTER, model_id.raw)
        yield Permission(place.owned("inference-profile", "*"), BY_ROUTER, model_id.raw)
    elif model_id.kind == "prompt":  # its model stands in the prompt
        yield Permission(place.model(base_id or "*", "*"))


def _profile(arn: str, geo: str | None, name: str, source: Place) -> Iterator[Permission]:
    yield Permission(arn)
    base = name if geo is None else name.removeprefix(f"{geo}.")
    for region in destinations(geo, source.region):
        yield Permission(source.model(base, region), BY_PROFILE, arn)


def destinations(geo: str | None, source: str) -> tuple[str, ...]:
    """Return the regions, or patterns of them, that a profile leads to from `source`; "" is none at all."""
    reached = REACH.get(geo or "")
    if reached is None:
        return ("*",)
    if reached is ANYWHERE:
        return (source, "")
    open_ended = tuple(name.removesuffix(_NEW) + "*" for name in reached if name.endswith(_NEW))
    listed = () if open_ended else reached
    inside = any(source.startswith(one.rstrip("*")) for one in open_ended) or source in listed
    return (*open_ended, *listed) if inside else (source, *open_ended, *listed)


def of_pattern(pattern: str, place: Place) -> Iterator[Permission]:
    """Yield what calls of every model need whose id matches a pattern of shells (`*`, `?`, `[…]`)."""
    own = re.sub(r"\[[^\]]*\]", "?", pattern)  # policies know no `[…]`
    geo, dot, rest = own.partition(".")
    if own.startswith("arn:"):
        yield Permission(own)
        yield Permission(place.model("*", "*"), BY_PROFILE, own)
    elif dot and geo in GEO_PREFIXES:
        yield from _profile(place.owned("inference-profile", own), geo, f"{geo}.{rest}", place)
    else:
        yield Permission(place.model(own))
        if re.search(r"[*?]", geo):  # it may stand for a geography
            profiles = place.owned("inference-profile", own)
            yield Permission(profiles)
            yield Permission(place.model("*", "*"), BY_PROFILE, profiles)


def of_everything(place: Place) -> Iterator[Permission]:
    """Yield what calls of any model of the region, and of any profile and own model of the account, need."""
    yield Permission(place.model("*"))
    for kind in IN_ACCOUNT:
        yield Permission(place.owned(kind, "*"))
    for kind in ("inference-profile", "application-inference-profile"):
        yield Permission(place.model("*", "*"), BY_PROFILE, place.owned(kind, "*"))
    for kind in ("prompt-router", "default-prompt-router"):
        yield Permission(place.model("*", "*"), BY_ROUTER, place.owned(kind, "*"))


def counted(pattern: str) -> str | None:
    """Return the pattern of Claude's base ids that ids of this pattern lead to, None where none is Claude's.

    Only they can be counted for (CountTokens), whichever profile a caller asks for.
    """
    if re.fullmatch(r"arn:.*", pattern):
        return None
    geo, dot, rest = pattern.partition(".")
    base = rest if dot and geo in GEO_PREFIXES else pattern
    if base.startswith("anthropic."):
        return base
    return "anthropic.*" if re.search(r"[*?]", base.partition(".")[0]) else None
