"""What the emulator is doing and what it has done: the far end's own account, for tests to compare with."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

if TYPE_CHECKING:
    from types import TracebackType

    from gateway.emulator.ledger import Tokens

Outcome: TypeAlias = Literal["complete", "client_gone", "error"]

_KEPT_CALLS: Final = 10_000
_KEPT_BYTES: Final = 64 * 1024 * 1024
"""Of bodies, as they came; parsed they are a few times as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as it ended.

    `operation` is the last segment of its path and `model_id` the decoded one before it, for ApplyGuardrail
    `apply-guardrail` and the guardrail's id and version with a slash between; for a path that is
    no operation, `operation` is the whole path and `model_id` is empty. `status` is 0 where the client left
    before one was sent. `body` is the parsed JSON, None where there was none. `error` is an HTTP error and
    everything that broke off a stream from this side; `complete` includes a stream that was told to be cut.
    """

    operation: str
    model_id: str
    status: int
    request_id: str
    body: Any
    outcome: Outcome
    billed: Tokens | None = field(default=None, compare=False)
    """None for a request that was not admitted, or generates nothing."""
    size: int = field(default=0, compare=False)
    """Of the body as it came, in bytes."""
    ended_at: float = field(default_factory=time.monotonic, compare=False)
    """By the monotonic clock, which is the event loop's."""


class Activity:
    """Counts the requests that are being answered and keeps the last ones that were."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=_KEPT_CALLS)
        self.active = 0
        self.peak = 0
        self._bytes = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def __enter__(self) -> Self:
        """Count a request in."""
        self.active += 1
        self.peak = max(self.peak, self.active)
        self._wake()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Count it out; its `Call` is kept before, so whoever sees the count sees the call."""
        self.active -= 1
        self._wake()

    def keep(self, call: Call) -> None:
        """Remember a request that ended, and of those before as many as there is room for."""
        self.calls.append(call)
        self._bytes += call.size
        if self._bytes <= _KEPT_BYTES:
            return
        self._bytes = sum(kept.size for kept in self.calls)  # anybody may have taken some out
        while self._bytes > _KEPT_BYTES // 2 and len(self.calls) > 1:
            self._bytes -= self.calls.popleft().size

    async def wait(self, count: int) -> None:
        """Return once exactly `count` requests are being answered, at once if that is so now."""
        if self.active == count:
            return
        reached = asyncio.get_running_loop().create_future()
        waiter = (count, reached)
        self._waiters.append(waiter)
        try:
            await reached
        finally:
            self._waiters.remove(waiter)

    def _wake(self) -> None:
        for count, reached in self._waiters:
            if count == self.active and not reached.done():
                reached.set_result(None)
