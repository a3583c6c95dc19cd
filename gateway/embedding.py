"""Embedding: one request becomes calls of the size a model takes, side by side, their order kept."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.admission.demand import Used
from gateway.domain import Usage
from gateway.errors import GatewayError
from gateway.retries.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.admission.demand import Ticket
    from gateway.admission.queue import ConcurrencyLimiter
    from gateway.admission.slots import Slot
    from gateway.catalog.model import Model
    from gateway.domain import Embedded
    from gateway.retries.attempts import Attempts, Retries
    from gateway.timing import Timing
    from gateway.upstream import EmbeddingCall, Upstream

SIDE_BY_SIDE = 8
"""Calls of one request at a time: a request of 2,048 texts must not take every slot of the process."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors of a whole request, in the order of its inputs; tokens None if Bedrock told not all."""

    model: Model
    vectors: list[list[float]]
    input_tokens: int | None
    upstream_request_ids: list[str]


async def embed(
    calls: list[EmbeddingCall],
    answers: list[Embedded],
    *,
    upstream: Upstream,
    limiter: ConcurrencyLimiter,
    retries: Retries,
    timing: Timing,
    expires: float | None = None,
    allow_fallback: bool = True,
    trail: Trail | None = None,
    ticket: Ticket | None = None,
) -> Embeddings:
    """Run the calls and put their vectors together; each answer is also appended to `answers` as it comes.

    The request queues for one slot, as every request does. It works in more of them only where they are
    free at that moment: its own calls never fill the queue. Each call has its own second chances, not beyond
    `expires` (the loop's clock), and without `allow_fallback` at the first target alone; `trail` is told what
    was tried. `ticket` says whose limits count.

    Raises:
        GatewayError: a call failed; the others are ended, for half a list of vectors is of no use.
    """
    timing.mark_queued()

    def attempts(call: EmbeddingCall, own: Trail) -> Attempts[EmbeddingCall]:
        places = [call, *call.elsewhere]
        return retries.attempts(places, expires=expires, allow_fallback=allow_fallback, trail=own)

    trail = trail or Trail()
    lanes = attempts(calls[0], trail).lanes()
    with ExitStack() as held:
        slots = [held.enter_context(await limiter.acquire(lanes, deadline=expires, ticket=ticket))]
        timing.mark_admitted()
        if slots[0].counted and slots[0].lane is not None:
            lanes = [slots[0].lane]  # where all of the request's calls were reserved
        while len(slots) < min(SIDE_BY_SIDE, len(calls)) and (slot := limiter.try_acquire(lanes)):
            slots.append(held.enter_context(slot))

        async def send(call: EmbeddingCall, slot: Slot) -> Embedded:
            own = Trail()
            try:
                with attempts(call, own) as mine:
                    return await _send(mine, slot, upstream)
            finally:
                trail.join(own)

        try:
            found = await _work(calls, answers, send, slots)
        finally:
            if slots[0].counted:
                slots[0].used(_used(calls[0].model, answers, whole=len(answers) == len(calls)))
    return _together(calls[0].model, found)


async def _send(attempts: Attempts[EmbeddingCall], slot: Slot, upstream: Upstream) -> Embedded:
    attempts.begin(slot)
    while True:
        try:
            answer = await upstream.embed(attempts.call)
        except GatewayError as fault:
            await attempts.failed(fault)
        else:
            attempts.succeeded()
            return answer


async def _work(
    calls: list[EmbeddingCall],
    answers: list[Embedded],
    send: Callable[[EmbeddingCall, Slot], Awaitable[Embedded]],
    slots: list[Slot],
) -> list[Embedded]:
    """Return the answers in the order of the calls."""
    found: dict[int, Embedded] = {}
    left = iter(enumerate(calls))

    async def work(slot: Slot) -> None:
        for number, call in left:
            found[number] = await send(call, slot)
            answers.append(found[number])

    # not a TaskGroup: on Python 3.11 it leaves a cancellation counted, which looks like a caller's leaving
    tasks = [asyncio.create_task(work(slot)) for slot in slots]  # noqa: TID251 - all are ended in `finally`
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [found[number] for number in range(len(calls))]


def _used(model: Model, answers: list[Embedded], *, whole: bool) -> Used:
    """Return what was used by those that were answered, whatever became of the others.

    Where one of them does not tell, nobody knows, and what was reckoned counts: nothing would be too little.
    """
    counts = [answer.input_tokens for answer in answers]
    if None in counts:
        return Used(None, 0, 0, 0, whole=whole)
    read = sum(count for count in counts if count is not None)
    return Used(read, 0, 0, 0, model.cost_usd(Usage(read, 0, 0, 0)), whole)


def _together(model: Model, answers: list[Embedded]) -> Embeddings:
    counts = [answer.input_tokens for answer in answers]
    return Embeddings(
        model=model,
        vectors=[vector for answer in answers for vector in answer.vectors],
        input_tokens=None if None in counts else sum(count for count in counts if count is not None),
        upstream_request_ids=[answer.request_id for answer in answers if answer.request_id is not None],
    )
