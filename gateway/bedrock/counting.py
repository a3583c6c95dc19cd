"""CountTokens: how many tokens Bedrock would charge a prompt for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.codecs import CODECS
from gateway.upstream import Relay, UpstreamCall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.bedrock.routing import Route
    from gateway.domain import CompletionRequest

OPERATION: Final = "count-tokens"
COUNTED: Final = frozenset({"messages", "system", "toolConfig", "additionalModelRequestFields"})
"""What of a Converse body the operation takes."""


def calls_of(request: CompletionRequest, route: Route) -> list[UpstreamCall]:
    """Return the calls that count what this request would ask Converse.

    Raises:
        InvalidRequest: Converse cannot be asked that.
    """
    model = route.bodies[0]
    asked: dict[str, Any] = orjson.loads(CODECS["converse"].format(request, model))
    converse = {name: value for name, value in asked.items() if name in COUNTED}
    body = orjson.dumps({"input": {"converse": converse}})
    return at_the_base(
        UpstreamCall(place.model, body, {}, (), place.target, relay=Relay(OPERATION, None))
        for place in route.places
    )


def at_the_base(calls: Iterable[UpstreamCall]) -> list[UpstreamCall]:
    """Return calls that ask the foundation model: Bedrock counts for none of its profiles (§2.1)."""
    return [
        call._replace(model=replace(call.model, id=call.model.base_id or call.model.id, streaming=False))
        for call in calls
    ]
