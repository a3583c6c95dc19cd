"""Why a model stopped, read with a family's own table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain import FinishReason
from gateway.errors import UpstreamFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

_MALFORMED = frozenset({"malformed_model_output", "malformed_tool_use"})
"""Bedrock's own verdict that what the model wrote cannot be used."""


def finish_reason(table: Mapping[str, FinishReason], raw: str, unknown: set[str]) -> FinishReason:
    """Return what `raw` means; a word that the table lacks counts as a stop and is reported as unknown.

    Raises:
        UpstreamFailed: the model wrote something that Bedrock could not make sense of.
    """
    if raw in _MALFORMED:
        raise UpstreamFailed("the model produced malformed output", upstream_code=raw)
    reason = table.get(raw)
    if reason is None:
        unknown.add(f"stop_reason:{raw}")
        return FinishReason.STOP
    return reason
