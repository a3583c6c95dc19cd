"""Whether this process should get new requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.admission.queue import ConcurrencyLimiter
    from gateway.bedrock.targets import Target
    from gateway.server.drain import Drain

READINESS_TIMEOUT: Final = 2.0
"""Seconds for the credentials to answer a readiness probe."""


class ProcessReadiness:
    """Ready: not draining, room in the queue, and some target has valid credentials (R49).

    To be asked is to be listening.
    """

    def __init__(
        self,
        drain: Drain,
        limiter: ConcurrencyLimiter,
        targets: Mapping[str, Target],
        ledger: Callable[[], str],
    ) -> None:
        self.unusable_targets: list[str] = []
        self._drain = drain
        self._limiter = limiter
        self._targets = targets
        self._ledger = ledger

    @property
    def ledger(self) -> str:
        """Where limits are counted: local, shared or degraded, which is no reason to go elsewhere."""
        return self._ledger()

    async def problems(self) -> list[str]:
        """Return why new requests should go elsewhere."""
        problems = ["draining"] if self._drain.begun else []
        limiter = self._limiter
        if limiter.running >= limiter.max_running and limiter.waiting >= limiter.max_waiting:
            problems.append("overloaded")
        named = await asyncio.gather(*(self._unusable(target) for target in self._targets.values()))
        self.unusable_targets = [name for name in named if name is not None]
        if len(self.unusable_targets) == len(self._targets):
            problems.append("no AWS credentials")
        return problems

    async def _unusable(self, target: Target) -> str | None:
        try:
            async with asyncio.timeout(READINESS_TIMEOUT):
                await target.client.credentials.current()
        except (GatewayError, TimeoutError) as error:
            detail = getattr(error, "detail", "too slow")
            structlog.get_logger().error("credentials", target=target.name, detail=detail)
            return target.name
        return None
