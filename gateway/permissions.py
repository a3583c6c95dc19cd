"""What a caller's rules make of its requests: the calls that it may make.

Every handler asks `Exchange.upstream`, and of a caller with rules that is one of these, so no dialect and no
route gets around them. All of it is pure, and fails before it costs a slot.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from gateway.attribution import AttributedCalls, SessionCalls
from gateway.catalog.cards import load_cards
from gateway.catalog.model_id import parse, shown
from gateway.catalog.residency import inside, outside
from gateway.codecs.output_limits import HIGHEST, OF_THE_MODEL, limited, said, with_limit
from gateway.codecs.parameters import DEFAULT_MAX_TOKENS
from gateway.domain import Allowance
from gateway.errors import Forbidden, InvalidRequest
from gateway.wire import json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.admission.caller import Caller, CallerRules
    from gateway.catalog.directory import ListedModel
    from gateway.catalog.model import Family, Model
    from gateway.domain import CompletionRequest, EmbeddingRequest
    from gateway.upstream import CallMaker, EmbeddingCall, RelayRequest, UpstreamCall

MAX_KEPT: Final = 1_000
"""Decisions in memory for each caller: callers choose the names of models."""
Call = TypeVar("Call", "UpstreamCall", "EmbeddingCall")


class Permissions:
    """Gives each caller the calls that it may make; `regions` go by target, None where unknown.

    `metadata_key`: that of requestMetadata which holds the caller's name; None: none does. `sessions`:
    whether a caller's calls are signed with a session of its own.
    """

    def __init__(
        self,
        upstream: CallMaker,
        regions: Mapping[str, str | None],
        *,
        metadata_key: str | None = None,
        sessions: bool = False,
    ) -> None:
        self._upstream = upstream
        self._regions = regions
        self._metadata_key = metadata_key
        self._sessions = sessions
        self._made: dict[Caller, CallMaker] = {}

    def of(self, caller: Caller) -> CallMaker:
        """Return the upstream as this caller may ask it: the plain one, where no rule says anything."""
        made = self._made.get(caller)
        if made is None:
            rules = caller.rules
            said = (rules.allowed_models, rules.allowed_regions, rules.default_max_tokens, rules.max_tokens)
            made = self._upstream
            if any(rule is not None for rule in said):
                made = PermittedCalls(made, caller, self._regions)
            if self._metadata_key is not None:
                made = AttributedCalls(made, self._metadata_key, caller.name)
            if self._sessions:
                made = SessionCalls(made, caller.name)
            self._made[caller] = made
        return made


class PermittedCalls:
    """The calls that one caller may make; see `gateway.upstream.CallMaker`."""

    def __init__(self, upstream: CallMaker, caller: Caller, regions: Mapping[str, str | None]) -> None:
        self._upstream = upstream
        self._name = caller.name
        self._rules = caller.rules
        self._regions = regions
        self._default = _default(caller.rules)
        self._refusals: dict[tuple[str, str, str], str | None] = {}

    def format(self, request: CompletionRequest) -> Sequence[UpstreamCall]:
        """Make the calls that this caller may make.

        Raises:
            Forbidden: it may not ask this model, or not where it is served.
            InvalidRequest: more tokens than it may ask for.
        """
        if request.max_tokens is not None:
            self._within(request.max_tokens, "max_tokens")
        elif self._default is not None:
            request = replace(request, allowance=Allowance(self._default, self._rules.max_tokens))
        return self._allowed(request.model, self._upstream.format(request))

    def relay(self, request: RelayRequest) -> Sequence[UpstreamCall]:
        """Make the calls that this caller may make, with its limit in the body; raises as `format` does."""
        calls = self._allowed(request.model, self._upstream.relay(request))
        relay = calls[0].relay
        unbound = request.operation == "count-tokens" or not request.body  # a rank's body is still to be made
        if self._default is None or relay is None or unbound or not _writes(calls[0].model):
            return calls
        known = [call.model.max_output_tokens for call in calls]
        body = self._limited(request.body, relay.family, min(filter(None, known), default=None))
        return calls if body is request.body else [call._replace(body=body) for call in calls]

    def relay_guardrail(self, identifier: str, version: str, body: bytes) -> Sequence[UpstreamCall]:
        """Make the calls that apply a guardrail, in the caller's regions."""
        calls = self._upstream.relay_guardrail(identifier, version, body)
        rule = self._rules.allowed_regions
        if rule is None:
            return calls
        near = [call for call in calls if inside(self._regions.get(call.target) or "", rule)]
        if not near:
            raise self._forbidden_place("A guardrail is applied", "in no region that this caller may use")
        return near

    def asked(self, name: str) -> Model:
        """Return the model that is asked first for a name, allowed or not: the calls for it tell."""
        return self._upstream.asked(name)

    def may_ask(self, model: ListedModel) -> bool:
        """Say whether a model of the list is one for this caller."""
        return self._matches(model.id, *model.behind)

    def count(self, name: str) -> Sequence[UpstreamCall]:
        """Make the calls that count the tokens of a prompt for a model; raises as `format` does."""
        return self._allowed(name, self._upstream.count(name))

    def count_body(self, request: CompletionRequest, model: Model) -> bytes:
        """Return the body that counts what this request would ask."""
        return self._upstream.count_body(request, model)

    def format_embeddings(self, request: EmbeddingRequest) -> list[EmbeddingCall]:
        """Make the calls that this caller may make; raises as `format` does."""
        calls = []
        for call in self._upstream.format_embeddings(request):
            first, *others = self._allowed(request.model, [call, *call.elsewhere])
            calls.append(replace(first, elsewhere=tuple(others)))
        return calls

    # ── models and regions ────────────────────────────────────────────────────────────────────────────

    def _allowed(self, asked: str, calls: Sequence[Call]) -> list[Call]:
        """Return those of the calls that may be made, or say why none may."""
        refusals = [self._refusal("" if call.fallback else asked, call) for call in calls]
        allowed = [call for call, refusal in zip(calls, refusals, strict=True) if refusal is None]
        if allowed and not (allowed[0].fallback and not calls[0].fallback):
            return allowed
        raise Forbidden(f"'{shown(asked)}': {refusals[0]}", param="model", detail=refusals[0])

    def _refusal(self, asked: str, call: Call) -> str | None:
        model = call.model
        key = (asked, model.id, call.target)
        if key not in self._refusals:
            if len(self._refusals) >= MAX_KEPT:
                self._refusals.clear()
            self._refusals[key] = self._why_not(asked, model, call.target)
        return self._refusals[key]

    def _why_not(self, asked: str, model: Model, target: str) -> str | None:
        if not self._matches(asked, model.id, model.base_id):
            return f"{self._whose('allowed_models')} does not name this model."
        rule = self._rules.allowed_regions
        if rule is None:
            return None
        told = parse(model.id)
        known = told if model.base_id is None else parse(model.base_id)
        away = outside(told, known, self._regions.get(target), on_demand=False, rule=rule)
        return None if away is None else f"{away}, and {self._whose('allowed_regions')} is {', '.join(rule)}."

    def _matches(self, *names: str | None) -> bool:
        patterns = self._rules.allowed_models
        if patterns is None:
            return True
        return any(fnmatchcase(name, pattern) for name in names if name for pattern in patterns)

    def _forbidden_place(self, what: str, where: str) -> Forbidden:
        words = f"{self._whose('allowed_regions')} forbids it."
        return Forbidden(f"{what} {where}: {words}", detail=words)

    def _whose(self, rule: str) -> str:
        return f"callers.{self._name}.{rule}"

    # ── tokens ────────────────────────────────────────────────────────────────────────────────────────

    def _within(self, limit: int, param: str) -> None:
        most = self._rules.max_tokens
        if most is not None and limit > most:
            raise InvalidRequest(
                f"{param}: {limit} is more than this caller may ask for, which is {most} "
                f"({self._whose('max_tokens')}).",
                param=param,
            )

    def _limited(self, body: bytes, family: Family | None, most: int | None) -> bytes:
        """Return a body that names its limit as the rules want it; the same one where it does already.

        `most`: what the models take, as far as that is known.
        """
        value = orjson.loads(body)  # which was checked where it came in, at seven times the cost
        if family is None:
            raise Forbidden(
                f"{self._whose('max_tokens')} cannot be kept with a model whose words are not known here: "
                "ask it by Converse.",
                param="model",
                detail=f"{self._whose('max_tokens')} cannot be kept with this model",
            )
        if self._rules.max_tokens is not None:
            for place, limit in said(value):
                self._check(limit, ".".join(place))
        elif any(place[0] == OF_THE_MODEL for place, _ in said(value)):
            return body  # Bedrock takes one limit, and this one is in the model's own words
        default = self._default
        if default is None or limited(value, family):
            return body
        put = min(default, most or default, HIGHEST.get(family, default))
        return json.dumps(with_limit(value, family, put))

    def _check(self, limit: Any, param: str) -> None:
        if type(limit) is not int or limit < 0:
            raise InvalidRequest(
                f"{param}: give a whole number; this caller's limit is {self._whose('max_tokens')}.",
                param=param,
            )
        self._within(limit, param)


def _default(rules: CallerRules) -> int | None:
    """Return the limit of a request that names none; None where no rule has anything to say of it."""
    own, most = rules.default_max_tokens, rules.max_tokens
    if most is None:
        return own
    return min(DEFAULT_MAX_TOKENS if own is None else own, most)


def _writes(model: Model) -> bool:
    """Whether a model's answer may be text: of vectors and ranks there is no limit."""
    card = load_cards().get(model.base_id or "")
    return card is None or "text" in card.gives
