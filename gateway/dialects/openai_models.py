"""OpenAI's model objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def model(name: str, provider: str, end_of_life: str | None) -> dict[str, Any]:
    """Return one model; `created` is 0, because nobody says when models of Bedrock's were made.

    `end_of_life` is an ISO date, None where none has been announced.
    """
    shown: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": provider}
    return shown if end_of_life is None else {**shown, "shutdown_date": end_of_life}


def listing(models: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the list of these models."""
    return {"object": "list", "data": list(models)}
