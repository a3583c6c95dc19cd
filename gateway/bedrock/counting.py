"""CountTokens: how many tokens Bedrock would charge a prompt for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.codecs import CODECS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.catalog.model import Model
    from gateway.domain import CompletionRequest
    from gateway.upstream import UpstreamCall

COUNTED: Final = frozenset({"messages", "system", "toolConfig", "additionalModelRequestFields"})
"""What of a Converse body the operation takes."""


def body(request: CompletionRequest, model: Model) -> bytes:
    """Return the body that counts what this request would ask Converse.

    Raises:
        InvalidRequest: Converse cannot be asked that.
    """
    asked: dict[str, Any] = orjson.loads(CODECS["converse"].format(request, model))
    converse = {name: value for name, value in asked.items() if name in COUNTED}
    return orjson.dumps({"input": {"converse": converse}})


def at_the_base(calls: Iterable[UpstreamCall]) -> list[UpstreamCall]:
    """Return calls that ask the foundation model: Bedrock counts for none of its profiles (§2.1)."""
    return [
        call._replace(model=replace(call.model, id=call.model.base_id or call.model.id, streaming=False))
        for call in calls
    ]
