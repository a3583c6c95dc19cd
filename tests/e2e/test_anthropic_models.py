"""The list of models under /v1/models, as Anthropic's clients ask for it: by the header that they send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.harness import CLAUDE, LLAMA, NOVA

if TYPE_CHECKING:
    from tests.harness import Caller

VERSION = {"anthropic-version": "2023-06-01"}


async def get(caller: Caller, path: str = "", **headers: str) -> tuple[int, Any]:
    """GET what is under /v1/models."""
    sent = headers or VERSION
    async with caller.session.get(f"{caller.url}/v1/models{path}", headers=sent) as response:
        answer = await response.json()
        if sent == VERSION:
            assert response.headers["request-id"] == response.headers["X-Request-Id"]
        return response.status, answer


async def _ids(caller: Caller, query: str = "") -> list[str]:
    """Return the ids of a page, of which the first and the last are told beside."""
    status, page = await get(caller, query)
    ids = [model["id"] for model in page["data"]]
    assert (status, page["first_id"], page["last_id"]) == (
        200,
        ids[0] if ids else None,
        ids[-1] if ids else None,
    )
    return ids


async def test_a_model(caller: Caller) -> None:
    """It has Anthropic's fields, in the list and by itself; when it was made is not known."""
    status, page = await get(caller, "?limit=1000")
    [listed] = [model for model in page["data"] if model["id"] == CLAUDE]

    assert (status, page["has_more"], set(page)) == (200, False, {"data", "has_more", "first_id", "last_id"})
    assert listed == {
        "type": "model",
        "id": CLAUDE,
        "display_name": "Claude Sonnet 4.5",
        "created_at": "1970-01-01T00:00:00Z",
    }
    assert await get(caller, f"/{CLAUDE}") == (200, listed)


async def test_pages(caller: Caller) -> None:
    """They make the whole list, forwards and backwards."""
    every = await _ids(caller, "?limit=1000")
    assert await _ids(caller) == every[:20]

    found = await _ids(caller, "?limit=50")
    while (await get(caller, f"?limit=50&after_id={quote(found[-1])}"))[1]["data"]:
        found += await _ids(caller, f"?limit=50&after_id={quote(found[-1])}")
    assert found == every
    assert await _ids(caller, f"?limit=2&before_id={quote(every[5])}") == every[3:5]
    assert await _ids(caller, f"?before_id={quote(every[2])}") == every[:2]
    assert await _ids(caller, f"?before_id={quote(every[0])}") == []


@pytest.mark.parametrize(
    ("query", "has_more"),
    [
        ("?limit=1", True),
        ("?limit=1000", False),
        ("?limit=1&before_id={second}", False),
        ("?limit=1&before_id={third}", True),
        ("?after_id={last}", False),
        ("?limit=1&after_id={second}", True),
    ],
)
async def test_whether_there_is_more(query: str, has_more: object, caller: Caller) -> None:
    """In the direction in which the caller goes."""
    every = await _ids(caller, "?limit=1000")
    query = query.format(second=quote(every[1]), third=quote(every[2]), last=quote(every[-1]))

    assert (await get(caller, query))[1]["has_more"] is has_more


@pytest.mark.parametrize(
    ("query", "param"),
    [
        *((f"?limit={limit}", "limit") for limit in ("0", "1001", "x", "", "-1", "1.0", "99999", "%D9%A1")),
        ("?limit=1&limit=2", "limit"),
        ("?after_id=nobody", "after_id"),
        ("?before_id=", "before_id"),
        (f"?after_id={CLAUDE}&before_id={NOVA}", "before_id"),
        ("/no/such/model", "model"),
    ],
)
async def test_refusals(query: str, param: str, caller: Caller) -> None:
    """They are in Anthropic's shape and name what is wrong."""
    status, answer = await get(caller, query)

    kind = {400: "invalid_request_error", 404: "not_found_error"}[status]
    assert (answer["type"], answer["error"]["type"], answer["error"]["param"]) == ("error", kind, param)


@pytest.mark.parametrize("path", ["", f"/{LLAMA}"])
async def test_versions(path: str, caller: Caller) -> None:
    """One that is not spoken is refused; nobody's is OpenAI's."""
    status, refused = await get(caller, path, **{"anthropic-version": "1999-01-01"})

    assert (status, refused["type"], refused["error"]["param"]) == (400, "error", "anthropic-version")
    _, answer = await get(caller, path, accept="application/json")
    assert answer["object"] in {"list", "model"}
