"""Calls in Bedrock's own words: the caller's body for one operation, to each place that may take it."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from gateway.catalog.charges import charged_in_its_words
from gateway.catalog.model import Model
from gateway.upstream import Relay, UpstreamCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from random import Random

    from gateway.bedrock.routing import Route, Router
    from gateway.catalog.model import Api, Family
    from gateway.upstream import RelayedOperation, RelayRequest

_new = tuple.__new__  # a NamedTuple's own constructor is Python, and takes thrice as long
OPERATIONS: Final[Mapping[RelayedOperation, tuple[Api, bool]]] = MappingProxyType(
    {
        "invoke": ("invoke", False),
        "invoke-with-response-stream": ("invoke", True),
        "converse": ("converse", False),
        "converse-stream": ("converse", True),
        "count-tokens": ("converse", False),
    }
)
"""Which pair of operations each belongs to, and whether it streams."""
OTHER_WORDS: Final[tuple[tuple[str, bytes, Family], ...]] = (
    ("anthropic.claude-v2", b'"max_tokens_to_sample"', "claude_text"),
    ("anthropic.claude-instant-", b'"max_tokens_to_sample"', "claude_text"),
    ("mistral.m", b'"messages"', "mistral_chat"),
    ("deepseek.", b'"messages"', "openai_chat"),
)
"""Models that speak in two ways: whose words a body is in that has this in it."""
OWN_FIELDS: Final = b'"additionalModelRequestFields"'
"""In a Converse body: what only the family that it was written for understands."""


def calls_of(request: RelayRequest, router: Router, rng: Random) -> list[UpstreamCall]:
    """Return the calls for a request, the best first, each with the caller's body as it came.

    A fallback model gets it if it can be in its words: a Converse body, or one for its own family.

    Raises:
        UnknownModel: there is no such model here.
    """
    operation = request.operation
    api, streaming = OPERATIONS[operation]
    routes = router.relay_routes(request.model, api, streaming=streaming)
    family: Family | None = None
    if operation == "count-tokens":
        routes = routes[:1]  # what another model would count is of no use
    elif api == "converse":
        family = "converse"
    else:
        family = _family(routes[0].bodies[0], request.body)
    relay = _new(Relay, (operation, family, request.framing, None))
    body, headers = request.body, request.headers
    calls = []
    for route in routes if len(routes) == 1 else _understood(routes, api, body):
        for place in route.drawn(rng):
            model = charged_in_its_words(place.model, body, headers)
            parts = model, body, headers, (), place.target, route.fallback, relay, "", ""
            calls.append(_new(UpstreamCall, parts))
    return calls


def _family(model: Model, body: bytes) -> Family | None:
    for sign, other in _other_words(model.base_id or ""):
        if sign in body:
            return other
    return model.native_family


@lru_cache(maxsize=256)
def _other_words(base_id: str) -> list[tuple[bytes, Family]]:
    return [(sign, other) for prefix, sign, other in OTHER_WORDS if base_id.startswith(prefix)]


def _understood(routes: Sequence[Route], api: Api, body: bytes) -> Iterable[Route]:
    if api == "converse" and OWN_FIELDS not in body:
        return routes
    own = routes[0].bodies[0].native_family
    return [
        route
        for number, route in enumerate(routes)
        if not number or (own is not None and route.bodies[0].native_family == own)
    ]


def guardrail_calls(identifier: str, version: str, body: bytes, targets: Iterable[str]) -> list[UpstreamCall]:
    """Return the calls that apply a guardrail; it is an account's own, so others may not know it."""
    path = f"/guardrail/{quote(identifier, safe='')}/version/{quote(version, safe='')}/apply"
    model = Model(
        id=path, base_id=None, provider="amazon", native_family=None, api="converse", streaming=False
    )
    relay = Relay("apply", None, path=path)
    return [UpstreamCall(model, body, {}, (), target, relay=relay) for target in targets]
