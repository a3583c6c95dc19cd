"""Embedding: one request becomes calls of the size a model takes, run side by side, their order kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.admission.queue import ConcurrencyLimiter
    from gateway.catalog.model import Model
    from gateway.domain import Embedded
    from gateway.pipeline import Timing
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
    calls: list[EmbeddingCall], *, upstream: Upstream, limiter: ConcurrencyLimiter, timing: Timing
) -> Embeddings:
    """Run the calls, each in a slot of its own, and put their vectors together.

    Raises:
        GatewayError: a call failed; the others are ended, for half a list of vectors is of no use.
    """
    timing.mark_queued()
    answers: list[Embedded | None] = [None] * len(calls)
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def run(number: int) -> None:
        async with gate:
            await limiter.acquire()
            with limiter.held():
                if timing.admitted is None:
                    timing.mark_admitted()
                answers[number] = await upstream.embed(calls[number])

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(len(calls)):
                group.create_task(run(number))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return _together(calls[0].model, [answer for answer in answers if answer is not None])


def _together(model: Model, answers: list[Embedded]) -> Embeddings:
    counts = [answer.input_tokens for answer in answers]
    return Embeddings(
        model=model,
        vectors=[vector for answer in answers for vector in answer.vectors],
        input_tokens=None if None in counts else sum(count for count in counts if count is not None),
        upstream_request_ids=[answer.request_id for answer in answers if answer.request_id is not None],
    )
