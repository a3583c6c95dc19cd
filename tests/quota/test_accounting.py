"""The gateway's books and the far end's, after outcomes of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.emulator import Tokens
from tests.quota.accounting import TEAMS, compare, keep_books, told

if TYPE_CHECKING:
    import io

    from gateway.emulator import Call


async def test_they_agree_where_answers_are_drained(log: io.StringIO) -> None:
    """Whatever becomes of a request, the gateway knows to the token what its answer costs.

    But for what Bedrock itself breaks off: its tokens are told at the end of an answer only, so that those
    are estimated, and said to be.
    """
    books = await keep_books(200, 7, log, on_disconnect="drain")

    found = compare(books)
    assert (found.unequal, found.untold, found.unbilled) == ([], [], 0)
    assert found.accuracies.keys() <= {"final", "estimated", "partial"}
    assert {line["outcome"] for line in books.lines} == {"ok", "error", "disconnected"}
    told_of = [line for line in books.lines if line.get("usage_accuracy", "final") != "final"]
    assert {line["outcome"] for line in told_of if "upstream_request_id" in line} == {"error"}
    of = {line["upstream_request_id"]: line for line in books.lines if "upstream_request_id" in line}
    for team in TEAMS:
        answers = [call for call in books.calls if of[call.request_id]["caller"] == team]
        sums = Tokens(*map(sum, zip(*(known(of[call.request_id], call) for call in answers), strict=True)))
        assert sums == books.totals[team]


def known(line: dict[str, Any], call: Call) -> Tokens:
    """Return what the gateway told of an answer, what was billed where it could not know."""
    assert call.billed is not None
    return told(line) if line["usage_accuracy"] == "final" else call.billed
