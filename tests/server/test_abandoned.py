"""Answers that are read on: what they hold is given back, whatever ends them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from gateway.abandoned import AbandonedAnswers

if TYPE_CHECKING:
    from gateway.pipeline import CompletionStream, OpenCompletion


class _Opened:
    """What holds a slot and a connection, as a drain sees it."""

    def __init__(self) -> None:
        self.closed = 0
        self.may_begin = asyncio.Event()

    async def begin(self) -> CompletionStream:
        await self.may_begin.wait()
        return cast("CompletionStream", object())

    async def aclose(self) -> None:
        self.closed += 1


async def test_time_is_up_as_the_answer_begins() -> None:
    """Between the beginning of an answer and the drain's next turn: nobody else would give it back."""
    opened, told = _Opened(), asyncio.Event()
    answers = AbandonedAnswers(max_running=1, seconds=60.0)
    opening = asyncio.ensure_future(opened.begin())
    await asyncio.sleep(0)

    def time_is_up(_: object) -> None:
        (drain,) = (task for task in asyncio.all_tasks() if task.get_name() == "abandoned answer")
        drain.cancel()

    opening.add_done_callback(time_is_up)
    assert answers.adopt(opening, cast("OpenCompletion", opened), told.set)
    await asyncio.sleep(0)
    opened.may_begin.set()
    await answers.settled()
    assert (opened.closed, told.is_set(), answers.running) == (1, True, 0)
