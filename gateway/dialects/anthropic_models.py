"""Anthropic's model objects, and the pages of their list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNKNOWN_DATE: Final = "1970-01-01T00:00:00Z"
"""What Anthropic says where it does not know when a model was made; of Bedrock's models nobody says it."""
LIMIT: Final = 20
"""Models of one page, unless more or fewer are asked for."""
MAX_LIMIT: Final = 1000
_NUMBER: Final = re.compile(r"[0-9]{1,4}")


def model(name: str, title: str) -> dict[str, Any]:
    """Return one model; `title` is for people."""
    return {"type": "model", "id": name, "display_name": title, "created_at": UNKNOWN_DATE}


def page(models: Sequence[dict[str, Any]], query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the page that a query asks for by `limit`, and `after_id` or `before_id`.

    `has_more` tells of those in the direction of the cursor: before the page where it is `before_id`.

    Raises:
        InvalidRequest: `limit` is none, a cursor is no model of the list, or both cursors are given.
    """
    limit = _limit(_once(query, "limit"))
    after, before = _once(query, "after_id"), _once(query, "before_id")
    if after is not None and before is not None:
        raise InvalidRequest("Give `after_id` or `before_id`, not both.", param="before_id")
    if before is None:
        first = 0 if after is None else _place(models, after, "after_id") + 1
        shown, has_more = models[first : first + limit], first + limit < len(models)
    else:
        end = _place(models, before, "before_id")
        shown, has_more = models[max(end - limit, 0) : end], end > limit
    return {
        "data": list(shown),
        "has_more": has_more,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }


def _once(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = query.get(name, ())
    if len(values) > 1:
        raise InvalidRequest(f"{name}: give it once.", param=name)
    return values[0] if values else None


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= MAX_LIMIT:
        raise InvalidRequest(f"limit: give a whole number from 1 to {MAX_LIMIT}.", param="limit")
    return int(text)


def _place(models: Sequence[dict[str, Any]], name: str, cursor: str) -> int:
    for number, known in enumerate(models):
        if known["id"] == name:
            return number
    raise InvalidRequest(f"{cursor}: no model of the list has this id.", param=cursor)
