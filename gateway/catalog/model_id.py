"""The grammar of Bedrock model ids: what a caller may write where a model is named.

Bedrock's own pattern lets nearly everything through and answers the rest with a 400, so this grammar is ours:
strict in shape (an id becomes part of a URL), tolerant in names (new models and new geo prefixes appear every
month). Sources: `InvokeModelIdentifier`, `ConversationalModelId` and `InvokedModelId` of the bedrock-runtime
service model, and the ids in public price lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias

from gateway.errors import UnknownModel

MAX_LENGTH = 2048
"""Characters; the service model's limit for a model id or ARN."""

Kind: TypeAlias = Literal[
    "base",
    "geo-profile",
    "foundation-model",
    "inference-profile",
    "application-inference-profile",
    "provisioned-model",
    "custom-model",
    "custom-model-deployment",
    "imported-model",
    "prompt-router",
    "default-prompt-router",
    "prompt",
    "sagemaker-endpoint",
]

PROVIDERS = frozenset(
    {
        "ai21",
        "amazon",
        "anthropic",
        "cohere",
        "deepseek",
        "google",
        "luma",
        "meta",
        "minimax",
        "mistral",
        "moonshot",
        "moonshotai",
        "nvidia",
        "openai",
        "qwen",
        "stability",
        "twelvelabs",
        "writer",
        "xai",
        "zai",
    }
)

_SEEN = ("us", "us-gov", "eu", "apac", "jp", "au", "in", "global")  # in public data
_POSSIBLE = ("ca", "sa", "mx", "me", "il", "uk", "kr", "sg")  # by AWS's naming
GEO_PREFIXES = frozenset({*_SEEN, *_POSSIBLE})
"""A prefix that is missing here is told by the provider behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelId:
    """A model id taken apart; `raw` is what was written.

    `base_id` is the foundation model without geo prefix and context suffix, None where the id is opaque.
    `provider` is None where it cannot be told. `context` is the context length of a provisioned variant as
    written (`48k`). `partition`, `region` and `account` belong to ARNs; region and account may be empty
    (a foundation model belongs to no account), then they are None.
    """

    raw: str
    kind: Kind
    base_id: str | None = None
    provider: str | None = None
    geo: str | None = None
    context: str | None = None
    partition: str | None = None
    region: str | None = None
    account: str | None = None


def parse(text: str) -> ModelId:
    """Take a model id or ARN apart.

    Raises:
        UnknownModel: `text` is none of the forms; the message says what is wrong with it.
    """
    if not text:
        _refuse("it is empty", text)
    if len(text) > MAX_LENGTH:
        _refuse(f"it is longer than {MAX_LENGTH} characters", text)
    return _parse_arn(text) if text[:4].lower() == "arn:" else _parse_id(text)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an ARN points; a plain id points nowhere."""

    partition: str | None = None
    region: str | None = None
    account: str | None = None


_NOWHERE = _Place()


# ── plain ids ─────────────────────────────────────────────────────────────────────────────────────────

_ID = re.compile(r"[A-Za-z0-9]+(?:[._:-][A-Za-z0-9]+|--+[A-Za-z0-9]+)*")
_CONTEXT = re.compile(
    r":([0-9]+k|mm|(?<=:[0-9]:)[0-9]+)\Z"
)  # `:48k`, `:mm`, and the bare `:512` behind a version
_PROVIDER = re.compile(r"[a-z][a-z0-9]*")


def _parse_id(text: str) -> ModelId:
    if not _ID.fullmatch(text):
        _refuse("it has characters or empty labels that no model id has", text)
    return _named(text, raw=text, kind="base", profile="geo-profile")


def _named(name: str, *, raw: str, kind: Kind, profile: Kind, where: _Place = _NOWHERE) -> ModelId:
    """Take `[geo.]provider.model[:version][:context]` apart; the model's own name may have dots."""
    geo, base = _split_geo(name)
    context = _CONTEXT.search(base)
    if context:
        base = base[: context.start()]
    provider, dot, _ = base.partition(".")
    return ModelId(
        raw=raw,
        kind=kind if geo is None else profile,
        base_id=base,
        provider=provider if dot and _PROVIDER.fullmatch(provider) else None,
        geo=geo,
        context=context[1] if context else None,
        partition=where.partition,
        region=where.region,
        account=where.account,
    )


def _split_geo(name: str) -> tuple[str | None, str]:
    """Known prefixes are prefixes; an unknown first label is one if only the second is a provider."""
    first, dot, rest = name.partition(".")
    if not dot or first in PROVIDERS:
        return None, name
    if first in GEO_PREFIXES or ("." in rest and rest.partition(".")[0] in PROVIDERS):
        return first, rest
    return None, name


# ── ARNs ──────────────────────────────────────────────────────────────────────────────────────────────

_PARTITION = re.compile(r"aws(?:-[a-z0-9]+)*")  # aws, aws-cn, aws-us-gov, aws-iso-b, aws-eusc, …
_REGION = re.compile(r"[a-z0-9-]{1,20}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_OPAQUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_PROMPT = re.compile(r"[0-9A-Za-z]{10}(?::[0-9]{1,5})?")
_ENDPOINT = re.compile(r"[A-Za-z0-9-]+")

_OPAQUE_RESOURCES: dict[str, tuple[Kind, re.Pattern[str]]] = {
    "application-inference-profile": ("application-inference-profile", _OPAQUE),
    "provisioned-model": ("provisioned-model", _OPAQUE),
    "custom-model-deployment": ("custom-model-deployment", _OPAQUE),
    "imported-model": ("imported-model", _OPAQUE),
    "prompt": ("prompt", _PROMPT),
}
_ROUTERS: dict[str, Kind] = {
    "prompt-router": "prompt-router",
    "default-prompt-router": "default-prompt-router",
}
_NAMED: dict[str, Kind] = {"foundation-model": "foundation-model", "inference-profile": "inference-profile"}
_ARN_FIELDS = 6


def _parse_arn(text: str) -> ModelId:
    fields = text.split(":", _ARN_FIELDS - 1)
    if len(fields) != _ARN_FIELDS or fields[0] != "arn":
        _refuse("an ARN has the form arn:partition:service:region:account:resource", text)
    _, partition, service, region, account, resource = fields
    if not _PARTITION.fullmatch(partition):
        _refuse("its partition is not one of AWS's", text)
    kind, slash, name = resource.partition("/")
    if not slash or not name:
        _refuse("its resource has no name", text)
    if service not in ("bedrock", "sagemaker"):
        _refuse("its service is neither bedrock nor sagemaker", text)
    where = _place(text, kind, partition, region, account)
    if service == "sagemaker":
        return _sagemaker(text, kind, name, where)
    return _bedrock(text, kind, name, where)


def _place(text: str, kind: str, partition: str, region: str, account: str) -> _Place:
    shared = kind == "foundation-model"  # these belong to AWS: no account; global profiles list no region
    if not (_REGION.fullmatch(region) or (shared and not region)):
        _refuse("its region is not one", text)
    if shared and account:
        _refuse("a foundation-model ARN has no account", text)
    if not shared and not _ACCOUNT.fullmatch(account):
        _refuse("its account is not 12 digits", text)
    return _Place(partition, region or None, account or None)


def _sagemaker(text: str, kind: str, name: str, where: _Place) -> ModelId:
    if kind != "endpoint" or not _ENDPOINT.fullmatch(name):
        _refuse("a sagemaker ARN must name an endpoint", text)
    return _opaque(text, "sagemaker-endpoint", where)


def _bedrock(text: str, kind: str, name: str, where: _Place) -> ModelId:
    if kind in _OPAQUE_RESOURCES:
        known, pattern = _OPAQUE_RESOURCES[kind]
        if not pattern.fullmatch(name):
            _refuse(f"its {kind} name has characters that none has", text)
        return _opaque(text, known, where)
    if kind in _ROUTERS:
        return _router(text, _ROUTERS[kind], name, where)
    if kind == "custom-model":
        return _custom_model(text, name, where)
    if kind not in _NAMED:
        _refuse("its resource type is not a model's", text)
    return _arn_of_name(text, _NAMED[kind], name, where)


def _opaque(text: str, kind: Kind, where: _Place, provider: str | None = None) -> ModelId:
    return ModelId(
        raw=text,
        kind=kind,
        provider=provider,
        partition=where.partition,
        region=where.region,
        account=where.account,
    )


def _arn_of_name(text: str, kind: Kind, name: str, where: _Place) -> ModelId:
    if not _ID.fullmatch(name):
        _refuse("the model id in it has characters or empty labels that no model id has", text)
    return _named(name, raw=text, kind=kind, profile=kind, where=where)


def _custom_model(text: str, name: str, where: _Place) -> ModelId:
    """`custom-model/{provider.model}/{id}`: the model it was made from stands in the path."""
    base, slash, own = name.partition("/")
    if not slash or not _OPAQUE.fullmatch(own):
        _refuse("a custom-model ARN has the form …:custom-model/provider.model/id", text)
    return _arn_of_name(text, "custom-model", base, where)


def _router(text: str, kind: Kind, name: str, where: _Place) -> ModelId:
    """Default routers are named after a family (`anthropic.claude:1`), not after a model."""
    if not _OPAQUE.fullmatch(name):
        _refuse("its prompt-router name has characters that none has", text)
    label = name.partition(".")[0]
    return _opaque(text, kind, where, provider=label if label in PROVIDERS else None)


# ── refusing ──────────────────────────────────────────────────────────────────────────────────────────

_FORMS = (
    "a model id (provider.model-v1:0), an inference profile id (us.provider.model-v1:0), or the ARN of a "
    "foundation model, inference profile, application inference profile, provisioned model, custom model, "
    "custom model deployment, imported model, prompt router, prompt or SageMaker endpoint"
)
_SHOWN = 64
_HIDDEN = re.compile(r"[^A-Za-z0-9._:/-]")


def shown(text: str) -> str:
    """Return `text` fit for an error message: shortened, and nothing in it but an id's characters."""
    cut = text[:_SHOWN]
    return _HIDDEN.sub("?", cut) + ("…" if len(text) > len(cut) else "")


def _refuse(reason: str, text: str) -> NoReturn:
    raise UnknownModel(
        f"'{shown(text)}' is not a Bedrock model id: {reason}. Accepted: {_FORMS}.", param="model"
    )
