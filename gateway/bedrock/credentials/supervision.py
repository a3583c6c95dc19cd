"""Tasks that renew: begun again where they die of a defect."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

RESTART_S = 1.0
"""The pause before a task of ours that died of a defect begins again."""


@asynccontextmanager
async def supervised(name: str, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run `work` beside the block and end it with the block; if it fails, log that and start it again."""
    task = asyncio.create_task(again_and_again(name, work), name=name)  # noqa: TID251 - this block owns it
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])  # does not raise what the task ended with, but our own cancellation


async def again_and_again(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` until cancelled; if it fails, log that and start it again."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the supervisor is where defects end
            structlog.get_logger().exception("task_failed", task=name)
        await asyncio.sleep(RESTART_S)
