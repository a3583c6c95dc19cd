"""The gateway's books and the far end's, after outcomes of every kind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gateway.admission.reservations import utc_now
from gateway.emulator import Tokens
from tests.harness import ask
from tests.quota.accounting import LUCKY, TEAMS, callers, compare, cost_of_lines, keep_books, spent, told

if TYPE_CHECKING:
    import io

    from gateway.admission.slots import Slot
    from gateway.emulator import Call, Emulator
    from tests.harness import StartGateway


async def test_they_agree_where_answers_are_drained(log: io.StringIO) -> None:
    """Whatever becomes of a request, the gateway knows to the token what its answer costs.

    But for what Bedrock itself breaks off: its tokens are told at the end of an answer only, so that those
    are estimated, and said to be; a budget then counts the prompt, too, of which no line tells the cost.
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
        assert books.spent[team] >= cost_of_lines(books, team) > 0
    for team in LUCKY:
        assert books.spent[team] == cost_of_lines(books, team)


def known(line: dict[str, Any], call: Call) -> Tokens:
    """Return what the gateway told of an answer, what was billed where it could not know."""
    assert call.billed is not None
    return told(line) if line["usage_accuracy"] == "final" else call.billed


async def test_a_prompt_is_counted_though_nobody_hears_of_it(emulator: Emulator, start: StartGateway) -> None:
    """Who leaves before the first event pays for the prompt, which Bedrock has; who waits, for nothing."""
    body = ask(f"[[emulator first_byte_ms=60000]] {'word ' * 400}", max_tokens=100)
    headers = {"Authorization": f"Bearer {TEAMS[0]}"}
    async with start(emulator, callers=callers(), max_concurrency=1) as caller:
        days = {utc_now().date()}

        async def leave(active: int, waiting: int) -> int:
            url = f"{caller.url}/chat/completions"
            task = asyncio.create_task(caller.session.post(url, json=body, headers=headers))
            async with asyncio.timeout(60):
                await emulator.wait_active(active)
                while caller.gateway.limiter.waiting != waiting:  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(0.005)
            task.cancel()
            async with asyncio.timeout(60):
                while caller.gateway.limiter.waiting or caller.gateway.limiter.running > len(held):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            days.add(utc_now().date())
            return sum([await spent(caller.gateway.ledger, TEAMS[0], day) for day in days])

        held: list[Slot] = []
        prompt = await leave(active=1, waiting=0)
        assert prompt > 400 * 3  # micro-dollars: 3 USD for a million tokens
        held = [await caller.gateway.limiter.acquire()]
        assert await leave(active=0, waiting=1) == prompt
        held[0].release()
