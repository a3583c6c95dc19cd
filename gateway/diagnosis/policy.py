"""What IAM must let through, for an identity of the gateway's, so that the settings in force can work.

Pure: settings in, a policy and what an operator should know about it out.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from gateway.catalog.cards import load_cards
from gateway.catalog.iam import (
    BY_PROFILE,
    BY_ROUTER,
    Permission,
    Place,
    counted,
    of_everything,
    of_model,
    of_pattern,
)
from gateway.catalog.model_id import parse
from gateway.catalog.profiles import profile_ids
from gateway.errors import InvalidRequest, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gateway.bedrock.routing import Route, Router
    from gateway.catalog.cards import Card
    from gateway.settings import AwsSettings, CredentialSettings, Settings

UNARY: Final = ("bedrock:InvokeModel",)
"""Converse needs the same."""
BOTH: Final = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
SIDS: Final = {
    (BOTH, None): "Ask",
    (BOTH, BY_PROFILE): "AskByProfile",
    (BOTH, BY_ROUTER): "AskByRouter",
    (UNARY, None): "AskUnary",
    (UNARY, BY_PROFILE): "AskUnaryByProfile",
    (UNARY, BY_ROUTER): "AskUnaryByRouter",
}
EVERYTHING: Final = (
    "WARNING: every model, profile and own model of the account may be asked: custom_model_ids is on, and "
    "nothing is said in allowed_models. For a policy that names models set allowed_models, or "
    "GATEWAY_CUSTOM_MODEL_IDS=false."
)


@dataclass(slots=True)
class Needs:
    """What is needed at one or more targets, and what must be told about it."""

    asked: set[tuple[tuple[str, ...], Permission]] = field(default_factory=set)
    counted: set[str] = field(default_factory=set)
    reranks: bool = False
    notes: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as IAM takes it, and notes about it, each a line."""

    document: dict[str, Any]
    notes: list[str]


def roles(settings: Settings) -> list[str]:
    """Return the roles that are assumed, each once."""
    chains = (_chain(*place) for place in settings.places().values())
    return list(dict.fromkeys(arn for chain in chains for arn in chain))


def policy_of(
    role: str | None, settings: Settings, router: Router, *, account: str, guardrails: Sequence[str]
) -> Policy:
    """Return the policy of a role that is assumed, or of the gateway's own identity (None).

    `account` is that of profiles, `*` for any; `guardrails` are ids or ARNs that callers may name.
    """
    chains = {name: _chain(*place) for name, place in settings.places().items()}
    targets = [name for name, chain in chains.items() if (chain[-1] if chain else None) == role]
    needs = Needs()
    for name in targets:
        region = router.catalogs[name].region
        if region is None:
            needs.notes["NOTE: no region is set, so the policy names all: set AWS_REGION."] = None
        _collect(needs, settings, router, name, Place(region or "*", account))
    statements = [*_statements(needs), *_of_guardrails(guardrails, router, targets, account)]
    statements += _assuming(settings, chains.values(), role)
    if settings.bedrock.auth == "bearer":
        statements.append(_statement("UseApiKeys", ["bedrock:CallWithBearerToken"], ["*"]))
    notes = [*needs.notes, *_of_roles(role, roles(settings)), *_hints(settings, guardrails)]
    return Policy({"Version": "2012-10-17", "Statement": statements}, notes)


def _chain(aws: AwsSettings, credentials: CredentialSettings) -> tuple[str, ...]:
    """Return the roles that are assumed for a target, one with another; the last one asks Bedrock."""
    first = () if aws.role_to_assume is None else (aws.role_to_assume,)
    return tuple(role.role_arn for role in (*first, *credentials.roles))


# ── the models ────────────────────────────────────────────────────────────────────────────────────────


def _collect(needs: Needs, settings: Settings, router: Router, target: str, place: Place) -> None:
    """Add what requests for all models that are served need at one target."""
    names, patterns = _served(settings, place.region)
    for name in names:
        for actions, model_id, base_id in _asked(name, router, target):
            parsed = parse(model_id)
            needs.asked |= {(actions, one) for one in of_model(parsed, base_id, place)}
            if parsed.kind in {"prompt", "sagemaker-endpoint"}:
                needs.notes[_more(parsed.kind, model_id)] = None
            if base_id is not None and counted(base_id) is not None:
                needs.counted.add(place.model(base_id))
            needs.reranks |= _ranks(load_cards().get(base_id or ""))
    for pattern in patterns:
        found = of_everything(place) if pattern == "*" else of_pattern(pattern, place)
        needs.asked |= {(BOTH if settings.bedrock.streaming else UNARY, one) for one in found}
        needs.reranks |= any(fnmatchcase(card.id, pattern) for card in load_cards().values() if _ranks(card))
        if (claude := counted(pattern)) is not None:
            needs.counted.add(place.model(claude))
        needs.notes[EVERYTHING if pattern == "*" else _wide(pattern)] = None


def _ranks(card: Card | None) -> bool:
    return card is not None and "score" in card.gives


def _served(settings: Settings, region: str) -> tuple[list[str], list[str]]:
    """Return the names that can be asked for, and the patterns of ids beyond them."""
    named = [
        *settings.aliases,
        *settings.models,
        *(model.id for provider in settings.providers.values() for model in provider.models),
    ]
    if settings.default_model is not None:
        named.append(settings.default_model)
    allowed = ("*",) if settings.allowed_models is None else settings.allowed_models
    patterns = [one for one in allowed if any(shell in one for shell in "*?[")]
    named += [one for one in allowed if one not in patterns]
    if settings.custom_model_ids:
        return list(dict.fromkeys(named)), patterns
    for card in load_cards().values():
        named += [card.id, *profile_ids(card, None if region == "*" else region)]
    return list(dict.fromkeys(named)), []


def _asked(name: str, router: Router, target: str) -> Iterator[tuple[tuple[str, ...], str, str | None]]:
    """Yield the actions, the id and the model behind it, for each call that a name leads to at a target."""
    for route in _routes(name, router):
        for place in route.places:
            if place.target == target:
                yield BOTH if place.model.streaming else UNARY, place.model.id, place.model.base_id


def _routes(name: str, router: Router) -> Iterable[Route]:
    """Return the routes of a model of any kind; none where it is not served."""
    with suppress(InvalidRequest, UnknownModel):
        return router.routes(name)
    with suppress(InvalidRequest, UnknownModel):
        return [router.embedding_route(name)]
    with suppress(InvalidRequest, UnknownModel):
        card = router.preferred.card(name)
        if card is not None and card.family is None and "embedding" not in card.gives:
            return router.relay_routes(name, "invoke", streaming=False)
    return []


# ── the policy ────────────────────────────────────────────────────────────────────────────────────────


def _statement(sid: str, actions: Sequence[str], resources: Iterable[str], **more: Any) -> dict[str, Any]:
    covered = sorted(set(resources))
    least = [one for one in covered if not any(fnmatchcase(one, other) for other in covered if other != one)]
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": least, **more}


def _statements(needs: Needs) -> Iterator[dict[str, Any]]:
    groups: defaultdict[tuple[tuple[str, ...], str | None], list[Permission]] = defaultdict(list)
    for actions, permission in needs.asked:
        groups[actions, permission.condition].append(permission)
    for key, sid in SIDS.items():
        if key not in groups:
            continue
        actions, condition = key
        more = {}
        if condition is not None:
            by = sorted({one.by for one in groups[key] if one.by is not None})
            more = {"Condition": {"StringLike": {condition: by}}}
        yield _statement(sid, actions, (one.resource for one in groups[key]), **more)
    if needs.counted:
        yield _statement("CountTokens", ["bedrock:CountTokens"], needs.counted)
    if needs.reranks:  # it has no resources; the model's InvokeModel is asked besides
        yield _statement("Rerank", ["bedrock:Rerank"], ["*"])


def _of_guardrails(
    guardrails: Sequence[str], router: Router, targets: Sequence[str], account: str
) -> Iterator[dict[str, Any]]:
    if guardrails and targets:
        places = [Place(router.catalogs[name].region or "*", account) for name in targets]
        arns = [
            one if one.startswith("arn:") else place.owned("guardrail", one)
            for one in guardrails
            for place in places
        ]
        yield _statement("Guardrails", ["bedrock:ApplyGuardrail"], arns)


def _assuming(
    settings: Settings, chains: Iterable[tuple[str, ...]], role: str | None
) -> Iterator[dict[str, Any]]:
    """Yield what assuming the next roles needs; a caller's session is one more of the last role."""
    chains = list(chains)
    assumed = {arn for chain in chains for by, arn in zip((None, *chain), chain, strict=False) if by == role}
    if assumed:
        places = [place for _, place in settings.places().values()]
        tagged = {one.role_arn for place in places for one in place.roles if one.tags}
        if settings.credentials.caller_tag is not None:
            tagged |= {chain[-1] for chain in chains if chain}
        actions = ["sts:AssumeRole", *(["sts:TagSession"] if tagged & assumed else [])]
        yield _statement("AssumeRoles", actions, assumed)


# ── what to tell ──────────────────────────────────────────────────────────────────────────────────────


def _wide(pattern: str) -> str:
    return (
        f"WARNING: {pattern!r} of allowed_models is a pattern in the policy, too: custom_model_ids is on, so "
        "ids that are in no catalogue may be asked."
    )


def _more(kind: str, model_id: str) -> str:
    action = "bedrock:RenderPrompt" if kind == "prompt" else "sagemaker:InvokeEndpoint"
    return f"NOTE: {model_id} needs {action}, too, which this command leaves to you."


def _of_roles(role: str | None, roles: Sequence[str]) -> Iterator[str]:
    yield from (
        f"NOTE: {one} needs a policy of its own: bedrock-gateway iam --role {one}"
        for one in roles
        if one != role
    )


def _hints(settings: Settings, guardrails: Sequence[str]) -> Iterator[str]:
    if not guardrails:
        yield "NOTE: no guardrail is let through; name those that callers may name: --guardrail ID"
    if settings.bedrock.s3_locations:
        yield "NOTE: bedrock.s3_locations is on: reading those objects (s3:GetObject) is not part of this."
